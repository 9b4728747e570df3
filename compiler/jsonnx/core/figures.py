"""Figures: the losses and metrics that a training or an evaluation reports."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

Figure = float | list[Any]
"""A number, or nested lists of numbers: one by class or by threshold, or a confusion matrix."""


def numbers_only(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are no lists."""
    return {name: figure for name, figure in figures.items() if not isinstance(figure, list)}


def finite(figure: Figure) -> Any:
    """A figure as a JSON value: NaN and infinity become null."""
    if isinstance(figure, list):
        return [finite(item) for item in figure]
    return float(figure) if isfinite(figure) else None


MAX_FIGURE_DEPTH = 8
"""Lists within lists of a figure that is read from a file."""


def is_number(value: Any) -> bool:
    """Whether a value from a file is a number that a float can have; true and false are none."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 1 << 63)


def finite_or_none(value: Any) -> float | None:
    """A number from a file; None for NaN, infinity, and what is no number."""
    return float(value) if is_number(value) and isfinite(value) else None


def is_figure(value: Any, depth: int = MAX_FIGURE_DEPTH) -> bool:
    """Whether a value from a file is a figure or null."""
    if isinstance(value, list):
        return depth > 0 and all(is_figure(item, depth - 1) for item in value)
    return value is None or is_number(value)
