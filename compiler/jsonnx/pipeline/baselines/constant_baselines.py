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
    if targets.scale.quantiles:
        values = [float(_quantiles(true, weights, quantile)[0]) for quantile in targets.scale.quantiles]
        yield ConstantBaseline("quantiles of the training data", count, np.array(values))
        return
    mean = np.average(true, axis=0, weights=weights)
    if targets.kind is OutputKind.NUMBERS:
        yield ConstantBaseline("mean", count, mean)
        yield ConstantBaseline("median", count, _quantiles(true, weights, 0.5))
    else:
        yield ConstantBaseline("majority class", count, mean)


def _quantiles(true: np.ndarray, weights: np.ndarray, quantile: float) -> np.ndarray:
    """The weighted quantile of each column; the median of equal weights is `numpy.median`."""
    quantiles = []
    for column in true.T:
        order = np.argsort(column, kind="stable")
        values, sums = column[order], np.cumsum(weights[order])
        bounds = [np.searchsorted(sums, quantile * sums[-1], side) for side in ("left", "right")]
        quantiles.append(np.mean([values[min(bound, len(values) - 1)] for bound in bounds]))
    return np.array(quantiles)
