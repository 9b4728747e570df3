"""The rules, one file a family of operators."""

from ..registry import NOT_DIFFERENTIABLE, RULES
from . import activations, convolution, elementwise, indexing, matmul, reductions, rnn, scan, shape

__all__ = [
    "NOT_DIFFERENTIABLE",
    "RULES",
    "activations",
    "convolution",
    "elementwise",
    "indexing",
    "matmul",
    "reductions",
    "rnn",
    "scan",
    "shape",
]
