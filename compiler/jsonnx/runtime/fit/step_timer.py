"""Measures the steps of a fit: a callback that ends the fit after the last of them."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from ...core.callback import Callback, Logs


@dataclass(frozen=True)
class StepTimes:
    """The mean times of some steps, in seconds."""

    steps: int
    seconds: float
    """From the end of a step to the end of the next one."""
    waiting_seconds: float
    """From the end of a step to the begin of the next one."""


class EnoughSteps(Exception):
    """Ends a fit whose steps are measured."""


class StepTimer(Callback):
    """A callback that measures some steps after the first ones, and then raises EnoughSteps."""

    _reads_logs_lazily = True

    def __init__(self, warm_up_steps: int, steps: int) -> None:
        super().__init__()
        self._warm_up_steps, self._steps = warm_up_steps, steps
        self._begins: list[float] = []
        self._ends: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._begins.append(perf_counter())

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._ends.append(perf_counter())
        if len(self._ends) >= self._warm_up_steps + self._steps:
            raise EnoughSteps

    def times(self) -> StepTimes | None:
        """The times of the measured steps; None if the fit ended before there was any."""
        begins, ends = self._begins[self._warm_up_steps :], self._ends[self._warm_up_steps - 1 :]
        count = len(ends) - 1
        if count < 1:
            return None
        waiting = sum(begin - end for end, begin in zip(ends, begins, strict=False))
        return StepTimes(count, (ends[-1] - ends[0]) / count, waiting / count)
