"""The actor that a training and the process that has started it talk through.

It lives as long as that process. The workers tell it their progress and errors; it tells them to stop. It remembers how
far a training has come, so that workers which Ray starts again continue the RUN folder, or start it over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ..core.diagnostics import UsageError

MAX_FUTILE_ATTEMPTS = 5
"""Groups of workers in a row that have trained no further step than those before, after which a training ends."""

Stage = Literal["new", "free", "begun"]
"""How far a training has come: its RUN folder has been found free to write; its run has begun to train."""

EventKind = Literal[
    "attempt", "begin", "epoch", "step", "epoch end", "end", "warning", "weights", "resumed", "placement", "lost"
]


class Event(NamedTuple):
    """What the first worker or Ray's controller tells."""

    kind: EventKind
    content: Any


class Attempt(NamedTuple):
    """A group of workers that trains."""

    number: int
    """Counts from 1."""
    stage: Stage
    """What the groups before it have reached."""
    error: Exception | None
    """Why it may not train."""


class Monitor:
    """The state of a training; an asynchronous actor."""

    def __init__(self) -> None:
        self.stage: Stage = "new"
        self.attempts = 0
        self.outcome: Any = None
        self._errors: dict[int, Exception] = {}
        """Errors that end the training, by the ranks of the workers."""
        self._first_has_ended = asyncio.Event()
        self._events: list[Event] = []
        self._has_events = asyncio.Event()
        self._stop_signal: int | None = None
        self._has_stop = asyncio.Event()
        self._last_step = self._step_at_start = -1
        self._futile_attempts = 0
        self._failed_attempt = 0
        self._causes: dict[int, str] = {}

    @property
    def error(self) -> Exception | None:
        """The error that ends the training: of several, that of the first worker, which names the files of the run."""
        return self._errors[min(self._errors)] if self._errors else None

    # -- called by the process that has started the training --

    async def take(self, seconds: float) -> list[Event]:
        """The events since the last call, or none if none arrives in time."""
        await _wait(self._has_events, seconds)
        events, self._events = self._events, []
        self._has_events.clear()
        return events

    async def stop(self, number: int) -> None:
        """Asks the workers to end as after a signal."""
        self._stop_signal = number
        self._has_stop.set()

    async def result(self) -> tuple[Exception | None, Any]:
        """The error that has ended the training, or else its outcome."""
        return self.error, self.outcome

    # -- called by workers --

    async def put(self, event: Event, step: int | None = None) -> None:
        if step is not None:
            self._last_step = max(self._last_step, step)
        self._events.append(event)
        self._has_events.set()

    async def reach(self, stage: Stage) -> None:
        self.stage = stage

    async def stop_signal(self, seconds: float) -> int | None:
        """The signal of `stop`; None if none arrives in time."""
        await _wait(self._has_stop, seconds)
        return self._stop_signal

    async def fail(self, rank: int, error: Exception) -> None:
        self._errors.setdefault(rank, error)

    async def leave(self, outcome: Any) -> None:
        """Records that the first worker has ended; None if by an error."""
        self.outcome = outcome
        self._first_has_ended.set()

    async def wait_for_first(self, seconds: float) -> None:
        """Waits until the first worker has ended."""
        await _wait(self._first_has_ended, seconds)

    # -- called by Ray's controller --

    async def start_attempt(self) -> Attempt:
        """Counts a group of workers that starts."""
        self.attempts += 1
        self._first_has_ended.clear()
        self._futile_attempts = 0 if self._last_step > self._step_at_start else self._futile_attempts + 1
        self._step_at_start = self._last_step
        if self._futile_attempts > MAX_FUTILE_ATTEMPTS:
            self._errors.setdefault(0, _workers_lost(self._causes))
        return Attempt(self.attempts, self.stage, self.error)

    async def lost(self, causes: dict[int, str]) -> Exception | None:
        """Records that workers have failed, by their ranks. Returns the error if the training has ended by one."""
        if self.error is None and self._failed_attempt != self.attempts:
            self._failed_attempt, self._causes = self.attempts, causes
            await self.put(Event("lost", causes))
        return self.error


def _workers_lost(causes: dict[int, str]) -> Exception:
    cause = "".join(f"; worker {rank}: {causes[rank]}" for rank in sorted(causes)[:1])
    message = f"the workers have failed {MAX_FUTILE_ATTEMPTS} times without a further step{cause}"
    return UsageError("worker-lost", message, "Ray's logs have what the workers have printed")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def on_node_of_driver(ray: Any, make: Callable[..., Any]) -> Any:
    """An actor class whose actors live on the node of this process, and take no CPU."""
    strategies = ray.util.scheduling_strategies
    node = ray.get_runtime_context().get_node_id()
    place = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(make).options(num_cpus=0, max_restarts=0, max_concurrency=1000, scheduling_strategy=place)
