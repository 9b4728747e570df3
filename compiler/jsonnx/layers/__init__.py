"""The layers of a network: one class a layer, one file a family, in Keras' folders.

In: attributes. Out: the type of each result (`infer`) and the operators that compute it (`lower`), emitted with the
builder `g` that the layer is given. Imports `core`, and `training` for initializers, regularizers and constraints.
"""

from . import (
    activation_layers,
    attention,
    convolution,
    core,
    einsum_dense,
    image,
    keras_applications,
    merging,
    normalization,
    ops,
    preprocessing,
    regularization,
    reshaping,
    rnn,
)
from .activations import ACTIVATIONS
from .base import LAYERS, Layer, layer

LAYERS.sort()

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "Layer",
    "activation_layers",
    "attention",
    "convolution",
    "core",
    "einsum_dense",
    "image",
    "keras_applications",
    "layer",
    "merging",
    "normalization",
    "ops",
    "preprocessing",
    "regularization",
    "reshaping",
    "rnn",
]
