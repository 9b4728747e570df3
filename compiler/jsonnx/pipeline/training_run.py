"""A training run from the command line: a spec in, a RUN folder out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..backend import package_version
from ..core.diagnostics import Note, UsageError
from ..core.files import refuse_overwrite, write_atomically
from ..runtime.dataset import Dataset, from_spec
from ..runtime.early_stopping import EarlyStoppingMonitor
from ..runtime.run_folder import METRICS_FILE, MODEL_FILE, RUN_INFO_FILE, SPEC_FILE, WEIGHTS_FILE, RunFolder
from ..runtime.signals import StopOnSignal
from ..runtime.trainer import Diverged, History
from ..runtime.training_plan import TrainingPlan
from ..runtime.weight_files import WeightsReport
from .check import STDIN_NAME, CheckedSpec
from .initial_weights import Weights
from .trainer import Trainer

EPOCH_CHECKPOINT_SECONDS, STEP_CHECKPOINT_SECONDS = 5.0, 60.0
"""Seconds between checkpoints at the ends of epochs, and within one: a short epoch is cheaper to repeat than to
save."""

RESTART_HELP = "-o names another folder, --force starts anew"


@dataclass
class Outcome:
    """What a run ended with. `test_figures` has the figures on the spec's test data, where it names some."""

    folder: Path
    history: History
    test_figures: dict[str, float] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The exit status: 0, or 128 and the number of the signal that interrupted the run."""
        return 128 + self.history.signal if self.history.signal else 0

    def summary_lines(self) -> list[str]:
        """What a person wants to know."""
        told = []
        if self.history.interrupted:
            told.append(f"interrupted after {len(self.history.epoch)} epochs; `--resume` goes on from there")
        if self.history.stopped_early:
            told.append(f"stopped early, after epoch {len(self.history.epoch)}")
        if self.history.best_epoch is not None and not self.history.interrupted:
            told.append(f"best epoch: {self.history.best_epoch + 1}")
        if self.test_figures:
            told.append("test  " + "  ".join(f"{name} {value:.4f}" for name, value in self.test_figures.items()))
        return [*told, f"wrote {self.folder / 'model.onnx'}"]


class Recorder:
    """Writes an epoch's figures as it ends, and a checkpoint now and then and at the end."""

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


def train(
    checked: CheckedSpec,
    folder: Path,
    *,
    provider: str = "cpu",
    seed: int | None = None,
    weights: str | None = None,
    partial: bool = False,
    resume: bool = False,
    force: bool = False,
    callbacks: Iterable[object] = (),
    warn: Any = lambda diagnostics: None,
    on_weights_resolved: Callable[[WeightsReport], None] = lambda report: None,
) -> Outcome:
    """Train on the spec's data; everything of the run goes into the folder.

    An interrupted run leaves its weights, its model and a checkpoint to go on from. `warn` is called with diagnostics
    that are no errors, `on_weights_resolved` with what became of the weights that it starts from. Raises CompileError, FeedError,
    UsageError, Diverged (then the folder has the last good weights).
    """
    outputs = [folder / name for name in (RUN_INFO_FILE, SPEC_FILE, WEIGHTS_FILE, MODEL_FILE, METRICS_FILE)]
    refuse_overwrite([*checked.files, *([Path(weights)] if weights else [])], outputs)
    _check_folder(folder, outputs, resume, force)
    begun: Weights = {} if resume else weights  # what a checkpoint replaces need not be there any more
    trainer = Trainer(checked, provider, seed, begun, partial=partial or resume)
    data = _load_data(trainer.plan)  # before anything is written: what is wrong leaves no trace
    with RunFolder(folder) as run:
        _check_folder(folder, outputs, resume, force)  # again: another process may have been here
        if resume:
            found, warnings = run.load_newest_checkpoint(trainer)
            if found is None:
                raise UsageError(
                    "no-checkpoint", f"there is no checkpoint in {str(folder)!r} to go on from", RESTART_HELP
                )
            warn(warnings)
        else:
            if trainer.weights_report is not None:
                on_weights_resolved(trainer.weights_report)
            run.start_run(trainer)
        _write_run_info(run, checked, trainer)
        run.truncate_metrics(trainer.epochs_done)
        history = _fit(run, trainer, data, callbacks)
        with StopOnSignal() as asked:
            _write_results(run, trainer)
        history.signal = history.signal or asked.signal
        test = data["test"] if not history.interrupted else None
        return Outcome(folder, history, trainer.evaluate(test) if test is not None else {})


def _fit(run: RunFolder, trainer: Trainer, data: Mapping[str, Dataset | None], callbacks: Iterable[object]) -> History:
    """Train, and tell what is left where that fails half-way."""
    try:
        listeners = [Recorder(run, trainer), *callbacks]
        return trainer.fit(data["train"], validation_data=data["validation"], callbacks=listeners)
    except Diverged as error:
        _write_results(run, trainer)
        left = Note(f"the weights from before are in {str(run.path / MODEL_FILE)!r}")
        error.diagnostics = [replace(fault, notes=(left,)) for fault in error.diagnostics]
        raise
    except UsageError as error:  # the disk is full, or has gone
        help = "when that is mended, --resume goes on from the last checkpoint"
        raise UsageError(error.diagnostic.code, error.diagnostic.message, help) from error


def _check_folder(folder: Path, outputs: Iterable[Path], resume: bool, force: bool) -> None:
    """Raises UsageError where there is no run to resume, or where something would be written over."""
    is_run, there = os.path.exists(folder / RUN_INFO_FILE), [path for path in outputs if os.path.exists(path)]
    if resume and not is_run:
        raise UsageError(
            "no-checkpoint", f"there is no run in {str(folder)!r} to go on with", "without --resume one starts"
        )
    if is_run and not (resume or force):
        raise UsageError(
            "run-exists", f"there is a run in {str(folder)!r} already", f"--resume goes on with it, {RESTART_HELP}"
        )
    if there and not (resume or force):
        raise UsageError("run-exists", f"{str(there[0])!r} is there already", f"{RESTART_HELP}, and writes over it")


def _load_data(plan: TrainingPlan) -> dict[str, Dataset | None]:
    """The spec's data, all of it read and checked, split where the spec says so."""
    data = {part: from_spec(plan, part) for part in ("train", "validation", "test")}
    train = data["train"]
    if train is None:
        raise UsageError("no-data", "the spec names no data to train on", "name a file in `training.data.train`")
    share = plan.training.data.validation_split if plan.training.data else 0.0
    if share and data["validation"] is None:
        data["train"], data["validation"] = train.split(share)
    EarlyStoppingMonitor(plan, data["validation"] is not None)
    return data


def _write_run_info(run: RunFolder, checked: CheckedSpec, trainer: Trainer) -> None:
    """The spec as it was trained, and what a later command must know besides."""
    about = {
        "jsonnx": package_version(),
        "data_folder": os.path.relpath(checked.folder.resolve(), run.path.resolve()),
        "spec": Path(checked.source.file or STDIN_NAME).name,
        "provider": trainer.provider,
        "seed": trainer.plan.seed,
    }
    write_atomically(run.path / RUN_INFO_FILE, (json.dumps(about, indent=2) + "\n").encode())
    run.write_spec(json.dumps(checked.source.value, indent=2, ensure_ascii=False) + "\n")


def _write_results(run: RunFolder, trainer: Trainer) -> None:
    """What other programs use. No checkpoint: after a divergence the one before it is the one to go on from."""
    run.write_weights(trainer.weights())
    run.write_model(trainer.model().to_bytes())


__all__ = ["Outcome", "train"]
