"""The bricks of a network: one class a layer, one file a family of them.

A layer comes in as attributes, and answers two questions: which types come out for those that go in, and which
operators compute it. Imports `bricks`, `types` and `training`'s initializers, regularizers and constraints; operators
are emitted through the `g` it is handed.
"""

from . import (
    activation_layers,
    attention,
    audio,
    augmentation,
    coloring,
    contrast,
    convolution,
    core,
    einsum,
    merging,
    mixing,
    multi_head,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    regularization,
    reshaping,
    resizing,
    spectral,
    transposed,
)
from .activations import ACTIVATIONS
from .base import LAYERS, Layer, layer

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "Layer",
    "activation_layers",
    "attention",
    "audio",
    "augmentation",
    "coloring",
    "contrast",
    "convolution",
    "core",
    "einsum",
    "layer",
    "merging",
    "mixing",
    "multi_head",
    "normalization",
    "pooling",
    "preprocessing",
    "recurrent",
    "regularization",
    "reshaping",
    "resizing",
    "spectral",
    "transposed",
]
