"""Starts the workers of a training, shows what they tell, and returns what they have achieved."""

from __future__ import annotations

import copy
import os
import signal
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.util.scheduling_strategies  # (an attribute of `ray.util` only then)
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from ..core.diagnostics import UsageError
from ..core.training_options import TrainingOptions
from ..pipeline.check.check import CheckedSpec
from ..pipeline.run.lock_file import LockedRun
from ..pipeline.run.run_outcome import Outcome
from ..runtime.providers.signals import StopOnSignal
from .backend import EndOnError, JsonnxConfig
from .cluster import Cluster, cause_of
from .monitor import Monitor, on_node_of_driver
from .node_checks import NodeChecks
from .progress import Progress
from .worker import SpecText, TrainingJob, train_worker

SECONDS_BETWEEN_LOOKS = 0.2
ENDLESS_ATTEMPTS = -1
"""Ray's number of failures: the monitor ends a training that makes no progress."""


def launch(
    cluster: Cluster,
    scaling_config: ScalingConfig,
    run_config: RunConfig | None,
    checks: NodeChecks,
    progress: Progress,
    *,
    checked: CheckedSpec,
    folder: Path,
    options: TrainingOptions,
    lock: LockedRun | None,
    shards: int,
    cpus_per_worker: int,
) -> Outcome:
    """Trains on workers. Raises what a worker has raised, UsageError `worker-lost`, KeyboardInterrupt."""
    monitor = on_node_of_driver(ray, Monitor).remote()
    job = TrainingJob(
        monitor,
        os.getcwd(),
        os.path.abspath(folder),
        SpecText.of(checked, options),
        options,
        shards,
        cpus_per_worker,
        lock,
    )
    with tempfile.TemporaryDirectory(prefix="jsonnx-ray-", ignore_cleanup_errors=True) as storage:
        fit = _Fit(
            DataParallelTrainer(
                train_worker,
                train_loop_config={"job": job},
                backend_config=JsonnxConfig(monitor, checks),
                scaling_config=scaling_config,
                run_config=_run_config(run_config, monitor, storage),
            )
        )
        try:
            _show_until_end(fit, monitor, progress)
            error, outcome = ray.get(monitor.result.remote())
        except ray.exceptions.RayError as lost:
            raise UsageError("worker-lost", f"the training was lost: {cause_of(lost)}") from lost
        finally:
            ray.kill(monitor)  # workers that are left end themselves then
            fit.join()
    if error is not None:
        raise error
    if outcome is None:
        raise UsageError("worker-lost", f"the training has failed: {cause_of(fit.error or RuntimeError())}")
    return replace(outcome, folder=folder)


class _Fit:
    """A training of Ray in a thread, since it would wait without drawing progress, and catch Ctrl-C."""

    def __init__(self, trainer: DataParallelTrainer) -> None:
        self.error: BaseException | None = None
        self._trainer = trainer
        self._thread = threading.Thread(target=self._run, name="jsonnx-ray-fit", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        """Waits for the end for a short time: Ray's controller ends when it has seen that the monitor has."""
        with suppress(KeyboardInterrupt):
            self._thread.join(2.0)

    def _run(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as error:
            self.error = error


def _show_until_end(fit: _Fit, monitor: Any, progress: Progress) -> None:
    """Shows events until the training has ended. A first signal is passed on to the workers; another one, or one while
    there are none, acts as usual."""
    with StopOnSignal() as stop:
        is_told = False
        pending = monitor.take.remote(SECONDS_BETWEEN_LOOKS)
        while True:
            is_running = fit.is_running
            if ray.wait([pending], timeout=SECONDS_BETWEEN_LOOKS)[0] or not is_running:
                for event in ray.get(pending):
                    progress.show(event)
                if not is_running:
                    return
                pending = monitor.take.remote(SECONDS_BETWEEN_LOOKS)
            if stop.signal is not None and not is_told:
                if not progress.is_training:
                    break
                is_told = True
                monitor.stop.remote(stop.signal)
    signal.raise_signal(stop.signal)


def _run_config(given: RunConfig | None, monitor: Any, storage: str) -> RunConfig:
    """The user's configuration, or one with which Ray starts lost workers again; with the end at an error."""
    if given is None:
        given = RunConfig(storage_path=storage, failure_config=FailureConfig(max_failures=ENDLESS_ATTEMPTS))
    config = copy.copy(given)
    config.callbacks = [*(given.callbacks or ()), EndOnError(monitor)]
    return config
