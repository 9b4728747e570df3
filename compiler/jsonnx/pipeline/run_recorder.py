"""Writes the losses, metrics and checkpoints of a training run into its RUN folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from ..core.diagnostics import Diagnostic, UsageError
from ..runtime.history import History
from ..runtime.run_folder import RunFolder
from .checkpoint_schedule import CheckpointSchedule
from .trainer import Trainer

SAVE_ERRORS = ("unwritable-file", "unreadable-file")
"""The codes of errors of a save: it also lists and reads checkpoints."""

Warn = Callable[[list[Diagnostic]], None]
"""Called with warnings."""


def no_warning(diagnostics: list[Diagnostic]) -> None:
    """Ignores warnings."""


class Recorder:
    """Writes loss and metrics of each epoch, and checkpoints at intervals and at the end.

    If losses and metrics cannot be written, `warn` is called, and they are written at the next chance: after an epoch,
    or by `finish`. The same holds for checkpoints during the run with `continue_on_error`.
    """

    def __init__(self, run: RunFolder, trainer: Trainer, continue_on_error: bool = False, warn: Warn = no_warning):
        self.run, self.trainer, self.continue_on_error, self.warn = run, trainer, continue_on_error, warn
        self.schedule = CheckpointSchedule(trainer.plan, trainer.steps)
        self.writes_csv = trainer.plan.training.csv_log
        self.lacks_metrics = True  # what was lost or cut off is written anew
        self.has_warned = False
        self._try_metrics(self._rewrite_metrics)

    def on_step(self, step: int, figures: Mapping[str, float]) -> None:
        self._save_if(self.schedule.is_due_after_step(self.trainer.steps))

    def on_epoch_end(self, epoch: int, figures: Mapping[str, float]) -> None:
        self._try_metrics(self._rewrite_metrics if self.lacks_metrics else partial(self._append, epoch, figures))
        if self.schedule.is_best(self.trainer.history):
            with self._errors_as_warnings("the checkpoint of the best epoch is an older one"):
                self.run.save_best_checkpoint(self.trainer)
        self._save_if(self.schedule.is_due_after_epoch(epoch))

    def on_end(self, history: History) -> None:
        if not self.lacks_metrics:
            self._try_metrics(self._sync_metrics)
        self.run.save_checkpoint(self.trainer, self.schedule.keep)

    def finish(self) -> None:
        """Writes losses and metrics if that has failed so far. Raises UsageError `unwritable-file`."""
        if self.lacks_metrics:
            self._rewrite_metrics()

    def _save_if(self, is_due: bool) -> None:
        if is_due:
            if not self.lacks_metrics:
                self._try_metrics(self._sync_metrics)
            with self._errors_as_warnings("a checkpoint is tried again when the next one is due"):
                self.run.save_checkpoint(self.trainer, self.schedule.keep)
            self.schedule.saved(self.trainer.steps)

    def _append(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.run.append_metrics(epoch, figures)
        if self.writes_csv:
            self.run.append_csv(epoch, figures)

    def _rewrite_metrics(self) -> None:
        self.run.write_metrics(self.trainer.history)
        if self.writes_csv:
            self.run.write_csv(self.trainer.history)

    def _sync_metrics(self) -> None:
        self.run.sync_metrics(self.writes_csv)

    def _try_metrics(self, write: Callable[[], None]) -> None:
        """Writes to the files of losses and metrics. Warns if that fails, unless it has failed before."""
        self.lacks_metrics = True
        with self._errors_as_warnings("the file is written later", is_log=True):
            write()
            self.lacks_metrics = self.has_warned = False

    @contextmanager
    def _errors_as_warnings(self, consequence: str, is_log: bool = False) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            if not (self.continue_on_error or is_log) or error.diagnostic.code not in SAVE_ERRORS:
                raise
            message = f"{error.diagnostic.message}; training goes on, and {consequence}"
            if not (is_log and self.has_warned):
                self.warn([replace(error.diagnostic, message=message, severity="warning")])
            self.has_warned = self.has_warned or is_log
