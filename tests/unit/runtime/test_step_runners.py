"""The cache of a step's runner: when the runner is rebuilt, and for which batch size."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from jsonnx.runtime.execution.step_runners import MAX_OVERSIZED_STEPS, RunnerState, Sizes, StepRunnerCache


def after(state: RunnerState, samples: int, *, is_fit: bool = False, depends_on_batch: bool = True) -> RunnerState:
    return state.after(samples, is_fit=is_fit, depends_on_batch=depends_on_batch, can_own_arena=True)


@pytest.mark.parametrize(
    ("samples", "is_fit", "expected"),
    [
        (8, False, RunnerState(8, True)),
        (3, False, RunnerState(8, True)),
        (9, False, RunnerState(8, False, 1)),
        (8, True, RunnerState(8, True)),
        (3, True, RunnerState(3, True)),
        (9, True, RunnerState(9, True)),
    ],
)
def test_the_state_after_a_step(samples: int, is_fit: bool, expected: RunnerState) -> None:
    assert after(RunnerState(8, True), samples, is_fit=is_fit) == expected


def test_larger_batches_in_a_row_get_a_runner_of_their_own() -> None:
    state = RunnerState(8, False)
    for count in range(1, MAX_OVERSIZED_STEPS + 1):
        state = after(state, 9 + count)
        assert state == RunnerState(8, False, count)
    assert after(state, 8) == RunnerState(8, False)
    assert after(state, 12) == RunnerState(12, True)


def test_a_runner_that_does_not_depend_on_the_batch_size_is_never_rebuilt() -> None:
    state = RunnerState(8, True)
    assert all(after(state, samples, is_fit=True, depends_on_batch=False) is state for samples in (1, 8, 100))


class FakeRunner:
    pass


class Builds:
    """Records what is built, and checks that no former runner is alive at that time."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, bool]] = []
        self.sizes: list[Sizes | None] = []
        self.releases = 0
        self._former: weakref.ref[FakeRunner] | None = None

    def build(self, batch_size: int, own_arena: bool, sizes: Sizes | None) -> Any:
        assert self._former is None or self._former() is None
        self.requests.append((batch_size, own_arena))
        self.sizes.append(sizes)
        runner = FakeRunner()
        self._former = weakref.ref(runner)
        return runner

    def release(self) -> None:
        self.releases += 1


def test_the_former_runner_is_released_before_the_next_is_built() -> None:
    builds = Builds()
    cache = StepRunnerCache(builds.build, builds.release, depends_on_batch=True, can_own_arena=True)
    for samples, is_fit in ((8, False), (3, False), (9, False), (30, True), (30, False)):
        cache.for_batch(samples, is_fit=is_fit)
    assert builds.requests == [(8, True), (8, False), (30, True)]
    assert builds.releases == 3


def test_a_step_by_blocks_stays_until_a_fit_of_other_sizes() -> None:
    builds, small, large = Builds(), {"time": 8}, {"time": 16}
    cache = StepRunnerCache(builds.build, builds.release, depends_on_batch=False, can_own_arena=False)
    for sizes, is_fit in ((None, False), (small, False), (large, False), (None, False), (large, True), (None, True)):
        cache.for_batch(4, sizes, is_fit=is_fit)
    assert builds.sizes == [None, small, large, None]


def test_after_a_build_that_failed_the_next_step_tries_again() -> None:
    failures = [MemoryError("no room")]

    def build(batch_size: int, own_arena: bool, sizes: Sizes | None) -> Any:
        if failures:
            raise failures.pop()
        return FakeRunner()

    cache = StepRunnerCache(build, lambda: None, depends_on_batch=True, can_own_arena=False)
    with pytest.raises(MemoryError):
        cache.for_batch(8)
    assert cache.state is None
    assert isinstance(cache.for_batch(4), FakeRunner)
    assert cache.state == RunnerState(4, False)
