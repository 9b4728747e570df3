"""Metrics of a classifier from its predictions: confusion, scores by class, calibration. Values are scikit-learn's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CALIBRATION_BINS = 10


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, class_count: int) -> np.ndarray:
    """The numbers of samples [true class, predicted class]; `true` and `predicted` [samples] are class indices."""
    pairs = true.astype(np.int64) * class_count + predicted
    return np.bincount(pairs, minlength=class_count**2).reshape(class_count, class_count)


class Calibration(NamedTuple):
    """Samples in bins of equal width of their predicted probability: [bins], without empty bins."""

    predicted: np.ndarray
    """The mean predicted probability."""
    observed: np.ndarray
    """The fraction of samples for which the prediction holds."""
    counts: np.ndarray
    error: float
    """The expected calibration error: the mean distance of both, weighted by samples."""


def calibration(holds: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> Calibration:
    """Compares probabilities [samples] with whether the event holds [samples]."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.searchsorted(edges[1:-1], probabilities)
    counts = np.bincount(index, minlength=bins)
    filled = counts > 0
    counts, sums = counts[filled], np.bincount(index, weights=probabilities, minlength=bins)[filled]
    observed = np.bincount(index, weights=holds, minlength=bins)[filled] / counts
    predicted = sums / counts
    error = float(np.sum(np.abs(predicted - observed) * counts) / max(1, counts.sum()))
    return Calibration(predicted, observed, counts, error)


def brier_score(holds: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean squared difference of probabilities [samples, ...] from 0 or 1, summed over further axes."""
    squares = (probabilities - holds) ** 2
    return float(squares.reshape(len(squares), -1).sum(1).mean())


def most_confused(matrix: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions: true class, predicted class, samples."""
    errors = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-errors, axis=None, kind="stable")[:count]
    pairs = [divmod(int(index), len(matrix)) for index in order]
    return [(true, predicted, int(errors[true, predicted])) for true, predicted in pairs if errors[true, predicted]]
