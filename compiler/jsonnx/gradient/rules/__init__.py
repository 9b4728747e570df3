"""The gradient rules, one file for each family of operators. Importing a file registers its rules."""

from ..registry import NOT_DIFFERENTIABLE, RULES
from . import (
    activations,
    convolution,
    elementwise,
    indexing,
    matmul,
    normalization,
    pooling,
    quantization,
    reductions,
    rnn,
    scan,
    shape,
)

__all__ = [
    "NOT_DIFFERENTIABLE",
    "RULES",
    "activations",
    "convolution",
    "elementwise",
    "indexing",
    "matmul",
    "normalization",
    "pooling",
    "quantization",
    "reductions",
    "rnn",
    "scan",
    "shape",
]
