"""Loss and metrics of one output, from its numbers, for all samples and for groups of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backend import to_model_proto
from ...core.metric_values import MetricValue
from ...core.reserved_names import LOSS, metric_sums_name
from ...runtime.session.session import Session
from ...training.metrics.metrics import Metric
from ...training.metrics.objective import Objective
from ..check.check import CheckedSpec
from ..compile.graphs import output_scoring_graph

MAX_GROUP_SUMS = 4096
"""Maximum number of sums of a metric that are kept for each group of samples; of a longer vector, only the total is."""
MAX_KEPT_SAMPLES = 20_000
"""Maximum number of samples of the interval of a metric that keeps samples, and so is computed for each draw."""

Statistics = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class OutputScorer:
    """The graph that computes loss and metrics of an output."""

    session: Session
    metrics: dict[str, Metric]
    has_loss: bool
    """Whether the loss can be computed: one that is a Python function is missing."""

    @staticmethod
    def of(
        checked: CheckedSpec, output: str, is_weighted: bool, target_statistics: Mapping[str, Mapping[str, np.ndarray]]
    ) -> OutputScorer:
        """The scorer of an output of a spec, without the penalties on weights. Raises CompileError if the output's mask
        depends on weights."""
        objective = checked.objective
        if objective is None:
            raise ValueError("a spec without an objective")
        own = objective_of(objective, output, is_weighted)
        graph = output_scoring_graph(checked.require(), own, target_statistics)
        missing = own.missing_functions()
        metrics = {name: reported.metric for name, reported in own.metrics_by_name().items() if name not in missing}
        return OutputScorer(Session(to_model_proto(graph)), metrics, LOSS not in missing)

    def statistics(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The loss and the sums of each metric, of some samples."""
        return self.session.run({name: feeds[name] for name in self.session.inputs})


def objective_of(objective: Objective, output: str, is_weighted: bool) -> Objective:
    """The objective of one output."""

    def own(by_output: Mapping[str, Any]) -> dict[str, Any]:
        return {output: by_output[output]} if output in by_output else {}

    return objective._replace(
        losses=own(objective.losses),
        weights=objective.weights if len(objective.losses) == 1 else {},
        metrics=own(objective.metrics),
        targets=own(objective.targets),
        added_losses=(),
        weighted_metrics=own(objective.weighted_metrics) if is_weighted else {},
        weighted_outputs=frozenset([output]) if is_weighted else frozenset(),
        target_forms=own(objective.target_forms),
    )


@dataclass
class ScoreSums:
    """The losses and sums of metrics of a model, in total and by groups of samples."""

    metrics: Mapping[str, Metric]
    has_loss: bool = True
    totals: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, statistics: Statistics, count: int) -> None:
        """Adds the statistics of a batch."""
        self._add_total(LOSS, np.array([float(statistics[LOSS]) * count, count]))
        for name, metric in self.metrics.items():
            self._add_total(name, np.asarray(statistics[metric_sums_name(name)], np.float64), metric.keeps_samples)

    def _add_total(self, name: str, sums: np.ndarray, keeps_samples: bool = False) -> None:
        if name not in self.totals:
            self.totals[name] = sums
        else:
            self.totals[name] = np.concatenate([self.totals[name], sums]) if keeps_samples else self.totals[name] + sums

    def add_group(self, statistics: Statistics, count: int) -> None:
        """Adds the statistics of a group, of which the bootstrap draws."""
        self.groups.setdefault(LOSS, []).append(np.array([float(statistics[LOSS]) * count, count]))
        for name in self.metrics:
            sums = np.asarray(statistics[metric_sums_name(name)], np.float64)
            if sums.size <= MAX_GROUP_SUMS:
                self.groups.setdefault(name, []).append(sums)

    def add_errors(self, name: str, errors: np.ndarray, groups: Sequence[np.ndarray]) -> None:
        """Adds a further metric, the mean of the errors of samples."""
        self._add_total(name, np.array([errors.sum(), len(errors)]))
        own = self.groups.setdefault(name, [])
        own += (np.array([errors[group].sum(), len(group)]) for group in groups)

    def plus(self, other: ScoreSums) -> ScoreSums:
        """The sums over the samples of both."""
        joined = ScoreSums(self.metrics, self.has_loss, dict(self.totals))
        for name, total in other.totals.items():
            joined._add_total(name, total, name in self.metrics and self.metrics[name].keeps_samples)
        joined.groups = {name: [*own, *other.groups.get(name, [])] for name, own in self.groups.items()}
        return joined

    def results(self) -> dict[str, MetricValue]:
        """The loss and the metrics of all samples."""
        with np.errstate(divide="ignore", invalid="ignore"):
            results = {name: self.result_of(name)(total) for name, total in self.totals.items()}
        return {name: result for name, result in results.items() if name != LOSS or self.has_loss}

    def result_of(self, name: str) -> Callable[[np.ndarray], MetricValue]:
        """Computes a metric from its sums."""
        return self.metrics[name].result if name in self.metrics else _quotient

    def resampled(self, name: str, draws: np.ndarray) -> np.ndarray | None:
        """A metric [draws] for groups that are drawn as often as `draws` [draws, groups] says; None for a list, or for
        a metric of too many samples."""
        groups = self.groups.get(name, [])
        metric = self.metrics.get(name)
        if len(groups) != draws.shape[1] or (metric is not None and not metric.is_scalar):
            return None
        result = self.result_of(name)
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric is not None and metric.keeps_samples:
                if sum(map(len, groups)) > MAX_KEPT_SAMPLES:
                    return None
                numbers = np.arange(len(groups))
                return np.array(
                    [result(np.concatenate([groups[index] for index in np.repeat(numbers, row)])) for row in draws]
                )
            stacked = np.stack(groups)
            sums = draws.astype(np.float64) @ stacked.reshape(len(stacked), -1)
            return np.array([result(row) for row in sums.reshape(len(draws), *stacked.shape[1:])], np.float64)


def _quotient(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1])
