"""Arrays whose samples stay in their files and are read batch by batch.

A `StoredArray` stands where a NumPy array of all samples would stand: it has a shape and an element type, and reads the
samples that a batch needs. Its values never change while it is in use: a file that is shortened meanwhile is reported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np

CHUNK_BYTES = 1 << 24
"""Bytes that are read at once by a pass over all samples."""
MAX_SHUFFLE_BUFFER_BYTES = 1 << 28
"""Bytes of the samples that are shuffled among one another, where they cannot be read one by one."""
DEFAULT_BUFFER_SAMPLES = 1 << 16
"""Samples that are shuffled among one another where samples cannot be read one by one."""


class SampleSource(Protocol):
    """Reads samples of a file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The samples of some rows."""

    def read_range(self, start: int, stop: int) -> np.ndarray:
        """The samples of consecutive rows."""

    def block_starts(self) -> np.ndarray | None:
        """The first rows of the blocks that can only be read as a whole, and the number of rows; None if every sample
        can be read by itself."""


class StoredArray:
    """An array [samples, ...] that reads its samples from a source."""

    def __init__(
        self, source: SampleSource, sample_shape: tuple[int, ...] | None = None, rows: range | None = None
    ) -> None:
        self.source, self.dtype = source, source.dtype
        self._rows = range(source.shape[0]) if rows is None else rows
        self.shape = (len(self._rows), *(source.shape[1:] if sample_shape is None else sample_shape))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def sample_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        """The samples of some rows, which need not be in ascending order, as an array in memory."""
        if isinstance(rows, slice):
            selected = self._rows[rows]
            samples = self.source.read_range(selected.start, max(selected.start, selected.stop))
        else:
            samples = self.source.read(np.asarray(rows) + self._rows.start)
        return samples.reshape(len(samples), *self.shape[1:])

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All samples in parts, each with the number of its first sample."""
        chunk_rows = max(1, CHUNK_BYTES // max(1, self.sample_bytes))
        starts = self.block_starts()
        if starts is not None:
            yield from ((int(a), self.read(slice(int(a), int(b)))) for a, b in pairwise(starts))
            return
        for start in range(0, len(self), chunk_rows):
            yield start, self.read(slice(start, min(start + chunk_rows, len(self))))

    def subset(self, rows: slice | np.ndarray) -> StoredArray:
        """Some of the samples, given by their indices."""
        if not isinstance(rows, slice):
            return StoredArray(SelectedSamples(self, np.asarray(rows)))
        return StoredArray(self.source, self.shape[1:], self._rows[rows])

    def reshape(self, *shape: int) -> StoredArray:
        """The samples in another shape; the first axis stays."""
        if shape[0] != len(self) or prod(shape) != self.size:
            raise ValueError(f"cannot reshape samples of shape {list(self.shape)} to {list(shape)}")
        return StoredArray(self.source, shape[1:], self._rows)

    def block_starts(self) -> np.ndarray | None:
        """The first rows of blocks as `SampleSource.block_starts` gives them, for these samples."""
        starts = self.source.block_starts()
        if starts is None:
            return None
        return np.unique(np.clip(starts, self._rows.start, self._rows.stop)) - self._rows.start

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All samples, in memory."""
        if not len(self):
            return np.empty(self.shape, dtype or self.dtype)
        array = np.empty(self.shape, dtype or self.dtype)
        for start, chunk in self.chunks():
            array[start : start + len(chunk)] = chunk
        return array


Samples = np.ndarray | StoredArray
"""The values of an input or a target: in memory, or in their file."""


# -- sources ---------------------------------------------------------------------------------------------------------


class BlockSamples:
    """Samples in blocks that can only be read as a whole, such as the row groups of a Parquet file.

    As many blocks are kept as samples are shuffled among one another.
    """

    def __init__(
        self,
        readers: Sequence[Callable[[], np.ndarray]],
        starts: Sequence[int],
        sample_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        buffer_samples: int,
    ) -> None:
        """`starts` are the first rows of the blocks, and the number of all rows."""
        self.readers, self.starts, self.buffer_samples = readers, np.asarray(starts, np.int64), buffer_samples
        self.shape, self.dtype = (int(self.starts[-1]), *sample_shape), dtype
        self._kept_samples = buffer_limit(buffer_samples, prod(sample_shape) * dtype.itemsize) + 2 * int(
            np.diff(self.starts).max(initial=0)
        )
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()

    def read(self, rows: np.ndarray) -> np.ndarray:
        samples = np.empty((len(rows), *self.shape[1:]), self.dtype)
        numbers = np.searchsorted(self.starts, rows, "right") - 1
        for number in np.unique(numbers).tolist():
            selected = np.flatnonzero(numbers == number)
            samples[selected] = self._block(number)[rows[selected] - self.starts[number]]
        return samples

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return self.read(np.arange(start, stop))

    def block_starts(self) -> np.ndarray:
        return self.starts

    def _block(self, number: int) -> np.ndarray:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        block = self._blocks[number] = self.readers[number]()
        while sum(map(len, self._blocks.values())) > self._kept_samples:
            self._blocks.popitem(last=False)
        return block


class ConcatenatedSamples:
    """The samples of several sources, one behind the other."""

    def __init__(self, parts: Sequence[Samples]) -> None:
        self._parts = [part if isinstance(part, StoredArray) else _InMemory(part) for part in parts]
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *parts[0].shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def read(self, rows: np.ndarray) -> np.ndarray:
        samples = np.empty((len(rows), *self.shape[1:]), self.dtype)
        numbers = np.searchsorted(self._starts, rows, "right") - 1
        for number in np.unique(numbers).tolist():
            selected = np.flatnonzero(numbers == number)
            samples[selected] = self._parts[number].read(rows[selected] - self._starts[number])
        return samples

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return np.concatenate(
            [
                part.read(slice(max(start - first, 0), max(stop - first, 0)))
                for part, first in zip(self._parts, self._starts.tolist(), strict=False)
            ],
            dtype=self.dtype,
        )

    def block_starts(self) -> np.ndarray | None:
        starts = [part.block_starts() for part in self._parts]
        if all(start is None for start in starts):
            return None
        edges = [
            np.array([0, len(part)]) if start is None else start
            for part, start in zip(self._parts, starts, strict=True)
        ]
        return np.unique(np.concatenate([edge + first for edge, first in zip(edges, self._starts, strict=False)]))


class StackedSamples:
    """Columns as one array, stacked along the last axis as `numpy.column_stack` does."""

    def __init__(self, columns: Sequence[Samples]) -> None:
        self._columns = [column if isinstance(column, StoredArray) else _InMemory(column) for column in columns]
        widths = [column.shape[1] if column.ndim == 2 else 1 for column in columns]
        if any(len(column) != len(columns[0]) or column.ndim > 2 for column in columns):
            raise ValueError("columns have different numbers of rows, or more than two axes")
        self.shape: tuple[int, ...] = (len(columns[0]), sum(widths))
        self.dtype = np.result_type(*(column.dtype for column in columns))

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        return np.column_stack([column.read(rows) for column in self._columns]).astype(self.dtype, copy=False)

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return self.read(slice(start, stop))

    def block_starts(self) -> np.ndarray | None:
        starts = [start for column in self._columns if (start := column.block_starts()) is not None]
        return np.unique(np.concatenate(starts)) if starts else None


class SelectedSamples:
    """Some of the samples of an array in a file."""

    def __init__(self, array: StoredArray, rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self._array.read(self._rows[rows])

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return self._array.read(self._rows[start:stop])

    def block_starts(self) -> np.ndarray | None:
        starts = self._array.block_starts()
        if starts is None:
            return None
        return np.unique(np.searchsorted(self._rows, starts)) if (np.diff(self._rows) > 0).all() else None


class _InMemory:
    """An array in memory as a part of a source."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        return self._array[rows]

    def block_starts(self) -> None:
        return None


def buffer_limit(buffer_samples: int, sample_bytes: int) -> int:
    """The samples that are shuffled among one another: as many as asked for, unless they take too much memory."""
    return min(buffer_samples, MAX_SHUFFLE_BUFFER_BYTES // max(1, sample_bytes))


def concatenate_samples(parts: Sequence[Samples]) -> Samples:
    """The samples of all parts, in memory if all parts are."""
    if not any(isinstance(part, StoredArray) for part in parts):
        return np.concatenate(parts)
    blocks = [_whole_blocks(part) for part in parts]
    if all(block is not None for block in blocks):  # one buffer for all files
        return StoredArray(_concatenated_blocks([block for block in blocks if block is not None]), parts[0].shape[1:])
    return StoredArray(ConcatenatedSamples(parts))


def _whole_blocks(part: Samples) -> BlockSamples | None:
    """The source of an array of blocks that has all of the source's samples."""
    source = part.source if isinstance(part, StoredArray) else None
    return source if isinstance(source, BlockSamples) and len(part) == source.shape[0] else None


def _concatenated_blocks(parts: Sequence[BlockSamples]) -> BlockSamples:
    readers = [reader for part in parts for reader in part.readers]
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    dtype = np.result_type(*(part.dtype for part in parts))
    return BlockSamples(readers, starts, parts[0].shape[1:], dtype, parts[0].buffer_samples)


def _stacked_blocks(columns: Sequence[BlockSamples]) -> BlockSamples:
    def reader(readers: Sequence[Callable[[], np.ndarray]]) -> Callable[[], np.ndarray]:
        return lambda: np.column_stack([read() for read in readers])

    readers = [reader(of_columns) for of_columns in zip(*(column.readers for column in columns), strict=True)]
    width = sum(prod(column.shape[1:]) for column in columns)
    dtype = np.result_type(*(column.dtype for column in columns))
    return BlockSamples(readers, columns[0].starts.tolist(), (width,), dtype, columns[0].buffer_samples)


def stack_columns(columns: Sequence[Samples]) -> Samples:
    """The columns as one array. Raises ValueError if their shapes differ."""
    if len(columns) == 1:
        return columns[0]
    if not any(isinstance(column, StoredArray) for column in columns):
        arrays = [np.asarray(column) for column in columns]
        matrix = _matrix_of(arrays)
        return np.column_stack(arrays) if matrix is None else matrix
    blocks = [_whole_blocks(column) for column in columns]
    if all(block is not None and len(block.shape) <= 2 for block in blocks):
        sources = [block for block in blocks if block is not None]
        if all(np.array_equal(source.starts, sources[0].starts) for source in sources):
            return StoredArray(_stacked_blocks(sources))
    return StoredArray(StackedSamples(columns))


def _matrix_of(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """The matrix that the arrays are the columns of, in their order; None if there is none."""
    matrix = columns[0].base
    if matrix is None or matrix.shape != (len(columns[0]), len(columns)):
        return None
    is_matrix = all(
        column.base is matrix and column.__array_interface__ == matrix[:, number].__array_interface__
        for number, column in enumerate(columns)
    )
    return matrix if is_matrix else None


def rows_of(samples: Samples, rows: np.ndarray) -> np.ndarray:
    """The samples of an array of indices, of any shape."""
    if not isinstance(samples, StoredArray):
        return samples[rows]
    return samples.read(rows.reshape(-1)).reshape(*rows.shape, *samples.shape[1:])


def read_rows(samples: Samples, rows: slice) -> np.ndarray:
    """Consecutive samples, in memory."""
    return samples.read(rows) if isinstance(samples, StoredArray) else samples[rows]


def subset_of(samples: Samples, rows: slice | np.ndarray) -> Samples:
    """Some of the samples, given by their indices."""
    return samples.subset(rows) if isinstance(samples, StoredArray) else samples[rows]
