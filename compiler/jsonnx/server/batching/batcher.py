"""Runs the requests to one version of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from ..monitoring.observer import Feeds, Observer


@dataclass(frozen=True)
class BatchLimits:
    """The limits of batches, and of the queue."""

    max_batch_rows: int = 64
    max_queue_rows: int = 4096
    max_delay_s: float = 0.002
    sessions: int = 1
    """Runs at the same time."""


class Batcher:
    """Runs requests, each by itself, `limits.sessions` at the same time."""

    def __init__(
        self, run: Callable[[Feeds], Feeds], limits: BatchLimits, is_batched: bool, observer: Observer
    ) -> None:
        self._run, self._observer = run, observer
        self._threads = ThreadPoolExecutor(limits.sessions)

    @property
    def queue_rows(self) -> int:
        """Rows that wait for a run."""
        return 0

    async def infer(self, feeds: Feeds, deadline_s: float | None = None) -> Feeds:
        """The outputs for the inputs of one request."""
        start, rows = monotonic(), len(next(iter(feeds.values())))
        outputs = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, feeds)
        self._observer.executed(rows, monotonic() - start)
        self._observer.answered(rows, 0.0, monotonic() - start)
        return outputs

    async def drain(self) -> None:
        """Waits until no request is in the queue, and ends the threads."""
        await asyncio.to_thread(self._threads.shutdown)
