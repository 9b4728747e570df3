"""The functions of keras.ops as layers: `{"type": "ops.mean", "axis": -1}`.

A table says what most of them compute, a line each; those with a shape of their own are classes.
"""

from . import attention, binary, diagonals, indexing, linalg, nn, reductions, repeat_pad, shape, unary

__all__ = [
    "attention",
    "binary",
    "diagonals",
    "indexing",
    "linalg",
    "nn",
    "reductions",
    "repeat_pad",
    "shape",
    "unary",
]
