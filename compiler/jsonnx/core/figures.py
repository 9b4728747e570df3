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
