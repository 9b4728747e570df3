"""Damaged Keras files are read or rejected, never crashed on."""
