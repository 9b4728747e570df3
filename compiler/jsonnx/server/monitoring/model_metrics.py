"""The counts of one version of a model."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from time import time

from .histogram import ROWS_BOUNDS, SECONDS_BOUNDS, Histogram
from .input_monitor import InputMonitor
from .observer import Feeds


class ModelMetrics:
    """Counts what happens to the requests to one version of a model; threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.successes = 0
        self.failures: Counter[str] = Counter()
        """Failed requests by code."""
        self.rows = 0
        """Rows of the requests that got their outputs."""
        self.executions = 0
        """Runs of a session; `rows / executions` is the mean size of a batch, as for Triton."""
        self.queue_s = Histogram(SECONDS_BOUNDS)
        self.compute_s = Histogram(SECONDS_BOUNDS)
        self.batch_rows = Histogram(ROWS_BOUNDS)
        self.last_answer_s = 0.0
        """The time of the last request that got its outputs, since 1970; 0: none did."""
        self.inputs = InputMonitor(None, "no model is loaded")
        """What counts the values of requests."""

    def executed(self, rows: int, compute_s: float) -> None:
        """Counts a run of a session."""
        with self._lock:
            self.executions += 1
            self.batch_rows.observe(rows)

    def answered(self, rows: int, queue_s: float, compute_s: float) -> None:
        """Counts a request that got its outputs."""
        with self._lock:
            self.successes += 1
            self.rows += rows
            self.last_answer_s = time()
            self.queue_s.observe(queue_s)
            self.compute_s.observe(compute_s)

    def failed(self, code: str) -> None:
        """Counts a request that failed."""
        with self._lock:
            self.failures[code] += 1

    def predicted(self, feeds: Feeds, outputs: Feeds) -> None:
        """Counts the values of a request and of its answer."""
        self.inputs.predicted(feeds, outputs)
