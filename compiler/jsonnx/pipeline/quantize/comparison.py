"""A float and a quantized model, side by side on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import NamedTuple

import numpy as np

from ...core.metric_values import MetricValue
from ...data.samples.dataset import Dataset
from ...runtime.execution.history import MetricSums
from ...runtime.session.session import Session
from ...runtime.training_plan import TrainingPlan
from ..run.trained_model import batch_slices, score_outputs

Arrays = Mapping[str, np.ndarray]


class OutputDifference(NamedTuple):
    """Largest and mean absolute difference of the elements of an output; those of different texts, truth values or
    integers differ by 1."""

    maximum: float
    mean: float


@dataclass(frozen=True)
class Comparison:
    """Metrics of both models, and the differences of their outputs."""

    float_metrics: Mapping[str, MetricValue]
    metrics: Mapping[str, MetricValue]
    differences: Mapping[str, OutputDifference]

    def difference(self, metric: str) -> float:
        """The metric of the quantized model minus that of the float model; NaN for a metric that is a list."""
        pair = self.metrics[metric], self.float_metrics[metric]
        return pair[0] - pair[1] if not any(isinstance(value, list) for value in pair) else nan  # type: ignore[operator]


@dataclass(frozen=True)
class Scoring:
    """A session that computes the loss and the metrics of outputs."""

    scorer: Session
    plan: TrainingPlan
    missing: frozenset[str] = frozenset()
    """Metrics that cannot be computed: their Python functions are missing."""


@dataclass(frozen=True)
class ModelComparer:
    """Compares models with the float model on samples. Without `scoring`, only outputs are compared."""

    float_session: Session
    samples: Dataset
    batch_size: int
    scoring: Scoring | None = None

    def compare(self, session: Session) -> Comparison:
        """Runs both models on all samples. Raises FeedError, UsageError `runtime-failure`."""
        sums = [MetricSums(self.scoring.plan) for _ in range(2)] if self.scoring is not None else []
        differences: dict[str, _DifferenceSums] = {}
        for feeds, inputs, count in self._batches():
            outputs = [each.run_prepared(inputs) for each in (self.float_session, session)]
            for name in outputs[0]:
                differences.setdefault(name, _DifferenceSums()).add(outputs[0][name], outputs[1][name])
            for own, result in zip(sums, outputs, strict=False):  # no sums without scoring
                own.add(score_outputs(self.scoring.scorer, feeds, result), count)  # type: ignore[union-attr]
        float_metrics, metrics = [self._known(own) for own in sums] or [{}, {}]
        return Comparison(float_metrics, metrics, {name: own.result() for name, own in differences.items()})

    def _batches(self) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]]:
        """The arrays of a batch, those that both models are fed, and the number of samples."""
        for rows in batch_slices(len(self.samples), self.batch_size):
            feeds = self.samples.take(rows)
            yield feeds, self.prepared(feeds), rows.stop - rows.start

    def first_feeds(self, count: int) -> dict[str, np.ndarray]:
        """What models are fed for this number of samples: the first ones, repeated if there are fewer."""
        return self.prepared(self.samples.take(np.arange(count) % len(self.samples)))

    def prepared(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The inputs of the float model, with drawn random inputs: both models get the same ones."""
        return self.float_session.prepare({name: feeds[name] for name in self.float_session.inputs})

    def _known(self, sums: MetricSums) -> dict[str, MetricValue]:
        missing = self.scoring.missing if self.scoring is not None else frozenset()
        return {name: metric for name, metric in sums.results().items() if name not in missing}


class _DifferenceSums:
    def __init__(self) -> None:
        self._maximum, self._total, self._count = 0.0, 0.0, 0

    def add(self, reference: np.ndarray, actual: np.ndarray) -> None:
        self._count += reference.size
        if reference.shape != actual.shape:
            self._maximum = self._total = inf
        elif reference.dtype.kind != "f":
            differing = int((reference != actual).sum())
            self._maximum, self._total = max(self._maximum, float(differing > 0)), self._total + differing
        elif reference.size:
            with np.errstate(invalid="ignore"):
                errors = np.abs(actual.astype(np.float64) - reference.astype(np.float64))
            errors[(reference == actual) | (np.isnan(reference) & np.isnan(actual))] = 0.0
            errors[np.isnan(errors)] = inf
            self._maximum, self._total = max(self._maximum, float(errors.max())), self._total + float(errors.sum())

    def result(self) -> OutputDifference:
        return OutputDifference(self._maximum, self._total / max(1, self._count))
