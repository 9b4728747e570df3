"""Baselines that predict the same for every sample: the frequencies of classes, the mean, the median."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from .training_targets import TrainingTargets


@dataclass(frozen=True)
class ConstantBaseline:
    """The same numbers for every position of every sample."""

    title: str
    fitted_rows: int
    values: np.ndarray
    """A number for each unit."""

    def scores(self, samples: Dataset, shape: tuple[int, ...]) -> np.ndarray:
        return np.broadcast_to(self.values, shape)


def constant_baselines(targets: TrainingTargets, units: int) -> Iterator[ConstantBaseline]:
    """The constants that are best for usual losses; none if no position counts."""
    true, weights = targets.true[targets.counted], targets.weights[targets.counted]
    count = len(targets.rows)
    if not weights.sum() > 0:
        return
    if targets.kind is OutputKind.EXCLUSIVE:
        is_class = (true >= 0) & (true < units)
        counts = np.bincount(true[is_class].astype(np.int64), weights[is_class], units)
        yield ConstantBaseline("majority class", count, counts / counts.sum())
        return
    mean = np.average(true, axis=0, weights=weights)
    if targets.kind is OutputKind.NUMBERS:
        yield ConstantBaseline("mean", count, mean)
        yield ConstantBaseline("median", count, _medians(true, weights))
    else:
        yield ConstantBaseline("majority class", count, mean)


def _medians(true: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted median of each column: with equal weights, as `numpy.median`."""
    medians = []
    for column in true.T:
        order = np.argsort(column, kind="stable")
        values, sums = column[order], np.cumsum(weights[order])
        low = np.searchsorted(sums, sums[-1] / 2, side="left")
        high = np.searchsorted(sums, sums[-1] / 2, side="right")
        medians.append((values[min(low, len(values) - 1)] + values[min(high, len(values) - 1)]) / 2)
    return np.array(medians)
