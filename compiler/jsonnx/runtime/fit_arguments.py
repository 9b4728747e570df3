"""Checks the arguments of a fit."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np


def require_integer(name: str, value: Any, minimum: int) -> int:
    """The value as an integer. Raises TypeError, ValueError."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


def require_rate(value: Any) -> float:
    try:
        rate = float("" if isinstance(value, (bool, str)) else value)
    except (TypeError, ValueError):
        raise TypeError(f"learning_rate must be a number, got {value!r}") from None
    if not 0.0 < rate <= float(np.finfo(np.float32).max):
        raise ValueError(f"learning_rate must be positive and finite, got {rate}")
    return rate


def require_fraction(name: str, value: Any) -> float:
    """The value as a number from 0 to below 1. Raises TypeError, ValueError."""
    try:
        fraction = float("" if isinstance(value, (bool, str)) else value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"{name} must be at least 0 and below 1, got {fraction}")
    return fraction


def require_bool(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)
