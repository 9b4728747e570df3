"""Layers, calls, masks and arguments of a Keras model -> entries of a spec."""
