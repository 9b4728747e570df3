"""Fits: the public trainer, epochs, checkpoints and ready callbacks."""
