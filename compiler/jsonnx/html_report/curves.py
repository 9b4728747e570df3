"""Curves over all thresholds of a score, and how they are shortened for a page. The values are scikit-learn's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..training.metrics.metric_arithmetic import Confusion, area_under_curve, curve_points

MAX_CURVE_POINTS = 200
"""Points of a curve on the page; areas are computed from all."""


class Curve(NamedTuple):
    """Points of a curve, and the area under it: not a number if the samples of a class are missing."""

    x: np.ndarray
    y: np.ndarray
    area: float


def roc_curve(confusion: Confusion) -> Curve:
    """The true positive rate over the false positive rate, from the highest of the cuts [1, cut] of a score."""
    if not (confusion.tp[0, 0] and confusion.fp[0, 0]):
        return Curve(np.zeros(0), np.zeros(0), np.nan)
    x, y = (values[0, ::-1] for values in curve_points(confusion, "ROC"))
    return Curve(x, y, area_under_curve(confusion, "ROC", "interpolation").item())


def precision_recall_curve(confusion: Confusion) -> Curve:
    """The precision over the recall, from recall 0; the area is the average precision, a sum of steps."""
    if not confusion.tp[0, 0]:
        return Curve(np.zeros(1), np.ones(1), np.nan)
    recall, precision = (values[0, ::-1] for values in curve_points(confusion, "PR"))
    return Curve(recall, np.r_[1.0, precision[1:]], area_under_curve(confusion, "PR", "step").item())


def shortened(x: np.ndarray, y: np.ndarray, count: int = MAX_CURVE_POINTS) -> np.ndarray:
    """The indices of at most `count` points of a curve, at equal distances along it, with the first and the last."""
    if len(x) <= count:
        return np.arange(len(x))
    length = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    return np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], count - 1)).clip(0, len(x) - 1))
