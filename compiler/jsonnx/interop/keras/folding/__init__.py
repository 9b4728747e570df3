"""Repeated layers of a Keras model -> blocks and repetitions."""
