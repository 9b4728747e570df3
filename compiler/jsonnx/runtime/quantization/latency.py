"""The time that models take for the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter

import numpy as np

from ..session.session import Session

WARM_UP_RUNS = 3
"""First runs that do not count: onnxruntime plans its memory in them."""
MIN_RUNS, MAX_RUNS = 7, 50
MAX_SECONDS = 1.0
"""Time after which no more than the least number of runs is measured."""


def interleaved_latencies(sessions: Sequence[Session], feeds: Mapping[str, np.ndarray]) -> list[float]:
    """The median time of a run of each session, in milliseconds. They run in turn, so that a change in the load of the
    machine concerns all."""
    for session in sessions:
        for _ in range(WARM_UP_RUNS):
            session.run_prepared(feeds)
    seconds: list[list[float]] = [[] for _ in sessions]
    start = perf_counter()
    for run in range(MAX_RUNS):
        if run >= MIN_RUNS and perf_counter() - start > MAX_SECONDS:
            break
        for session, own in zip(sessions, seconds, strict=True):
            before = perf_counter()
            session.run_prepared(feeds)
            own.append(perf_counter() - before)
    return [median(own) * 1000 for own in seconds]
