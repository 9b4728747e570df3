"""The layers of a network: one class per layer, one file per family, in Keras' folders.

A layer maps attributes and input types to output types (`infer`) and to the operators that compute the outputs
(`lower`), emitted with the builder `g`. Imports `core`, and `training` for initializers, regularizers and constraints.
"""

from .activations import ACTIVATIONS
from .base import LAYERS, Layer, layer

__all__ = ["ACTIVATIONS", "LAYERS", "Layer", "layer"]
