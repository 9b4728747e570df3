"""Curves over all thresholds of a score, and how they are shortened for a page. The values are scikit-learn's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MAX_CURVE_POINTS = 200
"""Points of a curve on the page; areas are computed from all."""


class ThresholdCounts(NamedTuple):
    """The samples with a score of at least each threshold: positive and negative ones. Thresholds fall."""

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray


def count_by_threshold(is_positive: np.ndarray, scores: np.ndarray) -> ThresholdCounts:
    """The counts at each distinct score of `scores` [samples]; `is_positive` [samples] has the samples' classes."""
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], is_positive[order].astype(bool)
    last_of_score = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1] if len(scores) else np.array([], int)
    true_positives = np.cumsum(positive)[last_of_score]
    return ThresholdCounts(scores[last_of_score], true_positives, last_of_score + 1 - true_positives)


class Curve(NamedTuple):
    """Points of a curve, and the area under it. Not a number where a class has no samples."""

    x: np.ndarray
    y: np.ndarray
    area: float


def roc_curve(counts: ThresholdCounts) -> Curve:
    """The true positive rate over the false positive rate; the area by the trapezoidal rule."""
    positives, negatives = _totals(counts)
    with np.errstate(divide="ignore", invalid="ignore"):  # NumPy 1.26 may call 0 / 0 a division by zero
        x = np.r_[0, counts.false_positives] / np.float64(negatives)
        y = np.r_[0, counts.true_positives] / np.float64(positives)
    return Curve(x, y, float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)))


def precision_recall_curve(counts: ThresholdCounts) -> Curve:
    """The precision over the recall, from recall 0; the area is the average precision, a sum of steps."""
    positives, _ = _totals(counts)
    precision = counts.true_positives / np.maximum(counts.true_positives + counts.false_positives, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = counts.true_positives / np.float64(positives)
    area = float(np.sum(np.diff(np.r_[0.0, recall]) * precision))
    return Curve(np.r_[0.0, recall], np.r_[1.0, precision], area)


def _totals(counts: ThresholdCounts) -> tuple[int, int]:
    """All positive and all negative samples."""
    if not len(counts.thresholds):
        return 0, 0
    return int(counts.true_positives[-1]), int(counts.false_positives[-1])


def shortened(x: np.ndarray, y: np.ndarray, count: int = MAX_CURVE_POINTS) -> np.ndarray:
    """The indices of at most `count` points of a curve, at equal distances along it, with the first and the last."""
    if len(x) <= count:
        return np.arange(len(x))
    length = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    return np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], count - 1)).clip(0, len(x) - 1))
