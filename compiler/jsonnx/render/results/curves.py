"""Curves of metrics as lines of characters."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_LEVELS = "_.-~=+*#"
"""Levels for output that is not in Unicode."""
GAP = " "
"""Stands for values that are missing, NaN or infinite."""


def curve(values: Sequence[float | None], low: float, high: float, bucket: int = 1, levels: str = BLOCKS) -> str:
    """A character for each `bucket` of values: the level of their mean between `low` and `high`."""
    return "".join(
        _character(values[start : start + bucket], low, high, levels) for start in range(0, len(values), bucket)
    )


def metric_curve(values: Sequence[float | None], width: int = 24) -> str:
    """The curve of a metric by epoch, in no more than `width` characters."""
    shown = finite_values(values)
    return curve(values, min(shown), max(shown), -(-len(values) // width)) if shown else ""


def finite_values(values: Sequence[float | None]) -> list[float]:
    """The values that a curve shows."""
    return [value for value in values if value is not None and isfinite(value)]


def _character(values: Sequence[float | None], low: float, high: float, levels: str) -> str:
    shown = finite_values(values)
    if not shown:
        return GAP
    mean = sum(value / len(shown) for value in shown)
    position = (mean / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5  # halves: their sum may overflow
    return levels[min(int(position * len(levels)), len(levels) - 1)]
