"""When a training run writes checkpoints, and which one is of the best epoch."""

from __future__ import annotations

import time
from math import isnan

from ...runtime.execution.history import History
from ...runtime.fit.early_stopping import is_maximized
from ...runtime.training_plan import TrainingPlan
from ..run_folder.run_folder import MAX_CHECKPOINTS

EPOCH_CHECKPOINT_SECONDS, STEP_CHECKPOINT_SECONDS = 5.0, 60.0
"""Minimum seconds between checkpoints, at the end of an epoch and within one, unless the spec says when.

More frequent checkpoints would take a large part of the run's time; a resumed run repeats the steps since the last one.
"""


class CheckpointSchedule:
    """The schedule of the spec's `training.checkpoint`, or the default one."""

    def __init__(self, plan: TrainingPlan, steps: int) -> None:
        section = plan.training.checkpoint
        self.keep = section.keep if section else MAX_CHECKPOINTS
        self._every_epochs = section.every_epochs if section else None
        self._every_steps = section.every_steps if section else None
        minutes = section.every_minutes if section else None
        self._epoch_seconds, self._step_seconds = EPOCH_CHECKPOINT_SECONDS, STEP_CHECKPOINT_SECONDS
        if (self._every_epochs, self._every_steps, minutes) != (None, None, None):
            self._epoch_seconds = self._step_seconds = float("inf") if minutes is None else 60 * minutes
        self._monitor: str | None = None
        self._is_maximized = False
        if section is not None and section.monitor is not None:
            self._monitor, self._is_maximized = section.monitor, is_maximized(plan, section.monitor, section.mode)
        self.saved(steps)

    def saved(self, steps: int) -> None:
        """Records that a checkpoint was written after this number of steps."""
        self._last_steps, self._last_time = steps, time.monotonic()

    def is_due_after_step(self, steps: int) -> bool:
        is_step_due = self._every_steps is not None and steps - self._last_steps >= self._every_steps
        return is_step_due or self._seconds_since_save >= self._step_seconds

    def is_due_after_epoch(self, epoch: int) -> bool:
        is_epoch_due = self._every_epochs is not None and (epoch + 1) % self._every_epochs == 0
        return is_epoch_due or self._seconds_since_save >= self._epoch_seconds

    @property
    def _seconds_since_save(self) -> float:
        return time.monotonic() - self._last_time

    def is_best(self, history: History) -> bool:
        """Whether the last epoch of a history is the best one by the monitored metric."""
        if self._monitor is None:
            return False
        *earlier, last = (-x if self._is_maximized else x for x in history.history[self._monitor])
        return not isnan(last) and all(isnan(x) or last < x for x in earlier)
