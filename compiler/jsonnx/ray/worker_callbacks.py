"""What a worker tells during a training: its progress to the process that has started it, metrics to Ray."""

from __future__ import annotations

import time
from typing import Any

import ray
import ray.train
import ray.util.metrics

from ..collective.protocol import Collective
from ..core.callback import Callback, Logs
from ..core.metric_values import numbers_only
from .monitor import Event

MIN_SECONDS_BETWEEN_STEPS = 0.1
"""Between two steps of which the progress tells."""
MIN_SECONDS_BETWEEN_REPORTS = 10.0
"""Between two reports to Ray, in which all workers wait for each other and for Ray's controller."""


class ProgressEvents(Callback):
    """Tells a monitor the progress of a fit."""

    _reads_logs_lazily = True

    def __init__(self, monitor: Any) -> None:
        super().__init__()
        self._monitor = monitor
        self._next_step = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        ray.get(self._monitor.reach.remote("begun"))
        self._put(Event("begin", (self.params, self.trainer.plan.labels)))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._put(Event("epoch", epoch))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        now = time.monotonic()
        if now >= self._next_step:
            self._next_step = now + MIN_SECONDS_BETWEEN_STEPS
            self._put(Event("step", (batch, dict(logs or {}))))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._put(Event("epoch end", (epoch, dict(logs or {}))))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._put(Event("end", None))

    def _put(self, event: Event) -> None:
        self._monitor.put.remote(event, self.trainer.steps)


class MetricReports(Callback):
    """Reports the metrics of epochs to Ray: to its dashboard, and to callbacks of its trainer.

    A report has all workers wait for each other, so the first one decides for all whether an epoch has one.
    """

    _reads_logs_lazily = True

    def __init__(self, collective: Collective, run: str) -> None:
        super().__init__()
        self._collective = collective
        self._unreported: dict[str, float] = {}
        self._next_report = 0.0
        self._gauge = ray.util.metrics.Gauge(
            "jsonnx_metric", "A loss or metric of the last epoch of a training", tag_keys=("run", "metric")
        )
        self._tags = {"run": run}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        metrics = numbers_only(logs or {})
        if self._collective.rank == 0:
            for name, metric in metrics.items():
                self._gauge.set(metric, self._tags | {"metric": name})
        self._unreported = {"epoch": epoch + 1, **metrics}
        is_due = self._collective.broadcast(bytes([time.monotonic() >= self._next_report])) != bytes(1)
        if is_due:
            self._report()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._report()

    def _report(self) -> None:
        if self._unreported:
            ray.train.report(self._unreported)
            self._unreported = {}
            self._next_report = time.monotonic() + MIN_SECONDS_BETWEEN_REPORTS
