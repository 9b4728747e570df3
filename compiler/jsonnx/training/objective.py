"""What training minimises and reports, by output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..core.types import TensorType
from .losses import Loss
from .metrics import Metric


@dataclass(frozen=True)
class Objective:
    """What is minimised and reported: losses, their weights, metrics and the types of targets, by output name."""

    losses: Mapping[str, Loss]
    weights: Mapping[str, float]
    metrics: Mapping[str, tuple[Metric, ...]]
    targets: Mapping[str, TensorType]

    def metrics_by_name(self) -> dict[str, tuple[str, Metric]]:
        """Output and metric by the name reported: the output's name before it if there are several, `_1` after it where
        a name comes again, as in Keras."""
        several = len(self.losses) > 1
        named: dict[str, tuple[str, Metric]] = {}
        for output, metrics in self.metrics.items():
            for metric in metrics:
                wanted = name = f"{output}_{metric.reported_name}" if several else metric.reported_name
                number = 0
                while name in named:
                    number += 1
                    name = f"{wanted}_{number}"
                named[name] = output, metric
        return named
