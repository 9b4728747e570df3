"""Metrics of a regression from its predictions. The values are scikit-learn's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MIN_BINS, MAX_BINS = 10, 30
MAX_SCATTER_POINTS = 1_000
MIN_RELATIVE_RANGE = 1e-9
"""Below that part of the values, their range is rounding."""


class RegressionScores(NamedTuple):
    mean_absolute_error: float
    root_mean_squared_error: float
    median_absolute_error: float
    r2: float
    """The coefficient of determination; not a number for targets that are all the same."""
    bias: float
    """The mean of predicted - true."""


def regression_scores(true: np.ndarray, predicted: np.ndarray) -> RegressionScores:
    """The scores of predictions [samples]."""
    residuals = predicted.astype(np.float64) - true
    variation = float(np.sum((true - np.mean(true, dtype=np.float64)) ** 2))
    r2 = 1.0 - float(np.sum(residuals**2)) / variation if variation else np.nan
    return RegressionScores(
        float(np.abs(residuals).mean()),
        float(np.sqrt(np.mean(residuals**2))),
        float(np.median(np.abs(residuals))),
        r2,
        float(residuals.mean()),
    )


class Histogram(NamedTuple):
    edges: np.ndarray
    """[bins + 1]"""
    counts: np.ndarray
    """[bins]"""


def histogram(values: np.ndarray) -> Histogram:
    """Bins of equal width over the range of the finite values; values that are almost the same are in one bin."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
    size = max(abs(low), abs(high))
    if high - low <= MIN_RELATIVE_RANGE * size:
        low, high = low - max(0.5, 0.01 * size), high + max(0.5, 0.01 * size)
    bins = int(np.clip(2 * np.sqrt(values.size), MIN_BINS, MAX_BINS))
    counts, edges = np.histogram(values, bins, (low, high))
    return Histogram(edges, counts)


def scatter_sample(count: int, max_points: int = MAX_SCATTER_POINTS) -> np.ndarray:
    """The indices of at most `max_points` of `count` samples, at equal distances: the same ones every time."""
    return np.arange(count) if count <= max_points else np.linspace(0, count - 1, max_points).astype(np.int64)
