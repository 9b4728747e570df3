"""The bricks of a network: one class a layer, one file a family of them.

A layer comes in as attributes, and answers two questions: which types come out for those that go in, and which
operators compute it. Imports `bricks`, `types` and `training`'s initializers, regularizers and constraints; operators
are emitted through the `g` it is handed.
"""

from . import (
    activation_layers,
    attention,
    audio,
    bidirectional,
    cells,
    contrast,
    conv_lstm,
    convolution,
    core,
    einsum,
    gated_cells,
    lookup,
    merging,
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
    text,
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
    "bidirectional",
    "cells",
    "contrast",
    "conv_lstm",
    "convolution",
    "core",
    "einsum",
    "gated_cells",
    "layer",
    "lookup",
    "merging",
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
    "text",
    "time_distributed",
    "transposed",
]
