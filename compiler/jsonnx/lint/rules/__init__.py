"""All rules, by subject; importing the package registers them."""

from __future__ import annotations

from ..rule import RULES
from . import activations, convolutions, data, effects, names, normalization, objective, sequences, silences, training

__all__ = [
    "RULES",
    "activations",
    "convolutions",
    "data",
    "effects",
    "names",
    "normalization",
    "objective",
    "sequences",
    "silences",
    "training",
]
