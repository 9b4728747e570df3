"""The callback that sends the metrics of a training run to its trackers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

from ...core.callback import Callback, Logs
from ...core.diagnostics import Diagnostic
from ...core.files.run_layout import RunPaths
from ...core.metric_values import numbers_only
from ...core.reserved_names import LEARNING_RATE
from ...sections.trackers import TRACKERS, Mlflow, Tensorboard, Tracker, Wandb
from ...trackers.tracker import Parameter, RunTracker, TrackedRun
from ...trackers.worker import TrackerWorker
from ..run_folder.run_info import RunInfo
from .run_folder_callback import steps_between_lines
from .run_warnings import Warn

if TYPE_CHECKING:
    from pathlib import Path

    from ..train.trainer import Trainer

MAX_END_SECONDS = 60.0
"""Maximum time that the end of a run waits for trackers to write all metrics."""
FAILED = "failed"
"""The state of a run that an error ended, besides the states of `run.json`."""
TAG_KEYS = ("spec", "name", "provider", "scale", "spec_sha256", "git_revision")
PARAMETER_SECTIONS = ("parameters", "training")
UNTRACKED_KEYS = ("data", "trackers")
"""Keys of `training` that do not influence the training."""


def selected_trackers(in_spec: Sequence[Tracker], names: Sequence[str]) -> tuple[Tracker, ...]:
    """The trackers of a spec, and trackers that are named besides."""
    trackers = {tracker.type_name: tracker for tracker in in_spec}
    for name in names:
        tracker: Any = TRACKERS.by_name[name]()
        trackers.setdefault(tracker.type_name, tracker)
    return tuple(trackers.values())


def create_tracker(tracker: Tracker) -> RunTracker:
    """Raises UsageError `missing-package`."""
    return _CREATORS[type(tracker)](tracker)


def _tensorboard(tracker: Any) -> RunTracker:
    from ...trackers.tensorboard import TensorboardTracker

    return TensorboardTracker()


def _mlflow(tracker: Any) -> RunTracker:
    from ...trackers.mlflow import MlflowTracker

    return MlflowTracker(tracker.experiment)


def _wandb(tracker: Any) -> RunTracker:
    from ...trackers.wandb import WandbTracker

    return WandbTracker(tracker.project, tracker.mode)


_CREATORS: Mapping[type[Tracker], Callable[[Any], RunTracker]] = {
    Tensorboard: _tensorboard,
    Mlflow: _mlflow,
    Wandb: _wandb,
}


class RunTrackers(Callback):
    """Sends metrics to trackers: metrics by step as `step/NAME`, metrics by epoch under their names.

    The first exception of a tracker is a warning; training goes on without it. Raises UsageError `missing-package`.
    """

    def __init__(self, trackers: Sequence[Tracker], warn: Warn) -> None:
        super().__init__()
        for tracker in trackers:
            create_tracker(tracker)  # a missing package is an error before the first step
        self._trackers, self._warn = trackers, warn
        self._workers: list[TrackerWorker] = []
        self._epoch = 0
        self.state = FAILED

    @contextmanager
    def tracking(
        self, trainer: Trainer, folder: Path, run_info: RunInfo, document: Any, is_resumed: bool
    ) -> Iterator[None]:
        """Starts the trackers, and ends them with `state`."""
        self.set_model(trainer)
        parameters, tags = {"seed": run_info["seed"], **run_parameters(document)}, run_tags(run_info)
        run = TrackedRun(folder, is_resumed, self.trainer.steps, parameters, tags, RunPaths(folder).spec)
        self.start(run)
        try:
            yield
        finally:
            self.end()

    def start(self, run: TrackedRun) -> None:
        self._workers = [TrackerWorker(tracker.type_name, create_tracker(tracker)) for tracker in self._trackers]
        self._call("start", run)

    def end(self) -> None:
        """Ends the trackers with `state`, and waits until they have written everything."""
        self._call("end", self.state)
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._workers and (batch + 1) % steps_between_lines(self.params["steps"] or 0) == 0:
            logs = {**(logs or {}), LEARNING_RATE: self.trainer.last_learning_rate}
            self.send({f"step/{name}": value for name, value in numbers_only(logs).items()})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.send(logs or {})

    def send(self, metrics: Mapping[str, float]) -> None:
        """Sends the metrics that are finite numbers."""
        values = {name: float(value) for name, value in numbers_only(metrics).items() if isfinite(value)}
        if values:
            self._call("figures", self.trainer.steps, self._epoch, values)

    def _call(self, method: str, *arguments: Any) -> None:
        self._report_errors()
        for worker in self._workers:
            worker.call(method, *arguments)

    def _close(self) -> None:
        for worker in self._workers:
            worker.close()
        deadline = time.monotonic() + MAX_END_SECONDS
        slow = [worker for worker in self._workers if not worker.wait(max(0.0, deadline - time.monotonic()))]
        self._report_errors()
        for worker in slow:
            reason = f"has not written all metrics {MAX_END_SECONDS:.0f} seconds after the end; it lacks the last ones"
            self._warn([_error(f"the tracker {worker.name} {reason}")])

    def _report_errors(self) -> None:
        for worker in [worker for worker in self._workers if worker.error]:
            self._workers.remove(worker)
            self._warn([_error(f"the tracker {worker.name} failed, and gets no more metrics: {worker.error}")])


def _error(message: str) -> Diagnostic:
    return Diagnostic("tracker-failed", message, severity="warning")


def run_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """The values of `run.json` that describe a run."""
    return {f"jsonnx.{key}": str(values[key]) for key in TAG_KEYS if values.get(key) is not None}


def run_parameters(document: Any) -> dict[str, Parameter]:
    """The values of the spec that parameters and the training section give, by their paths, such as
    `training.optimizer.learning_rate`."""
    parameters: dict[str, Parameter] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if f"{path}.{key}" not in {f"training.{name}" for name in UNTRACKED_KEYS}:
                    add(f"{path}.{key}", item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                add(f"{path}.{index}", item)
        else:
            parameters[path] = value

    for section in PARAMETER_SECTIONS:
        add(section, document.get(section, {}))
    return parameters
