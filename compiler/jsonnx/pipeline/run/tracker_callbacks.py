"""Callbacks that send the metrics of a fit to TensorBoard, MLflow or Weights & Biases."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from ...core.callback import Logs
from ...core.diagnostics import Diagnostic
from ...core.files.files import make_folders, write_atomically
from ...core.files.run_layout import RunPaths
from ...runtime.fit.trainer import Diverged
from ...sections.trackers import Mlflow, Tensorboard, Tracker, Wandb
from ...trackers.tracker import TrackedRun
from ..run_folder.run_info import DIVERGED, FINISHED, INTERRUPTED
from ..run_folder.spec_files import spec_sha256, spec_texts
from .run_trackers import FAILED, RunTrackers, run_parameters, run_tags

DEFAULT_FOLDER = "logs"


class _TrackerCallback(RunTrackers):
    """Sends losses and metrics to a tracker. Its first error is a RuntimeWarning; the fit goes on without it.

    A fit after the first steps of the Trainer continues the run that the folder has; any other begins a new one.
    """

    def __init__(self, tracker: Tracker, log_dir: str | os.PathLike[str]) -> None:
        super().__init__([tracker], _warn)
        self._folder = Path(log_dir)
        self._spec_folder: TemporaryDirectory[str] | None = None
        """Has the spec's file until the tracker has read it."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        make_folders(self._folder)
        self._spec_folder = TemporaryDirectory(prefix="jsonnx-tracker-")
        self.start(self._tracked_run(RunPaths(Path(self._spec_folder.name))))

    def _tracked_run(self, paths: RunPaths) -> TrackedRun:
        trainer = self.trainer
        checked = trainer._checked
        write_atomically(paths.spec, spec_texts(paths, checked)[paths.spec].encode())
        tags = {"name": checked.network.name, "provider": trainer.provider, "spec_sha256": spec_sha256(checked)}
        parameters = {"seed": trainer.plan.seed, **run_parameters(checked.source.value)}
        return TrackedRun(self._folder, trainer.steps > 0, trainer.steps, parameters, run_tags(tags), paths.spec)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._end(INTERRUPTED if self.trainer.history.interrupted else FINISHED)

    def fit_failed(self, error: BaseException) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        self._end(DIVERGED if isinstance(error, Diverged) else INTERRUPTED if interrupted else FAILED)

    def _end(self, state: str) -> None:
        folder, self._spec_folder = self._spec_folder, None
        if folder is not None:
            self.state = state
            self.end()
            folder.cleanup()


def _warn(diagnostics: Iterable[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        warnings.warn(diagnostic.message, RuntimeWarning, stacklevel=2)


class TensorBoard(_TrackerCallback):
    """Writes event files for TensorBoard to the folder `tensorboard` in `log_dir`: `tensorboard --logdir LOG_DIR` shows
    them.

    The first error is a RuntimeWarning, and the fit goes on without it. A fit that goes on after steps of the Trainer
    continues the metrics in the folder, any other replaces them. Raises UsageError without the package tensorboardX.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = DEFAULT_FOLDER) -> None:
        super().__init__(Tensorboard(), log_dir)


class MLflow(_TrackerCallback):
    """Logs parameters, metrics and the spec to the store of MLflow that `MLFLOW_TRACKING_URI` names.

    The run has the name of the folder `log_dir`, where `mlflow.json` keeps its id: a fit that goes on after steps of
    the Trainer continues it. If `experiment` is None, `MLFLOW_EXPERIMENT_NAME` or MLflow's default is taken. The first
    error is a RuntimeWarning, and the fit goes on without it. Raises UsageError without the package mlflow.
    """

    def __init__(self, experiment: str | None = None, log_dir: str | os.PathLike[str] = DEFAULT_FOLDER) -> None:
        super().__init__(Mlflow(experiment=experiment), log_dir)


class WandB(_TrackerCallback):
    """Logs a run of Weights & Biases to the folder `wandb` in `log_dir`, for `wandb sync`.

    With `mode="online"`, it also goes to the server that `wandb login` named. If `project` is None, `WANDB_PROJECT` or
    the default is taken. The first error is a RuntimeWarning, and the fit goes on without it. Raises ValueError for
    another mode, UsageError without the package wandb.
    """

    def __init__(
        self,
        project: str | None = None,
        mode: Literal["offline", "online"] = "offline",
        log_dir: str | os.PathLike[str] = DEFAULT_FOLDER,
    ) -> None:
        if mode not in ("offline", "online"):
            raise ValueError(f"mode must be 'offline' or 'online', got {mode!r}")
        super().__init__(Wandb(project=project, mode=mode), log_dir)
