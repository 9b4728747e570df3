"""The callback that writes the metrics and checkpoints of a training run to its RUN folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from ...core.callback import Callback, Logs
from ...core.diagnostics import UsageError
from ...core.reserved_names import LEARNING_RATE
from ..run_folder.metric_files import step_line
from ..run_folder.run_folder import RunFolder
from ..train.trainer import Trainer
from .checkpoint_schedule import CheckpointSchedule
from .run_warnings import Warn, no_warning

MAX_STEP_LINES_PER_EPOCH, MIN_STEPS_BETWEEN_LINES = 25, 10
"""Which steps of an epoch have a line: more would take over 2 % of the time of a run with small steps."""
MAX_PENDING_STEP_LINES = 1000
SAVE_ERRORS = ("unwritable-file", "unreadable-file")
"""The codes of errors of a save: it also lists and reads checkpoints."""


def steps_between_lines(steps_per_epoch: int) -> int:
    """The interval between lines of metrics, in steps."""
    return max(MIN_STEPS_BETWEEN_LINES, -(-steps_per_epoch // MAX_STEP_LINES_PER_EPOCH))


class RunFolderCallback(Callback):
    """Writes loss and metrics of each epoch and of some steps, and checkpoints at intervals and at the end.

    If metrics cannot be written, `warn` is called, and they are written at the next chance: after an epoch, before a
    checkpoint, or by `finish`. The same holds for checkpoints during the run with `continue_on_error`.

    The last checkpoint is written after the last epoch, before the trainer takes the weights of the best one. So this
    callback comes after all that may end the fit.
    """

    def __init__(self, run: RunFolder, trainer: Trainer, continue_on_error: bool = False, warn: Warn = no_warning):
        super().__init__()
        self.run, self.trainer, self.continue_on_error, self.warn = run, trainer, continue_on_error, warn
        self.schedule = CheckpointSchedule(trainer.plan, trainer.steps)
        self.writes_csv = trainer.plan.training.csv_log
        self.lacks_metrics = True  # what was lost or cut off is written anew
        self.warned_errors: set[str] = set()
        self.failing: set[str] = set()
        """The consequences of failed saves that were told, until such a save succeeds."""
        self.end_error: UsageError | None = None
        self.has_saved = False
        self.epoch, self.step_interval = 0, 1
        self.step_lines: list[bytes] = []
        """Lines that are not written yet."""
        self.first_step: int | None = trainer.steps
        """The step after which lines of an earlier process are to be removed; None once they are."""
        self._try_metrics(self._rewrite_metrics)
        self.try_log(self.write_steps)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.step_interval = steps_between_lines(self.params["steps"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if (batch + 1) % self.step_interval == 0:
            logs = {**(logs or {}), LEARNING_RATE: self.trainer.last_learning_rate}
            self.step_lines.append(step_line(self.trainer.steps, self.epoch, logs))
        self._save_if(self.schedule.is_due_after_step(self.trainer.steps))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._try_metrics(self._rewrite_metrics if self.lacks_metrics else partial(self._append, epoch, logs or {}))
        if len(self.step_lines) >= MAX_PENDING_STEP_LINES:
            self.try_log(self.write_steps)
        if self.schedule.is_best(self.trainer.history):
            with self._errors_as_warnings("the checkpoint of the best epoch is an older one"):
                self.run.save_best_checkpoint(self.trainer)
        if self.trainer.stop_training or epoch + 1 >= self.params["epochs"]:
            self._try_last(self._save)
        else:
            self._save_if(self.schedule.is_due_after_epoch(epoch))

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.trainer.history.interrupted:
            self._try_last(self._save)
        elif not self.has_saved:  # all epochs were done: an earlier process may have left further checkpoints
            last = self.run.paths.checkpoint(self.trainer.steps)
            self._try_last(lambda: self.run.keep_checkpoints_until(last, self.schedule.keep))

    def _try_last(self, write: Callable[[], None]) -> None:
        """Writes the last checkpoint. If that fails, `finish` raises the error: the results may still be written."""
        self.end_error = None
        try:
            write()
        except UsageError as error:
            if error.diagnostic.code not in SAVE_ERRORS:
                raise
            self.end_error = error

    def finish(self) -> None:
        """Writes metrics if that has failed. Raises UsageError `unwritable-file`, also for the last checkpoint."""
        if self.lacks_metrics:
            self._rewrite_metrics()
        self.write_steps()
        if self.end_error is not None:
            raise self.end_error

    def write_steps(self) -> None:
        """Writes the metrics of the steps since the last call, in place of lines that an earlier process has left."""
        if self.first_step is not None:
            self.run.remove_steps_after(self.first_step)
            self.first_step = None
        if self.step_lines:
            self.run.append_steps(b"".join(self.step_lines))
            self.step_lines.clear()
            self.run.sync_steps()

    def _save_if(self, is_due: bool) -> None:
        if is_due:
            with self._errors_as_warnings("a checkpoint is tried again whenever one is due"):
                self._save()
            self.schedule.saved(self.trainer.steps)

    def _save(self) -> None:
        """Writes a checkpoint, and before it the metrics of its steps, which a resumed run does not repeat."""
        self.try_log(self.write_steps)
        if not self.lacks_metrics:
            self._try_metrics(lambda: self.run.sync_metrics(self.writes_csv))
        self.run.save_checkpoint(self.trainer, self.schedule.keep)
        self.has_saved = True

    def _append(self, epoch: int, logs: Logs) -> None:
        self.run.append_metrics(epoch, logs)
        if self.writes_csv:
            self.run.append_csv(epoch, logs)

    def _rewrite_metrics(self) -> None:
        self.run.write_metrics(self.trainer.history)
        if self.writes_csv:
            self.run.write_csv(self.trainer.history)

    def _try_metrics(self, write: Callable[[], None]) -> None:
        """Writes metrics of epochs; if that fails, all are written at the next chance."""
        self.lacks_metrics = True
        if self.try_log(write):
            self.lacks_metrics = False

    def try_log(self, write: Callable[[], None]) -> bool:
        """Writes metrics, and returns whether that succeeded. Warns if it fails, once for each reason."""
        try:
            write()
        except UsageError as error:
            if error.diagnostic.code not in SAVE_ERRORS:
                raise
            if str(error) not in self.warned_errors:
                self._warn(error, "the file is written later")
            self.warned_errors.add(str(error))
            return False
        return True

    @contextmanager
    def _errors_as_warnings(self, consequence: str) -> Iterator[None]:
        """Warns if a save fails and the run is to go on; of several in a row, at the first one."""
        try:
            yield
            self.failing.discard(consequence)
        except UsageError as error:
            if not self.continue_on_error or error.diagnostic.code not in SAVE_ERRORS:
                raise
            if consequence not in self.failing:
                self._warn(error, consequence)
            self.failing.add(consequence)

    def _warn(self, error: UsageError, consequence: str) -> None:
        message = f"{error.diagnostic.message}; training goes on, and {consequence}"
        self.warn([replace(error.diagnostic, message=message, severity="warning")])
