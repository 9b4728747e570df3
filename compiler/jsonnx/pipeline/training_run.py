"""A training run from the command line: a spec in, a RUN folder out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..backend import package_version
from ..core.diagnostics import Diagnostic, Note, UsageError
from ..core.files import refuse_overwrite, write_atomically
from ..frontend.json_reader import STDIN_NAME
from ..runtime.dataset import Dataset, from_spec
from ..runtime.early_stopping import EarlyStoppingMonitor
from ..runtime.run_folder import METRICS_FILE, MODEL_FILE, RUN_INFO_FILE, SPEC_FILE, WEIGHTS_FILE, RunFolder
from ..runtime.signals import StopOnSignal
from ..runtime.trainer import Diverged, History
from ..runtime.training_plan import TrainingPlan
from ..runtime.weight_files import WeightsReport
from .check import CheckedSpec
from .initial_weights import Weights
from .trainer import Trainer

EPOCH_CHECKPOINT_SECONDS, STEP_CHECKPOINT_SECONDS = 5.0, 60.0
"""Minimum seconds between checkpoints, at the end of an epoch and within one.

More frequent checkpoints would take a large part of the run's time; a resumed run repeats the steps since the last one.
"""

RESTART_HELP = "choose another folder with -o, or start over with --force"


@dataclass
class Outcome:
    """The result of a run. `test_figures` are loss and metrics on the spec's test data, if it names any."""

    folder: Path
    history: History
    test_figures: dict[str, float] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The exit status: 0, or 128 and the number of the signal that interrupted the run."""
        return 128 + self.history.signal if self.history.signal else 0

    def summary_lines(self) -> list[str]:
        """The summary that the command prints."""
        lines = []
        if self.history.interrupted:
            lines.append(f"interrupted after {len(self.history.epoch)} epochs; `--resume` continues from there")
        if self.history.stopped_early:
            lines.append(f"stopped early, after epoch {len(self.history.epoch)}")
        if self.history.best_epoch is not None and not self.history.interrupted:
            lines.append(f"best epoch: {self.history.best_epoch + 1}")
        if self.test_figures:
            lines.append("test  " + "  ".join(f"{name} {value:.4f}" for name, value in self.test_figures.items()))
        return [*lines, f"wrote {self.folder / 'model.onnx'}"]


class Recorder:
    """Writes loss and metrics of each epoch, and checkpoints at intervals and at the end."""

    def __init__(self, run: RunFolder, trainer: Trainer) -> None:
        self.run, self.trainer = run, trainer
        self.last_save = time.monotonic()

    def on_step(self, step: int, figures: Mapping[str, float]) -> None:
        self._save_if_due(STEP_CHECKPOINT_SECONDS)

    def on_epoch_end(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.run.append_metrics(epoch, figures)
        self._save_if_due(EPOCH_CHECKPOINT_SECONDS)

    def on_end(self, history: History) -> None:
        self._save_if_due(0.0)

    def _save_if_due(self, interval: float) -> None:
        if time.monotonic() - self.last_save >= interval:
            self.run.save_checkpoint(self.trainer)
            self.last_save = time.monotonic()


@dataclass(frozen=True)
class RunOptions:
    """How a run starts: the options of `jsonnx train`."""

    provider: str = "cpu"
    seed: int | None = None
    weights: str | None = None
    partial: bool = False
    resume: bool = False
    force: bool = False
    verify: bool = True

    @property
    def may_overwrite(self) -> bool:
        return self.resume or self.force


def train(
    checked: CheckedSpec,
    folder: Path,
    options: RunOptions = RunOptions(),
    *,
    callbacks: Iterable[object] = (),
    warn: Callable[[list[Diagnostic]], None] = lambda diagnostics: None,
    on_weights_resolved: Callable[[WeightsReport], None] = lambda report: None,
) -> Outcome:
    """Trains on the spec's data and writes all results to the folder.

    An interrupted run leaves its weights, its model and a checkpoint. `warn` is called with warnings,
    `on_weights_resolved` with the report on initial weights from a file. Raises CompileError, FeedError, UsageError,
    and Diverged, in which case the folder has the last finite weights.
    """
    outputs = [folder / name for name in (RUN_INFO_FILE, SPEC_FILE, WEIGHTS_FILE, MODEL_FILE, METRICS_FILE)]
    refuse_overwrite([*checked.files, *([Path(options.weights)] if options.weights else [])], outputs)
    _check_folder(folder, outputs, options)
    # The checkpoint replaces the initial weights, so a resumed run does not read their file.
    weights: Weights = {} if options.resume else options.weights
    partial = options.partial or options.resume
    trainer = Trainer(checked, options.provider, options.seed, weights, partial=partial, verify=options.verify)
    data = _load_data(trainer.plan)  # before anything is written, so that an error leaves no files
    with RunFolder(folder) as run:
        _check_folder(folder, outputs, options)  # again: another process may have written to it
        if options.resume:
            warn(_resume(run, trainer))
        else:
            if trainer.weights_report is not None:
                on_weights_resolved(trainer.weights_report)
            run.start_run(trainer)
        _write_run_info(run, checked, trainer)
        run.truncate_metrics(trainer.epochs_done)
        history = _fit(run, trainer, data, callbacks)
        with StopOnSignal() as stop_signal:
            _write_results(run, trainer)
        history.signal = history.signal or stop_signal.signal
        test = data["test"] if not history.interrupted else None
        return Outcome(folder, history, trainer.evaluate(test) if test is not None else {})


def _resume(run: RunFolder, trainer: Trainer) -> list[Diagnostic]:
    """Loads the newest checkpoint and returns warnings. Raises UsageError if there is none."""
    checkpoint, warnings = run.load_newest_checkpoint(trainer)
    if checkpoint is None:
        raise UsageError("no-checkpoint", f"there is no checkpoint in {str(run.path)!r} to resume from", RESTART_HELP)
    return warnings


def _fit(run: RunFolder, trainer: Trainer, data: Mapping[str, Dataset | None], callbacks: Iterable[object]) -> History:
    """Trains. If that fails, the error names the weights that are left, or the way to continue."""
    try:
        listeners = [Recorder(run, trainer), *callbacks]
        return trainer.fit(data["train"], validation_data=data["validation"], callbacks=listeners)
    except Diverged as error:
        _write_results(run, trainer)
        note = Note(f"the last finite weights are in {str(run.path / MODEL_FILE)!r}")
        error.diagnostics = [replace(diagnostic, notes=(note,)) for diagnostic in error.diagnostics]
        raise
    except UsageError as error:  # a file of the run cannot be written, for instance because the disk is full
        help = "once that is fixed, --resume continues from the last checkpoint"
        raise UsageError(error.diagnostic.code, error.diagnostic.message, help) from error


def _check_folder(folder: Path, outputs: Iterable[Path], options: RunOptions) -> None:
    """Raises UsageError if there is no run to resume, or if the run would overwrite a file."""
    is_run, existing = os.path.exists(folder / RUN_INFO_FILE), [path for path in outputs if os.path.exists(path)]
    if options.resume and not is_run:
        message = f"there is no run in {str(folder)!r} to resume"
        raise UsageError("no-checkpoint", message, "omit --resume to start one")
    if is_run and not options.may_overwrite:
        message = f"there is already a run in {str(folder)!r}"
        raise UsageError("run-exists", message, f"continue it with --resume, {RESTART_HELP}")
    if existing and not options.may_overwrite:
        message = f"{str(existing[0])!r} already exists"
        raise UsageError("run-exists", message, f"{RESTART_HELP}, which overwrites it")


def _load_data(plan: TrainingPlan) -> dict[str, Dataset | None]:
    """Reads and checks all of the spec's data, and splits off the validation data if the spec says so."""
    data = {part: from_spec(plan, part) for part in ("train", "validation", "test")}
    train = data["train"]
    if train is None:
        raise UsageError("no-data", "the spec names no data to train on", "name a file in `training.data.train`")
    fraction = plan.training.data.validation_split if plan.training.data else 0.0
    if fraction and data["validation"] is None:
        data["train"], data["validation"] = train.split(fraction)
    EarlyStoppingMonitor(
        plan, data["validation"] is not None
    )  # raises UsageError if this run does not report the monitored figure
    return data


def _write_run_info(run: RunFolder, checked: CheckedSpec, trainer: Trainer) -> None:
    """Writes the spec as it was trained, and the folder, provider and seed that later commands need."""
    run_info = {
        "jsonnx": package_version(),
        "data_folder": os.path.relpath(checked.folder.resolve(), run.path.resolve()),
        "spec": Path(checked.source.file or STDIN_NAME).name,
        "provider": trainer.provider,
        "seed": trainer.plan.seed,
    }
    write_atomically(run.path / RUN_INFO_FILE, (json.dumps(run_info, indent=2) + "\n").encode())
    run.write_spec(json.dumps(checked.source.value, indent=2, ensure_ascii=False) + "\n")


def _write_results(run: RunFolder, trainer: Trainer) -> None:
    """Writes weights and model, but no checkpoint: after a divergence, a run resumes from the checkpoint before it."""
    run.write_weights(trainer.weights())
    run.write_model(trainer.model().to_bytes())


__all__ = ["Outcome", "RunOptions", "train"]
