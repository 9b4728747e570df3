"""Initializers, regularizers and constraints of weights."""

from . import window_functions

__all__ = ["window_functions"]
