"""A run of several requests at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from ..monitoring.observer import Feeds
from .batching import Batching

Run = Callable[[Feeds], Feeds]
Clock = Callable[[], float]

ALIGNMENT_BYTES = 16
"""Where the rows of an array begin at another address, kernels add numbers in another order."""


@dataclass(frozen=True)
class Executed:
    """A run of the session."""

    rows: int
    seconds: float


@dataclass
class BatchResult:
    """What became of each request of a batch: its outputs or its error, and how long it was computed."""

    answers: list[tuple[Feeds | Exception, float]] = field(default_factory=list)
    executed: list[Executed] = field(default_factory=list)
    """The runs that succeeded."""


def run_batch(
    run: Run, batch: Sequence[Feeds], rows: Sequence[int], batching: Batching, clock: Clock = monotonic
) -> BatchResult:
    """Runs requests at once; if that fails, one by one, so that only those fail that cannot be computed."""
    result, start = BatchResult(), clock()
    try:
        outputs = _run_together(run, batch, rows, batching)
    except Exception as error:
        if len(batch) == 1:
            result.answers = [(error, clock() - start)]
        else:
            for feeds, own_rows in zip(batch, rows, strict=True):
                single = run_batch(run, [feeds], [own_rows], batching, clock)
                result.answers += single.answers
                result.executed += single.executed
        return result
    seconds = clock() - start
    result.answers = [(own, seconds) for own in outputs]
    result.executed = [Executed(sum(rows), seconds)]
    return result


def _run_together(run: Run, batch: Sequence[Feeds], rows: Sequence[int], batching: Batching) -> list[Feeds]:
    """The outputs of each request, computed in a single run."""
    count = sum(rows)
    padding = batching.padded_rows(count) - count
    if len(batch) == 1 and not padding:
        return [run({name: _aligned(array) for name, array in batch[0].items()})]
    outputs = run({name: _stacked([feeds[name] for feeds in batch], padding) for name in batch[0]})
    for name, array in outputs.items():
        if array.shape[:1] != (count + padding,):
            raise ValueError(f"the output {name!r} has the shape {list(array.shape)} for {count + padding} rows")
    answers, start = list[Feeds](), 0
    for own_rows in rows:
        answers.append({name: array[start : start + own_rows] for name, array in outputs.items()})
        start += own_rows
    return answers


def _stacked(arrays: list[np.ndarray], padding: int) -> np.ndarray:
    """The rows of all arrays, and copies of the first row."""
    return np.concatenate([*arrays, *[arrays[0][:1]] * padding])


def _aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it, at an address where every new array begins."""
    return array if array.dtype.hasobject or not array.ctypes.data % ALIGNMENT_BYTES else array.copy()
