"""Writes the figures and the checkpoints of a training run while it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ..core.diagnostics import UsageError
from ..runtime.history import History
from ..runtime.run_folder import RunFolder, step_line
from .checkpoint_schedule import CheckpointSchedule
from .run_options import Warn, no_warning
from .trainer import Trainer

MAX_STEP_LINES_PER_EPOCH, MIN_STEPS_BETWEEN_LINES = 25, 10
"""Which steps of an epoch have a line: more would take over 2 % of the time of a run with small steps."""
MAX_PENDING_STEP_LINES = 1000


class Recorder:
    """Writes loss and metrics of each epoch and of some steps, and checkpoints at intervals and at the end.

    With `continue_on_error`, what cannot be written during the run is tried again later, and `warn` is called.
    """

    def __init__(self, run: RunFolder, trainer: Trainer, continue_on_error: bool = False, warn: Warn = no_warning):
        self.run, self.trainer, self.continue_on_error, self.warn = run, trainer, continue_on_error, warn
        self.schedule = CheckpointSchedule(trainer.plan, trainer.steps)
        self.writes_csv = trainer.plan.training.csv_log
        self.lacks_metrics = self.writes_csv  # at the start, the CSV file is written anew
        self.epoch, self.step_interval = 0, 1
        self.step_lines: list[bytes] = []
        """Lines that are not written yet."""

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int) -> None:
        self.epoch = epoch
        self.step_interval = max(MIN_STEPS_BETWEEN_LINES, -(-steps // MAX_STEP_LINES_PER_EPOCH))

    def on_step(self, step: int, figures: Mapping[str, float]) -> None:
        if step % self.step_interval == 0:
            self.step_lines.append(step_line(self.trainer.steps, self.epoch, figures))
        self._save_if(self.schedule.is_due_after_step(self.trainer.steps))

    def on_epoch_end(self, epoch: int, figures: Mapping[str, float]) -> None:
        with self._errors_as_warnings("the line is written later"):
            self._write_metrics(epoch, figures)
        if len(self.step_lines) >= MAX_PENDING_STEP_LINES:
            with self._errors_as_warnings("figures by step are written later"):
                self.write_steps()
        if self.schedule.is_best(self.trainer.history):
            with self._errors_as_warnings("the checkpoint of the best epoch is an older one"):
                self.run.save_best_checkpoint(self.trainer)
        self._save_if(self.schedule.is_due_after_epoch(epoch))

    def on_end(self, history: History) -> None:
        if self.lacks_metrics:
            self._rewrite_metrics(history)
        self._save()

    def write_steps(self) -> None:
        """Writes the figures of the steps since the last call."""
        if self.step_lines:
            self.run.append_steps(b"".join(self.step_lines))
            self.step_lines.clear()

    def _write_metrics(self, epoch: int, figures: Mapping[str, float]) -> None:
        rewrites, self.lacks_metrics = self.lacks_metrics, True
        if rewrites:
            self._rewrite_metrics(self.trainer.history)
        else:
            self.run.append_metrics(epoch, figures)
            if self.writes_csv:
                self.run.append_csv(epoch, figures)
        self.lacks_metrics = False

    def _rewrite_metrics(self, history: History) -> None:
        self.run.write_metrics(history)
        if self.writes_csv:
            self.run.write_csv(history)

    def _save_if(self, is_due: bool) -> None:
        if is_due:
            with self._errors_as_warnings("a checkpoint is tried again when the next one is due"):
                self._save()
            self.schedule.saved(self.trainer.steps)

    def _save(self) -> None:
        """Writes a checkpoint, and before it the figures of its steps, which a resumed run does not repeat."""
        self.write_steps()
        self.run.save_checkpoint(self.trainer, self.schedule.keep)

    @contextmanager
    def _errors_as_warnings(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            if not self.continue_on_error or error.diagnostic.code != "unwritable-file":
                raise
            message = f"{error.diagnostic.message}; training goes on, and {consequence}"
            self.warn([replace(error.diagnostic, message=message, severity="warning")])
