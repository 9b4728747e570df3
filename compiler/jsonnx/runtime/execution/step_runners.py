"""The runner of a training step, rebuilt when the batch size that it is specialised for no longer fits.

A runner computes steps of any batch size, but is fastest with the one that it was built for: the batch size of a fit,
of the first step, or of larger steps that came many times in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..providers.static_shapes import StaticShapeRunner
from .data_parallel import ShardedStep
from .runner import Runner

MAX_OVERSIZED_STEPS = 16
"""Consecutive steps of larger batches before the runner is rebuilt, which takes as long as several steps."""

StepRunner = Runner | ShardedStep | StaticShapeRunner


@dataclass(frozen=True)
class RunnerState:
    """The batch size and arena that a runner is built for, and the number of consecutive larger batches since."""

    batch_size: int
    own_arena: bool
    oversized_steps: int = 0

    def after(self, samples: int, *, is_fit: bool, depends_on_batch: bool, can_own_arena: bool) -> RunnerState:
        """The state in which a step of this number of samples runs; `is_fit` marks the batch size of a whole fit.

        An own arena holds memory blocks of the sizes that one batch size needs. The first larger batch ends its use,
        because blocks of larger and larger sizes would accumulate.
        """
        is_oversized = depends_on_batch and samples > self.batch_size
        oversized_steps = self.oversized_steps + 1 if is_oversized else 0
        if oversized_steps > MAX_OVERSIZED_STEPS or (is_fit and depends_on_batch and samples != self.batch_size):
            return RunnerState(samples, can_own_arena)
        own_arena = self.own_arena and not is_oversized
        if (oversized_steps, own_arena) == (self.oversized_steps, self.own_arena):
            return self
        return replace(self, oversized_steps=oversized_steps, own_arena=own_arena)

    def can_keep_runner(self, other: RunnerState) -> bool:
        """Whether a runner built for this state can run steps of another one."""
        return (self.batch_size, self.own_arena) == (other.batch_size, other.own_arena)


class StepRunnerCache:
    """At most one step runner: the previous one is released, with its memory, before the next is built."""

    def __init__(
        self,
        build: Callable[[int, bool], StepRunner],
        on_release: Callable[[], None],
        *,
        depends_on_batch: bool,
        can_own_arena: bool,
    ) -> None:
        """`build(batch_size, own_arena)` builds a runner; `on_release` drops buffers bound to the previous one."""
        self._build, self._on_release = build, on_release
        self._depends_on_batch, self._can_own_arena = depends_on_batch, can_own_arena
        self.state: RunnerState | None = None
        self.runner: StepRunner | None = None

    def for_batch(self, samples: int, *, is_fit: bool = False) -> StepRunner:
        """The runner for a step of this number of samples, built or rebuilt if necessary."""
        state = self._next_state(samples, is_fit)
        if self.runner is None or self.state is None or not self.state.can_keep_runner(state):
            self.release()
            self.runner = self._build(state.batch_size, state.own_arena)
        self.state = state
        return self.runner

    def _next_state(self, samples: int, is_fit: bool) -> RunnerState:
        if self.state is None:
            return RunnerState(samples, self._can_own_arena)
        return self.state.after(
            samples, is_fit=is_fit, depends_on_batch=self._depends_on_batch, can_own_arena=self._can_own_arena
        )

    def release(self) -> None:
        self.runner = self.state = None
        self._on_release()
