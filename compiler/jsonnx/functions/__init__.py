"""Losses and metrics as Python functions: they compute with the names of keras.ops, and are compiled to operators."""
