"""The permutation importance of each column, with an interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.metric_values import is_number
from ...core.reserved_names import LOSS
from ...data.samples.dataset import Dataset
from ...html_report.json_values import rounded
from ...html_report.pictures import flat_picture_side, is_picture
from ...lowering.cost import cost_table
from ...runtime.execution.history import MetricSums
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.providers.random import InferenceRandoms
from ...training.metrics.objective import Objective
from ..check.check import CheckedSpec
from ..compile.graphs import costed_graph
from ..run.trained_model import batch_slices

MAX_SAMPLES, MIN_SAMPLES = 1000, 100
MAX_COLUMNS = 100
MAX_REPEATS, MIN_REPEATS = 20, 5
"""Permutations of each column."""
MAX_MULTIPLY_ADDS = 50_000_000_000
"""Of all predictions together, some seconds; above that there are fewer samples and permutations."""
MAX_EVALUATIONS = 2000
TYPICAL_SIZE = 100
"""Stands for sizes that differ from sample to sample, such as a number of steps."""
INTERVAL_DEVIATIONS = 1.96
"""Standard deviations on both sides of the mean that 95 % of normal numbers lie between."""
SEED = 0


class Column(NamedTuple):
    """A column that is permuted: an input, or an element of the last axis of one."""

    name: str
    input: str
    element: int | None = None
    others: tuple[str, ...] = ()
    """Further inputs with the same values in another form: the results of a Tokenizer."""


class Effort(NamedTuple):
    """The number of samples and of permutations of each column."""

    samples: int
    repeats: int


def effort(samples: int, columns: int, multiply_adds: int) -> Effort | None:
    """What importance is measured with, if a prediction takes this number of multiply-adds; None if it takes too long.

    It depends on nothing else, so that a report has the same numbers on each machine.
    """
    work = max(multiply_adds, 1) * columns
    affordable = MAX_MULTIPLY_ADDS // (work * MIN_REPEATS)
    samples = min(samples, MAX_SAMPLES, max(affordable, MIN_SAMPLES))
    repeats = min(MAX_MULTIPLY_ADDS // (work * samples), MAX_EVALUATIONS // columns, MAX_REPEATS)
    is_affordable = work * samples * MIN_REPEATS <= 4 * MAX_MULTIPLY_ADDS
    return Effort(samples, max(repeats, MIN_REPEATS)) if is_affordable else None


def multiply_adds(checked: CheckedSpec) -> int:
    """The multiply-adds of a prediction, roughly."""
    rows = cost_table(checked.require(), costed_graph(checked))
    terms = [term for row in rows for term in row.macs.terms.items()]
    return sum(factor * TYPICAL_SIZE ** len(symbols) for symbols, factor in terms)


def permutation_importance(
    checked: CheckedSpec, trainer: PlanTrainer, samples: Dataset, names: Mapping[str, Sequence[str]], notes: list[str]
) -> dict[str, Any] | None:
    """For each column: by how much the first metric, or else the loss, becomes worse if the column's values are
    permuted among the samples, from the most important column on; None with fewer than two columns or samples, and
    without a metric that is a number.

    The mean and a 95 % interval are over permutations, each of a bootstrap sample. `names` are those of the columns of
    inputs. Adds a note to `notes` if it would take too long.
    """
    objective, columns = checked.objective, list(_columns(samples, names))
    metric = None if objective is None else _metric(trainer, objective)
    if objective is None or metric is None or len(columns) < 2 or len(samples) < 2:
        return None
    shown = columns[:MAX_COLUMNS]
    planned = effort(len(samples), len(shown), multiply_adds(checked))
    if planned is None:
        notes.append("The importance of columns is not measured, since the network is too large for many predictions.")
        return None
    rows = np.unique(np.linspace(0, len(samples) - 1, planned.samples).astype(np.int64))
    feeds = samples.subset(rows).with_common_width().take(slice(None))
    changes = _changes(_Measured(trainer, metric), feeds, shown, planned.repeats)
    reported = objective.metrics_by_name().get(metric)
    is_better_higher = reported is not None and reported.metric.higher_is_better
    return rounded(
        {
            "metric": metric,
            "samples": len(rows),
            "repeats": planned.repeats,
            "omitted": len(columns) - len(shown),
            "columns": _rows(shown, -changes if is_better_higher else changes),
        }
    )


def _rows(columns: Sequence[Column], worse: np.ndarray) -> list[dict[str, Any]]:
    """The importance of each column, the greatest first."""
    means = worse.mean(0)
    spreads = worse.std(0, ddof=1)
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


def _columns(samples: Dataset, names: Mapping[str, Sequence[str]]) -> Iterator[Column]:
    """The columns of all inputs; an input whose elements have no names of their own is one column."""
    for tokens in samples.data_spec.tokenizations:
        ids, *others = tokens.inputs.values()
        yield Column(", ".join(tokens.texts), ids, None, tuple(others))
    for input in (name for name in samples.inputs if name in samples.data_spec.graph_inputs):
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
        return float(value) if is_number(value) else float("nan")


def _changes(
    measured: _Measured, feeds: Mapping[str, np.ndarray], columns: Sequence[Column], repeats: int
) -> np.ndarray:
    """By how much the metric grows, by permutation and column."""
    rng, count = np.random.default_rng(SEED), len(next(iter(feeds.values())))
    changes = np.empty((repeats, len(columns)))
    for change in changes:
        rows = rng.integers(0, count, count)
        drawn = {name: array[rows] for name, array in feeds.items()}
        base, order = measured(drawn), rng.permutation(count)
        change[:] = [measured(_permuted(drawn, column, order)) - base for column in columns]
    return changes


def _permuted(feeds: Mapping[str, np.ndarray], column: Column, order: np.ndarray) -> dict[str, np.ndarray]:
    """The samples with the values of a column in another order."""
    array = feeds[column.input]
    changed = array[order] if column.element is None else array.copy()
    if column.element is not None:
        changed[..., column.element] = array[order][..., column.element]
    return {**feeds, column.input: changed, **{name: feeds[name][order] for name in column.others}}
