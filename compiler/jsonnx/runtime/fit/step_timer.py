"""Measures the steps of a fit: a callback that ends the fit after the last of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any


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


class StepTimer:
    """A callback that measures some steps after the first ones, and then raises EnoughSteps."""

    def __init__(self, warm_up_steps: int, steps: int) -> None:
        self._warm_up_steps, self._steps = warm_up_steps, steps
        self._begins: list[float] = []
        self._ends: list[float] = []

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int | None) -> None:
        """A callback must have a hook of users."""

    def begin_step(self, number: int) -> None:
        self._begins.append(perf_counter())

    def show_step(self, step: int, figures: Callable[[], Mapping[str, Any]]) -> None:
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
