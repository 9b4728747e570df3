"""Decision thresholds of outputs: one for all numbers of an output, or one for each of its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Threshold = float | tuple[float, ...]
"""The number above which an output predicts a class; several are those of its labels, in their order."""


def converted(threshold: Threshold, function: Callable[[float], float]) -> Threshold:
    """The threshold, or each of several, in other numbers."""
    return tuple(map(function, threshold)) if isinstance(threshold, tuple) else function(threshold)


def by_label(threshold: Threshold, labels: Sequence[str]) -> float | dict[str, float]:
    """A threshold, or several by label."""
    return dict(zip(labels, threshold, strict=True)) if isinstance(threshold, tuple) else threshold


def threshold_text(threshold: Threshold, labels: Sequence[str], format: str, limit: int) -> str:
    """A threshold, or the first ones by label, such as `money 0.31, sport 0.64, ...`."""
    if not isinstance(threshold, tuple):
        return f"{threshold:{format}}"
    names = labels or [*map(str, range(len(threshold)))]
    shown = [f"{name} {value:{format}}" for name, value in zip(names, threshold, strict=True)]
    return ", ".join([*shown[:limit], *(["..."] if len(shown) > limit else [])])
