"""Values of the losses and metrics that a training or an evaluation reports."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

MetricValue = float | list[Any]
"""A number, or nested lists of numbers: one by class or by threshold, or a confusion matrix."""


def numbers_only(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics with a single number."""
    return {name: metric for name, metric in metrics.items() if not isinstance(metric, list)}


def finite(metric: MetricValue) -> Any:
    """A metric as a JSON value: NaN and infinity become null."""
    if isinstance(metric, list):
        return [finite(item) for item in metric]
    return float(metric) if isfinite(metric) else None


MAX_METRIC_DEPTH = 8
"""Lists within lists of a metric that is read from a file."""


def is_number(value: Any) -> bool:
    """Whether a value from a file is a number that a float can have; true and false are none."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 1 << 63)


def finite_or_none(value: Any) -> float | None:
    """A number from a file; None for NaN, infinity, and anything else."""
    return float(value) if is_number(value) and isfinite(value) else None


def is_metric(value: Any, depth: int = MAX_METRIC_DEPTH) -> bool:
    """Whether a value from a file is a metric or null."""
    if isinstance(value, list):
        return depth > 0 and all(is_metric(item, depth - 1) for item in value)
    return value is None or is_number(value)
