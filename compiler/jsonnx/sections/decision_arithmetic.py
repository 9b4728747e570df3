"""The threshold that maximizes a metric, and the temperature that minimizes the cross-entropy, in float64."""

from __future__ import annotations

import numpy as np

from ..training.metrics.metric_arithmetic import Array, Confusion, cuts_of_scores, ratio
from .training_section import ThresholdSection

MAX_LOG_TEMPERATURE = 5.0
"""Temperatures lie between exp(-5) and exp(5)."""
SEARCH_STEPS = 80
"""Steps of the search for the temperature. Each shortens the interval by the golden ratio."""


def best_threshold(probabilities: Array, targets: Array, section: ThresholdSection) -> float:
    """The threshold that maximizes the metric of the section, halfway between two probabilities of the samples.

    Of equally good ones, the closest to 0.5, as without positive targets. If no threshold reaches a least precision or
    recall, it is ignored.
    """
    scores, positive = np.asarray(probabilities, np.float64).ravel(), np.asarray(targets).ravel() != 0
    if not positive.any():
        return 0.5
    levels, confusion = cuts_of_scores(scores, positive, np.ones(scores.size))
    cuts = (np.append(0.0, levels) + np.append(levels, 1.0)) / 2
    metrics = _metric(confusion, section.maximize)[0]
    for least, reached in ((section.min_precision, confusion.precision), (section.min_recall, confusion.recall)):
        if least is not None and (reached[0] >= least).any():
            metrics = np.where(reached[0] >= least, metrics, -np.inf)
    best = np.flatnonzero(metrics == metrics.max())
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]])


def _metric(confusion: Confusion, name: str) -> Array:
    tp, fp, fn, tn = confusion
    if name in ("f1", "f2"):
        return confusion.f_score(float(name[1:]))
    if name == "mcc":
        scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        return ratio(tp * tn - fp * fn, scale)
    if name == "balanced_accuracy":
        return (confusion.recall + confusion.specificity) / 2
    if name == "accuracy":
        return (tp + tn) / (tp + fp + fn + tn)
    metrics: Array = getattr(confusion, name)
    return metrics


def best_temperature(logits: Array, targets: Array, is_exclusive: bool) -> float:
    """The number that minimizes the cross-entropy of logits [samples, units] that are divided by it; 1 without samples.

    With `is_exclusive`, of their softmax: targets are class indices [samples], or probabilities [samples, units]. Else
    of their sigmoids: targets are probabilities [samples, units].
    """
    logits = np.asarray(logits, np.float64)
    targets = np.asarray(targets)
    low, high = -MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE
    shrink = (np.sqrt(5.0) - 1.0) / 2

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if not is_exclusive:
            return float((np.logaddexp(0.0, scaled) - targets * scaled).mean())
        top = scaled.max(-1, keepdims=True)
        negative_logs = np.log(np.exp(scaled - top).sum(-1, keepdims=True)) + top - scaled
        if targets.ndim < logits.ndim:
            return float(np.take_along_axis(negative_logs, targets[:, None], -1).mean())
        return float((targets * negative_logs).sum(-1).mean())

    for _ in range(SEARCH_STEPS if len(logits) else 0):
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))
