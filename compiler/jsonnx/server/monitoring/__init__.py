"""What the server counts and measures."""
