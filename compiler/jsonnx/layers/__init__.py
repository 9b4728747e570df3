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
    bidirectional,
    cells,
    coloring,
    contrast,
    conv_lstm,
    convolution,
    core,
    einsum,
    gated_cells,
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
    rnn,
    spectral,
    time_distributed,
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
    "bidirectional",
    "cells",
    "coloring",
    "contrast",
    "conv_lstm",
    "convolution",
    "core",
    "einsum",
    "gated_cells",
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
    "rnn",
    "spectral",
    "time_distributed",
    "transposed",
]
