"""Differences between the outputs of two providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class OutputDifference(NamedTuple):
    """The largest difference of an output."""

    name: str
    absolute: float
    relative: float
    """Relative to the largest element of the reference. For integers, truth values and strings the share of elements
    that differ; infinite if shapes differ, or if an element is finite on one side alone."""


def output_differences(reference: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray]) -> list[OutputDifference]:
    """The differences of all outputs of the reference."""
    return [_difference(name, np.asarray(array), np.asarray(actual[name])) for name, array in reference.items()]


def largest_difference(reference: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray]) -> float:
    """The largest relative difference of any output."""
    return max((difference.relative for difference in output_differences(reference, actual)), default=0.0)


def _difference(name: str, reference: np.ndarray, actual: np.ndarray) -> OutputDifference:
    if reference.shape != actual.shape:
        return OutputDifference(name, float("inf"), float("inf"))
    if reference.size == 0:
        return OutputDifference(name, 0.0, 0.0)
    if reference.dtype.kind != "f":
        share = float(np.mean(reference != actual))
        return OutputDifference(name, share, share)
    finite = np.isfinite(reference)
    same_special = np.array_equal(reference[~finite], actual[~finite], equal_nan=True)
    if not same_special or not np.isfinite(actual[finite]).all():
        return OutputDifference(name, float("inf"), float("inf"))
    expected, computed = reference[finite].astype(np.float64), actual[finite].astype(np.float64)
    absolute = float(np.abs(computed - expected).max(initial=0.0))
    scale = float(np.abs(expected).max(initial=0.0))
    relative = absolute / scale if scale else (0.0 if absolute < np.finfo(np.float32).eps else float("inf"))
    return OutputDifference(name, absolute, relative)
