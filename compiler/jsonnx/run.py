"""A training run from the command line: a spec in, a RUN folder out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .api import Trainer
from .backend import package_version
from .diagnostics import UsageError
from .interop.weights import read_weights
from .runtime.data import from_spec
from .runtime.files import write_atomically
from .runtime.run_folder import RunFolder
from .runtime.trainer import Diverged, History
from .validation import Checked

ABOUT = "run.json"
EVERY = 5.0
"""Seconds between checkpoints at the ends of epochs: a short epoch is cheaper to repeat than to save."""


@dataclass
class Outcome:
    """What a run ended with. `test` has the figures on the spec's test data, where it names some."""

    folder: Path
    history: History
    test: dict[str, float] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The exit status: 0, or 128 and the number of the signal that interrupted the run."""
        return 128 + self.history.signal if self.history.signal else 0

    def lines(self) -> list[str]:
        """What a person wants to know."""
        told = []
        if self.history.interrupted:
            told.append(f"interrupted after {len(self.history.epoch)} epochs; `--resume` goes on from there")
        if self.history.stopped_early:
            told.append(f"stopped early, after epoch {len(self.history.epoch)}")
        if self.history.best_epoch is not None and not self.history.interrupted:
            told.append(f"best epoch: {self.history.best_epoch + 1}")
        if self.test:
            told.append("test  " + "  ".join(f"{name} {value:.4f}" for name, value in self.test.items()))
        return [*told, f"wrote {self.folder / 'model.onnx'}"]


class Recorder:
    """Writes an epoch's figures as it ends, and a checkpoint now and then."""

    def __init__(self, run: RunFolder, trainer: Trainer) -> None:
        self.run, self.trainer = run, trainer
        self.saved = time.monotonic()

    def on_epoch_end(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.run.add_figures(epoch, figures)
        if time.monotonic() - self.saved > EVERY:
            self.run.save(self.trainer)
            self.saved = time.monotonic()


def train(
    checked: Checked,
    folder: Path,
    *,
    provider: str = "cpu",
    seed: int | None = None,
    weights: str | None = None,
    resume: bool = False,
    force: bool = False,
    callbacks: Iterable[object] = (),
    warn: Any = lambda diagnostics: None,
) -> Outcome:
    """Train on the spec's data; everything of the run goes into the folder.

    An interrupted run leaves its weights, its model and a checkpoint to go on from. `warn` is called with diagnostics
    that are no errors. Raises CompileError, UsageError, Diverged (then the folder has the last good weights).
    """
    trainer = Trainer(checked, provider, seed, read_weights(weights) if weights else None)
    samples = from_spec(trainer.plan, "train")  # before anything is written: bad data leaves no trace
    validation = from_spec(trainer.plan, "validation")
    if (folder / ABOUT).exists() and not (resume or force):
        help = "--resume goes on with it, --force starts anew, -o names another folder"
        raise UsageError("run-exists", f"there is a run in {str(folder)!r} already", help)
    with RunFolder(folder) as run:
        done = 0
        if resume:
            found, warnings = run.resume(trainer)
            warn(warnings)
            if found is None:
                raise UsageError("no-checkpoint", f"there is no checkpoint in {str(folder)!r} to go on from")
            done = trainer.epochs_done
        else:
            for old in run.checkpoints():
                old.unlink()
        _describe(run, checked, trainer)
        run.start_figures(done)
        try:
            history = trainer.fit(
                samples,
                validation_data=validation,
                validation_split=_split(checked, validation),
                callbacks=[Recorder(run, trainer), *callbacks],
            )
        except Diverged:
            _leave(run, trainer)
            raise
        run.save(trainer)
        _leave(run, trainer)
        outcome = Outcome(folder, history)
        if not history.interrupted and from_spec(trainer.plan, "test") is not None:
            outcome.test = trainer.evaluate()
        return outcome


def _split(checked: Checked, validation: object) -> float | None:
    training = checked.network.training
    return training.data.validation_split if validation is None and training and training.data else None


def _describe(run: RunFolder, checked: Checked, trainer: Trainer) -> None:
    """The spec as it was trained, and what a later command must know besides."""
    run.write_spec(json.dumps(checked.source.value, indent=2, ensure_ascii=False) + "\n")
    about = {
        "jsonnx": package_version(),
        "data_folder": os.path.relpath(checked.folder.resolve(), run.path.resolve()),
        "provider": trainer.provider,
        "seed": trainer.plan.seed,
    }
    write_atomically(run.path / ABOUT, (json.dumps(about, indent=2) + "\n").encode())


def _leave(run: RunFolder, trainer: Trainer) -> None:
    """What other programs use. No checkpoint: after a divergence the one before it is the one to go on from."""
    run.write_weights(trainer.weights())
    run.write_model(trainer.model().to_bytes())


__all__ = ["ABOUT", "Outcome", "train"]
