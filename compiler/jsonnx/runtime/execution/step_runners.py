"""The runner of a training step, rebuilt when the batch size that it is specialised for no longer fits.

A runner computes steps of any batch size, but is fastest with the one that it was built for: the batch size of a fit,
of the first step, or of larger steps that came many times in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..providers.static_shapes import StaticShapeRunner
from .data_parallel import ShardedStep
from .runner import Runner
from .virtual_shards import VirtualShardStep

MAX_OVERSIZED_STEPS = 16
"""Consecutive steps of larger batches before the runner is rebuilt, which takes as long as several steps."""

BindableRunner = Runner | ShardedStep | StaticShapeRunner
StepRunner = BindableRunner | VirtualShardStep
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class RunnerState:
    """What a runner is built for, and the number of consecutive larger batches since."""

    batch_size: int
    own_arena: bool
    oversized_steps: int = 0
    sizes: Sizes | None = None
    """The sizes for which the step is computed by blocks; None without blocks."""

    def after(
        self,
        samples: int,
        sizes: Sizes | None = None,
        *,
        is_fit: bool,
        depends_on_batch: bool,
        can_own_arena: bool,
    ) -> RunnerState:
        """The state in which a step of this number of samples runs; `is_fit` marks the batch size of a whole fit.

        `sizes` are those of the batch if it is so large that its step is computed by blocks. A step by blocks is right
        for all batches, so that only a fit, whose bits depend on it, ends its use for smaller ones.

        An own arena holds memory blocks of the sizes that one batch size needs. The first larger batch ends its use,
        because blocks of larger and larger sizes would accumulate.
        """
        if sizes != self.sizes and (is_fit or self.sizes is None):
            return RunnerState(samples, can_own_arena, sizes=sizes)
        is_oversized = depends_on_batch and samples > self.batch_size
        oversized_steps = self.oversized_steps + 1 if is_oversized else 0
        if oversized_steps > MAX_OVERSIZED_STEPS or (is_fit and depends_on_batch and samples != self.batch_size):
            return RunnerState(samples, can_own_arena, sizes=self.sizes)
        own_arena = self.own_arena and not is_oversized
        if (oversized_steps, own_arena) == (self.oversized_steps, self.own_arena):
            return self
        return replace(self, oversized_steps=oversized_steps, own_arena=own_arena)

    def can_keep_runner(self, other: RunnerState) -> bool:
        """Whether a runner built for this state can run steps of another one."""
        return (self.batch_size, self.own_arena, self.sizes) == (other.batch_size, other.own_arena, other.sizes)


class StepRunnerCache:
    """At most one step runner: the previous one is released, with its memory, before the next is built."""

    def __init__(
        self,
        build: Callable[[int, bool, Sizes | None], StepRunner],
        on_release: Callable[[], None],
        *,
        depends_on_batch: bool,
        can_own_arena: bool,
    ) -> None:
        """`build(batch_size, own_arena, sizes)` builds a runner; `on_release` drops buffers bound to the one before."""
        self._build, self._on_release = build, on_release
        self._depends_on_batch, self._can_own_arena = depends_on_batch, can_own_arena
        self.state: RunnerState | None = None
        self.runner: StepRunner | None = None

    def for_batch(self, samples: int, sizes: Sizes | None = None, *, is_fit: bool = False) -> StepRunner:
        """The runner for a step of this number of samples, built or rebuilt if necessary.

        `sizes` are those of the batch if its step is computed by blocks.
        """
        state = self._next_state(samples, sizes, is_fit)
        if self.runner is None or self.state is None or not self.state.can_keep_runner(state):
            self.release()
            self.runner = self._build(state.batch_size, state.own_arena, state.sizes)
        self.state = state
        return self.runner

    def _next_state(self, samples: int, sizes: Sizes | None, is_fit: bool) -> RunnerState:
        if self.state is None:
            return RunnerState(samples, self._can_own_arena, sizes=sizes)
        options = {"depends_on_batch": self._depends_on_batch, "can_own_arena": self._can_own_arena}
        return self.state.after(samples, sizes, is_fit=is_fit, **options)

    def release(self) -> None:
        self.runner = self.state = None
        self._on_release()
