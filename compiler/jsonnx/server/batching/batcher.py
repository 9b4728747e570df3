"""Runs the requests to one version of a model, those that wait for a session at the same time together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import ceil, inf
from time import monotonic

import numpy as np

from ..monitoring.observer import Feeds, Observer
from ..protocol.errors import RequestError
from .batch_run import BatchResult, Clock, Run, run_batch
from .batching import Batching
from .request_queue import RequestQueue, WaitingRequest, row_count
from .run_times import RunTimes

INLINE_MAX_S = 0.0003
"""Maximum expected duration of a run in the thread of the event loop: handing it to another thread costs about half of
that, and the other thread has to wait for the interpreter."""
ALONE_INLINE_MAX_S = 0.001
"""The same for a run while no other request waits or is computed: it delays the next one by less than the hand-over."""


@dataclass(frozen=True)
class BatchLimits:
    """The limits of batches, and of the queue."""

    max_batch_rows: int = 256
    max_queue_rows: int = 4096
    max_delay_s: float = 0.002
    """The longest time that a batch waits for more rows while others are computed, although a session is idle."""
    sessions: int = 1
    """Runs at the same time."""


class Batcher:
    """Runs requests, at most `limits.sessions` batches at the same time.

    A request starts at once if no other one is being computed. Those that arrive meanwhile form batches, whose sizes
    are learned from the durations of runs. The methods of an instance are called in one event loop.
    """

    def __init__(
        self,
        run: Run,
        limits: BatchLimits,
        batching: Batching,
        observer: Observer,
        clock: Clock = monotonic,
    ) -> None:
        self._run, self._limits, self._batching, self._observer = run, limits, batching, observer
        self._clock = clock
        self._queue, self._times = RequestQueue(), RunTimes()
        self._threads: ThreadPoolExecutor | None = ThreadPoolExecutor(limits.sessions, "jsonnx-run")
        self._running = 0
        self._is_scheduled = False
        self._delay: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._next_expiry_s = inf
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def queue_rows(self) -> int:
        """Rows that wait for a run."""
        return self._queue.rows

    async def infer(self, feeds: Feeds, deadline_s: float | None = None) -> Feeds:
        """The outputs for the inputs of one request.

        Raises RequestError 429 `queue-full`, 503 `request-expired` if it is not started before `deadline_s` by
        `time.monotonic`, and what the run of the model raises.
        """
        rows, size = row_count(feeds), self._limits.max_batch_rows
        self._require_room(rows)
        deadline_s = inf if deadline_s is None else deadline_s
        if rows <= size or not self._batching.is_allowed:
            return await self._wait(feeds, rows, deadline_s)
        parts = [{name: array[i : i + size] for name, array in feeds.items()} for i in range(0, rows, size)]
        waits = [asyncio.ensure_future(self._wait(part, row_count(part), deadline_s)) for part in parts]
        try:
            outputs = await asyncio.gather(*waits)
        except BaseException:
            for wait in waits:
                wait.cancel()
            raise
        return {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}

    async def drain(self) -> None:
        """Waits until no request waits or is computed, and ends threads and timers, which would keep the model.

        The loop's own threads run what comes later.
        """
        await self._is_idle.wait()
        for timer in (self._delay, self._expiry):
            if timer is not None:
                timer.cancel()
        self._delay, self._expiry, self._next_expiry_s = None, None, inf
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    # -- the queue -----------------------------------------------------------------------------------------------------

    def _require_room(self, rows: int) -> None:
        """Raises RequestError if the queue is full."""
        waiting = self._queue.rows
        if not waiting or waiting + rows <= self._limits.max_queue_rows:
            return
        retry_after_s = ceil((self._times.expected_s(waiting) or 0.0) / self._limits.sessions) or 1
        message = f"{waiting:,} rows wait to be computed, the limit is {self._limits.max_queue_rows:,}"
        raise RequestError(429, "queue-full", message, "send the request again later", retry_after_s=retry_after_s)

    async def _wait(self, feeds: Feeds, rows: int, deadline_s: float) -> Feeds:
        """The outputs for inputs that may be part of one batch."""
        future = asyncio.get_running_loop().create_future()
        request = WaitingRequest(feeds, rows, future, self._clock(), deadline_s)
        self._queue.add(request)
        self._is_idle.clear()
        self._schedule()
        self._expire_at(deadline_s)
        try:
            return await future
        except asyncio.CancelledError:
            self._queue.forget(request)
            self._tell_if_idle()
            raise

    def _schedule(self) -> None:
        """Has `_dispatch` called soon: requests that arrive at the same time share a run."""
        if not self._is_scheduled and self._running < self._limits.sessions:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _expire_at(self, deadline_s: float) -> None:
        """Has `_expire` called at a time, if not earlier."""
        if deadline_s >= self._next_expiry_s:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        self._next_expiry_s = deadline_s
        self._expiry = self._call_at(deadline_s, self._expire)

    def _expire(self) -> None:
        """Ends the requests whose deadlines have passed."""
        self._expiry, self._next_expiry_s, now = None, inf, self._clock()
        for request in self._queue.waiting():
            if request.deadline_s <= now:
                request.future.set_exception(_expired(request, now))
                self._queue.forget(request)
        self._expire_at(min((request.deadline_s for request in self._queue.waiting()), default=inf))
        self._tell_if_idle()

    def _call_at(self, time_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(max(0.0, time_s - self._clock()), callback)

    def _tell_if_idle(self) -> None:
        if not self._running and not self._queue.count:
            self._is_idle.set()

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Starts the batches for which sessions are idle."""
        self._is_scheduled = False
        while self._running < self._limits.sessions and not self._is_waiting_for_rows():
            batch = self._take()
            if not batch:
                break
            expected_s = self._times.expected_s(sum(request.rows for request in batch))
            is_alone = not self._queue.count and not self._running
            if expected_s is not None and expected_s <= (ALONE_INLINE_MAX_S if is_alone else INLINE_MAX_S):
                self._finish(batch, self._clock(), self._run_batch(batch))
                self._schedule()  # after the answers are sent
                break
            self._running += 1
            started_s = self._clock()
            run = asyncio.get_running_loop().run_in_executor(self._threads, self._run_batch, batch)
            run.add_done_callback(partial(self._end_run, batch, started_s))
        self._tell_if_idle()

    def _is_waiting_for_rows(self) -> bool:
        """Whether the next batch waits for more rows while others are computed; then `_dispatch` is called later."""
        oldest = self._queue.oldest() if self._running and self._batching.is_allowed else None
        if oldest is None:
            return False
        start_s = oldest.queued_s + self._limits.max_delay_s
        if start_s <= self._clock() or self._queue.rows_like(oldest) >= self._max_rows():
            return False
        if self._delay is not None:
            self._delay.cancel()
        self._delay = self._call_at(start_s, self._dispatch)
        return True

    def _max_rows(self) -> int:
        return min(self._limits.max_batch_rows, self._times.efficient_rows())

    def _batch_rows(self) -> int:
        """The rows of the next batch: what waits is divided among the idle sessions, unless it is done at once."""
        rows, oldest = self._max_rows(), self._queue.oldest()
        if oldest is None or not self._batching.is_allowed:
            return 0
        waiting = min(rows, self._queue.rows_like(oldest))
        if (self._times.expected_s(waiting) or 0.0) <= INLINE_MAX_S:
            return rows
        return min(rows, ceil(self._queue.rows_like(oldest) / (self._limits.sessions - self._running)))

    def _take(self) -> list[WaitingRequest]:
        """The next batch. Requests whose deadlines have passed are ended."""
        while True:
            taken = self._queue.take(self._batch_rows())
            now, batch = self._clock(), list[WaitingRequest]()
            for request in taken:
                if request.deadline_s > now:
                    batch.append(request)
                else:
                    request.future.set_exception(_expired(request, now))
            if batch or not taken:
                return batch

    def _run_batch(self, batch: list[WaitingRequest]) -> BatchResult:
        return run_batch(
            self._run,
            [request.feeds for request in batch],
            [request.rows for request in batch],
            self._batching,
            self._clock,
        )

    def _end_run(self, batch: list[WaitingRequest], started_s: float, run: asyncio.Future[BatchResult]) -> None:
        self._running -= 1
        self._finish(batch, started_s, run.result())
        self._schedule()
        self._tell_if_idle()

    def _finish(self, batch: list[WaitingRequest], started_s: float, result: BatchResult) -> None:
        """Gives each request of a batch its result."""
        for run in result.executed:
            self._times.add(run.rows, run.seconds)
            self._observer.executed(run.rows, run.seconds)
        for request, (answer, seconds) in zip(batch, result.answers, strict=True):
            if request.future.done():
                continue
            if isinstance(answer, Exception):
                request.future.set_exception(answer)
            else:
                request.future.set_result(answer)
                self._observer.answered(request.rows, started_s - request.queued_s, seconds)


def _expired(request: WaitingRequest, now: float) -> RequestError:
    waited_s = now - request.queued_s
    message = f"the request waited {waited_s:.1f} s for a session, until its time was over"
    return RequestError(503, "request-expired", message, "send it again later", retry_after_s=1)
