"""Rows of samples that are read for statistics: few of many, evenly spaced, the same in each run."""

from __future__ import annotations

from math import prod

import numpy as np

from ..samples.dataset import Dataset
from ..samples.stored_arrays import StoredArray

MAX_ROWS = 20_000
MAX_BYTES = 1 << 26
"""Bytes of the inputs of all rows."""
MIN_ROWS = 100
"""Minimum number of rows, however large they are."""
MAX_BLOCKS = 8
"""Blocks of a streamed file that are read, where it can only be read by blocks."""


def sampled_rows(samples: Dataset, max_rows: int = MAX_ROWS) -> np.ndarray:
    """The indices of some samples, in ascending order."""
    row_bytes = sum(prod(samples.sample_shape(name)) * array.dtype.itemsize for name, array in samples.inputs.items())
    count = min(len(samples), max_rows, max(MIN_ROWS, MAX_BYTES // max(1, row_bytes)))
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
