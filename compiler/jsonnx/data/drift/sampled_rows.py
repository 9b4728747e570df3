"""Rows of samples that are read for statistics: few of many, evenly spaced, the same in each run."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from ..samples.dataset import Dataset
from ..samples.stored_arrays import StoredArray

MAX_ROWS = 20_000
MAX_VALUES = 1 << 20
"""Elements of the inputs of all rows."""
MIN_ROWS = 500
"""Minimum number of rows, however large they are."""
MAX_BLOCKS = 8
"""Blocks of a streamed file that are read, where it can only be read by blocks."""


def sampled_rows(samples: Dataset, max_rows: int = MAX_ROWS) -> np.ndarray:
    """The indices of some samples, in ascending order."""
    values = sum(prod(samples.sample_shape(name)) for name in samples.inputs)
    count = min(len(samples), max_rows, max(MIN_ROWS, MAX_VALUES // max(1, values)))
    starts = _block_starts(samples)
    if starts is None or len(starts) - 1 <= MAX_BLOCKS:
        return _evenly_spaced(count, len(samples))
    blocks = _evenly_spaced(MAX_BLOCKS, len(starts) - 1)
    rows = np.concatenate([np.arange(starts[block], starts[block + 1]) for block in blocks])
    return rows[_evenly_spaced(min(count, len(rows)), len(rows))]


def _evenly_spaced(count: int, total: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * total // count if count else np.zeros(0, np.int64)


def _block_starts(samples: Dataset) -> np.ndarray | None:
    """The first rows of the blocks that can only be read as a whole, and the number of rows; None if rows can be read
    one by one."""
    for array in samples.inputs.values():
        if isinstance(array, StoredArray) and (starts := array.block_starts()) is not None:
            return starts
    return None


def read_parts(samples: Dataset, rows: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """The inputs of some samples in the element types of the graphs, in parts of bounded size."""
    values = sum(prod(samples.sample_shape(name)) for name in samples.inputs)
    count = max(1, MAX_VALUES // max(1, values))
    inputs = samples.select_inputs(samples.inputs)
    for start in range(0, len(rows), count):
        yield inputs.subset(rows[start : start + count]).take_inputs(slice(None))
