"""The rules, one file a family of operators."""

from ..table import NOT_DIFFERENTIABLE, RULES
from . import activations, arithmetic, convolution, indexing, linear, recurrent, reductions, scan, shaping

__all__ = [
    "NOT_DIFFERENTIABLE",
    "RULES",
    "activations",
    "arithmetic",
    "convolution",
    "indexing",
    "linear",
    "recurrent",
    "reductions",
    "scan",
    "shaping",
]
