"""The functions of keras.ops as layers: `{"type": "ops.mean", "axis": -1}`.

A table says what most of them compute, a line each; those with a shape of their own are classes.
"""

from . import arranging, attention, diagonals, elementwise, indexing, linear, networks, pairs, reductions, shaping

__all__ = [
    "arranging",
    "attention",
    "diagonals",
    "elementwise",
    "indexing",
    "linear",
    "networks",
    "pairs",
    "reductions",
    "shaping",
]
