"""Early stopping, and the weights of the best epoch, by Keras' rules."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from math import inf, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import loss_metric, validation_name
from ...sections.monitor import monitor_errors, monitored_metric
from ..execution.history import Weights
from .kept_weights import kept_weights

if TYPE_CHECKING:
    from ..training_plan import TrainingPlan


def is_maximized(plan: TrainingPlan, name: str, mode: str) -> bool:
    """Whether higher values of a loss or metric are better: by the mode `min` or `max`, or with `auto` by its kind."""
    if mode != "auto":
        return mode == "max"
    metric = plan.metrics.get(name.removeprefix(validation_name("")))
    return metric is not None and metric.higher_is_better


def require_monitored_metrics(plan: TrainingPlan, has_validation: bool) -> None:
    """Raises CompileError `unknown-figure` if a loss or metric is monitored that the training does not report."""
    metrics = [*map(loss_metric, plan.loss_names), *plan.metrics]
    lists = [name for name, metric in plan.metrics.items() if not metric.is_scalar]
    errors = monitor_errors(plan.training, metrics, has_validation, lists)
    diagnostics = [(Diagnostic("unknown-figure", error.message, help=error.help), error.path) for error in errors]
    if diagnostics:
        raise CompileError([plan.source.locate_diagnostic(*located) for located in diagnostics])


class EarlyStoppingMonitor:
    """Compares a loss or metric of each epoch with the best so far."""

    def __init__(self, plan: TrainingPlan, folder: str | os.PathLike[str] | None = None) -> None:
        """`folder` is for the best weights of large networks (`kept_weights`)."""
        self._folder = folder
        self._config, self.keeps_best_weights = plan.training.early_stopping, plan.training.restore_best_weights
        self._monitor = monitored_metric(plan.training) or ""
        self.is_maximized = False
        """Whether higher values of the monitored metric are better."""
        self.best, self.best_epoch, self.wait = inf, -1, 0
        self.best_weights: Weights | None = None
        if self._monitor:
            self.is_maximized = is_maximized(plan, self._monitor, self._config.mode if self._config else "auto")
            self._sign = -1.0 if self.is_maximized else 1.0

    def should_stop_after(
        self, epoch: int, metrics: Mapping[str, float], weights: Callable[[], Mapping[str, np.ndarray]]
    ) -> bool:
        """Records an epoch's losses and metrics, and its weights if it is the best so far. Returns whether to stop."""
        config = self._config
        if not (config or self.keeps_best_weights) or (config and epoch < config.start_from_epoch):
            return False
        if self._monitor not in metrics:  # an epoch without validation
            return False
        metric = self._sign * metrics[self._monitor]
        is_better = self.best_epoch < 0 or metric + (config.min_delta if config else 0.0) < self.best
        if is_better or (isnan(self.best) and not isnan(metric)):
            self.best, self.best_epoch, self.wait = metric, epoch, 0
            self.best_weights = kept_weights(weights(), self._folder) if self.keeps_best_weights else None
            return False
        self.wait += 1
        return config is not None and self.wait >= config.patience and epoch > 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}

    def load_state_dict(self, state: Mapping[str, Any], weights: Weights | None) -> None:
        self.best, self.best_epoch, self.wait = state["best"], state["best_epoch"], state["wait"]
        self.best_weights = weights
