"""The time that models take for the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter

import numpy as np

from ..session.session import Session

WARM_UP_RUNS = 3
"""First runs that do not count: onnxruntime plans its memory in them."""
MIN_RUNS, MAX_RUNS = 8, 48
BLOCK_RUNS = 4
"""Runs of a session before those of the next one. The first run of a block does not count: threads of the session
before still wait for work then, and occupy cores."""
MAX_SECONDS = 1.0
"""Time after which no more than the least number of runs is measured."""


def interleaved_latencies(sessions: Sequence[Session], feeds: Mapping[str, np.ndarray]) -> list[float]:
    """The median time of a run of each session, in milliseconds. They run in turn, a block of runs each, so that a
    change in the load of the machine concerns all."""
    for session in sessions:
        for _ in range(WARM_UP_RUNS):
            session.run_prepared(feeds)
    seconds: list[list[float]] = [[] for _ in sessions]
    start = perf_counter()
    for runs in range(0, MAX_RUNS, BLOCK_RUNS):
        if runs >= MIN_RUNS and perf_counter() - start > MAX_SECONDS:
            break
        for session, own in zip(sessions, seconds, strict=True):
            session.run_prepared(feeds)
            for _ in range(BLOCK_RUNS):
                before = perf_counter()
                session.run_prepared(feeds)
                own.append(perf_counter() - before)
    return [median(own) * 1000 for own in seconds]
