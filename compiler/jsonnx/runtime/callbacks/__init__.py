"""The callbacks of a fit: the check of their methods, and their states in checkpoints."""
