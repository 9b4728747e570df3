"""The gradient rules, one file for each family of operators. Importing a file registers its rules."""

from ..registry import NOT_DIFFERENTIABLE, RULES
from . import (
    activations,
    conditionals,
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
    "conditionals",
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
