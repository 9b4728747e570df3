"""Measures a session from its start: the time to load it, its first and further runs, its memory."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ...core.system.peak_memory import peak_memory_bytes, resident_memory_bytes
from ..providers.providers import create_session, resolve_provider
from .load_model import loadable_model

MAX_WARM_UP_RUNS, MAX_WARM_UP_SECONDS = 5, 1.0
"""Runs after the first one that are not measured."""
MAX_SECONDS_PER_SIZE = 2.0
"""Maximum time of the measured runs with a batch size, once there are as many runs as asked for."""
MAX_RUNS_PER_SIZE = 2000


class RunsJob(NamedTuple):
    """What a process measures."""

    model: str
    """The path of a verified model."""
    provider: str
    provider_options: Mapping[str, str]
    threads: int | None
    min_runs: int
    feeds: Mapping[str, str]
    """The .npz file of the inputs, by batch size. Strings are Unicode arrays there."""


def measure_runs(job: RunsJob) -> dict[str, Any]:
    """Loads the model and runs it, the smallest batch first. Returns fields of a `LatencyProfile`, as JSON values."""
    provider = resolve_provider(job.provider, job.provider_options or None).with_graph_capture(False)
    baseline = peak_memory_bytes()
    start = perf_counter()
    # Only the nodes that a provider computes wrongly need the model's bytes, which a session then keeps.
    model = loadable_model(job.model, verify=False) if provider.record.workarounds else os.fspath(job.model)
    session = create_session(model, provider, job.threads)
    load_seconds = perf_counter() - start
    load_peak, loaded = peak_memory_bytes(), resident_memory_bytes()
    batches = []
    for batch_size, file in sorted(job.feeds.items(), key=lambda item: int(item[0])):
        feeds = _read_feeds(file, [value.name for value in session.get_inputs()])
        first_seconds, *run_seconds = _timed_runs(partial(session.run, None, feeds), job.min_runs)
        resident = resident_memory_bytes()
        added = None if resident is None or loaded is None else max(0, resident - loaded)
        batches.append(
            {
                "batch_size": int(batch_size),
                "first_seconds": first_seconds,
                "run_seconds": run_seconds,
                "added_bytes": added,
            }
        )
    return {
        "load_seconds": load_seconds,
        "baseline_bytes": baseline,
        "load_peak_bytes": load_peak,
        "peak_bytes": peak_memory_bytes(),
        "batches": batches,
    }


def _read_feeds(file: str, names: Iterable[str]) -> dict[str, np.ndarray]:
    with np.load(file) as arrays:
        feeds = {name: arrays[name] for name in names}
    return {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in feeds.items()}


def _timed_runs(run: Callable[[], Any], min_runs: int) -> Iterator[float]:
    """The times of the first run and of the measured ones, in seconds."""
    gc.collect()
    gc.disable()
    try:
        yield _timed(run)
        warm_up_start = perf_counter()
        for _ in range(MAX_WARM_UP_RUNS):
            run()
            if perf_counter() - warm_up_start > MAX_WARM_UP_SECONDS:
                break
        start, count = perf_counter(), 0
        while count < min_runs or (count < MAX_RUNS_PER_SIZE and perf_counter() - start < MAX_SECONDS_PER_SIZE):
            yield _timed(run)
            count += 1
    finally:
        gc.enable()


def _timed(run: Callable[[], Any]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start
