"""The objective of a training: losses and metrics, by output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...core.components import Component
from ...core.reserved_names import LOSS, output_loss_name
from ...core.types import TensorType
from ..losses.distillation import Distillation
from ..losses.losses import Loss
from ..target_form import TargetForm
from .metrics import Metric


def _is_missing(component: Component) -> bool:
    return component.is_python_function and getattr(component, "implementation", None) is None


class ReportedMetric(NamedTuple):
    """A metric of an output. A weighted one multiplies the values of samples by their weights, if they have any."""

    output: str
    metric: Metric
    is_weighted: bool = False


class Objective(NamedTuple):
    """The losses, their weights, the metrics and the types of the targets, by output name."""

    losses: Mapping[str, Loss]
    weights: Mapping[str, float]
    metrics: Mapping[str, tuple[Metric, ...]]
    targets: Mapping[str, TensorType]
    added_losses: tuple[str, ...] = ()
    """The names of the layers that add a reported loss."""
    weighted_metrics: Mapping[str, tuple[Metric, ...]] = {}
    """The metrics that sample weights apply to."""
    weighted_outputs: frozenset[str] = frozenset()
    """The outputs whose losses take sample weights."""
    target_forms: Mapping[str, TargetForm] = {}
    """What losses compare in place of targets and outputs, by output."""
    distillation: Distillation | None = None
    """What training steps also learn from a teacher; evaluation compares outputs with targets alone."""

    def missing_functions(self) -> set[str]:
        """The reported names of the losses and metrics that depend on a Python function which is missing."""
        missing = {output for output, loss in self.losses.items() if _is_missing(loss)}
        losses = {LOSS, *(output_loss_name(output) for output in missing if len(self.losses) > 1)} if missing else set()
        return losses | {name for name, (_, metric, _) in self.metrics_by_name().items() if _is_missing(metric)}

    def metrics_by_name(self) -> dict[str, ReportedMetric]:
        """The metrics by the name under which they are reported, the weighted ones last.

        As in Keras, the name begins with that of the output if there are several. Duplicates get `_1`, `_2`, ...;
        those of a weighted metric begin with `weighted_`.
        """
        by_name: dict[str, ReportedMetric] = {}
        for reported in self._metrics():
            name = self._metric_name(reported)
            if name in by_name and reported.is_weighted:
                name = self._metric_name(reported, "weighted_")
            base_name, number = name, 0
            while name in by_name:
                number += 1
                name = f"{base_name}_{number}"
            by_name[name] = reported
        return by_name

    def _metrics(self) -> Iterator[ReportedMetric]:
        for is_weighted, by_output in ((False, self.metrics), (True, self.weighted_metrics)):
            for output, metrics in by_output.items():
                yield from (ReportedMetric(output, metric, is_weighted) for metric in metrics)

    def _metric_name(self, reported: ReportedMetric, prefix: str = "") -> str:
        name = f"{prefix}{reported.metric.reported_name}"
        return f"{reported.output}_{name}" if len(self.losses) > 1 else name
