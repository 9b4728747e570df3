"""How much a metric depends on each column: its permutation importance, with an interval beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from ...core.metric_values import is_number
from ...core.reserved_names import LOSS
from ...data.samples.dataset import Dataset
from ...html_report.json_values import rounded
from ...html_report.pictures import flat_picture_side, is_picture
from ...runtime.execution.history import MetricSums
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.providers.random import InferenceRandoms
from ...training.metrics.objective import Objective
from ..run.trained_model import batch_slices

MAX_SAMPLES = 1000
MAX_COLUMNS = 100
MAX_REPEATS, MIN_REPEATS = 20, 3
"""Permutations of each column; there are fewer if they take longer than `MAX_SECONDS`."""
MAX_SECONDS = 10.0
INTERVAL_DEVIATIONS = 1.96
"""Standard deviations on both sides of the mean that 95 % of normal numbers lie between."""
SEED = 0


class Column(NamedTuple):
    """A column that is permuted: an input, or an element of the last axis of one."""

    name: str
    input: str
    index: int | None = None


def permutation_importance(
    trainer: PlanTrainer, objective: Objective, samples: Dataset, names: Mapping[str, Sequence[str]]
) -> dict[str, Any] | None:
    """For each column: by how much the first metric, or else the loss, becomes worse if the column's values are
    permuted among the samples, from the most important column on; None with fewer than two columns or samples, and
    without a metric that is a number.

    The mean and a 95 % interval are over repetitions, each on a bootstrap sample. `names` are those of the columns of
    inputs.
    """
    metric, columns = _metric(trainer, objective), list(_columns(samples, names))
    shown = columns[:MAX_COLUMNS]
    if metric is None or len(columns) < 2 or len(samples) < 2:
        return None
    rows = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), MAX_SAMPLES)).astype(np.int64))
    feeds = samples.subset(rows).with_common_width().take(slice(None))
    losses = _losses_by_repetition(_Measured(trainer, metric), feeds, shown)
    is_better_higher = _is_better_higher(objective, metric)
    return rounded(
        {
            "metric": metric,
            "samples": len(rows),
            "repeats": len(losses),
            "omitted": len(columns) - len(shown),
            "columns": _rows(shown, -losses if is_better_higher else losses),
        }
    )


def _rows(columns: Sequence[Column], worse: np.ndarray) -> list[dict[str, Any]]:
    """The importance of each column, the greatest first."""
    means = worse.mean(0)
    spreads = worse.std(0, ddof=1) if len(worse) >= MIN_REPEATS else np.full(len(columns), np.nan)
    order = np.argsort(-means, kind="stable")
    return [
        {
            "name": columns[index].name,
            "importance": means[index],
            "low": means[index] - INTERVAL_DEVIATIONS * spreads[index],
            "high": means[index] + INTERVAL_DEVIATIONS * spreads[index],
        }
        for index in order
    ]


def _metric(trainer: PlanTrainer, objective: Objective) -> str | None:
    """The name of the first metric that is a number, or else of the loss."""
    missing = objective.missing_functions()
    names = [name for name, metric in trainer.plan.metrics.items() if metric.is_scalar]
    return next((name for name in (*names, LOSS) if name not in missing), None)


def _is_better_higher(objective: Objective, metric: str) -> bool:
    reported = objective.metrics_by_name().get(metric)
    return reported is not None and reported.metric.higher_is_better


def _columns(samples: Dataset, names: Mapping[str, Sequence[str]]) -> Iterator[Column]:
    """The columns of all inputs; an input whose elements have no names of their own is one column."""
    for input in samples.inputs:
        shape = samples.sample_shape(input)
        own, side = names.get(input, ()), flat_picture_side(shape) if len(shape) == 1 else None
        if shape and shape[-1] > 1 and len(own) == shape[-1] and side is None and not is_picture(shape):
            yield from (Column(name, input, index) for index, name in enumerate(own))
        elif shape and len(shape) == 1 and 1 < shape[0] <= MAX_COLUMNS and side is None:
            yield from (Column(f"{input}[{index}]", input, index) for index in range(shape[0]))
        else:
            yield Column(input, input)


class _Measured:
    """Measures a metric of samples that were changed."""

    def __init__(self, trainer: PlanTrainer, metric: str) -> None:
        self._plan, self._metric = trainer.plan, metric
        self._run = trainer.engine.loader.evaluation_runner(trainer.plan)

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> float:
        sums, count = MetricSums(self._plan), len(next(iter(feeds.values())))
        randoms = InferenceRandoms.of(self._plan.evaluate, self._plan.seed)
        for rows in batch_slices(count):
            batch = {name: array[rows] for name, array in feeds.items()}
            sums.add(self._run(randoms.fed(batch, self._plan.inputs)), rows.stop - rows.start)
        value = sums.results()[self._metric]
        return float(value) if is_number(value) else float("nan")  # type: ignore[arg-type]


def _losses_by_repetition(
    measured: _Measured, feeds: Mapping[str, np.ndarray], columns: Sequence[Column]
) -> np.ndarray:
    """By how much the metric grows, by repetition and column."""
    rng, end = np.random.default_rng(SEED), time.monotonic() + MAX_SECONDS
    count = len(next(iter(feeds.values())))
    changes: list[list[float]] = []
    while len(changes) < MAX_REPEATS and (not changes or time.monotonic() < end):
        rows = rng.integers(0, count, count)
        drawn = {name: array[rows] for name, array in feeds.items()}
        base = measured(drawn)
        order = rng.permutation(count)
        changes.append([measured(_permuted(drawn, column, order)) - base for column in columns])
    array = np.array([change for change in changes if all(map(isfinite, change))])
    return array if array.size else np.full((1, len(columns)), np.nan)


def _permuted(feeds: Mapping[str, np.ndarray], column: Column, order: np.ndarray) -> dict[str, np.ndarray]:
    """The samples with the values of a column in another order."""
    array = feeds[column.input]
    changed = array[order] if column.index is None else array.copy()
    if column.index is not None:
        changed[..., column.index] = array[order][..., column.index]
    return {**feeds, column.input: changed}
