"""The objective of a training: losses and metrics, by output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..core.types import TensorType
from .losses import Loss
from .metrics import Metric


class Objective(NamedTuple):
    """The losses, their weights, the metrics and the types of the targets, by output name."""

    losses: Mapping[str, Loss]
    weights: Mapping[str, float]
    metrics: Mapping[str, tuple[Metric, ...]]
    targets: Mapping[str, TensorType]
    added_losses: tuple[str, ...] = ()
    """The names of the layers that add a reported loss."""

    def metrics_by_name(self) -> dict[str, tuple[str, Metric]]:
        """Outputs and metrics by the reported name.

        As in Keras, the name begins with that of the output if there are several, and duplicates get `_1`, `_2`, ...
        """
        has_several_outputs = len(self.losses) > 1
        by_name: dict[str, tuple[str, Metric]] = {}
        for output, metrics in self.metrics.items():
            for metric in metrics:
                base_name = name = f"{output}_{metric.reported_name}" if has_several_outputs else metric.reported_name
                number = 0
                while name in by_name:
                    number += 1
                    name = f"{base_name}_{number}"
                by_name[name] = output, metric
        return by_name
