"""Sums of sparse gradients over shards, by the tree of `shard_tree`: of a large table, only the rows that a batch reads
are added and travel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_dtypes import bfloat16

from .shard_tree import Node, children, subtrees


class SparseGradient(NamedTuple):
    """The rows of a table's gradient that are not zero."""

    indices: np.ndarray
    """[n] int64. A sum has each index once, in ascending order."""
    rows: np.ndarray
    """[n, width] float32."""


SparseGradients = Mapping[str, SparseGradient]
"""Gradients by table. One that is missing is zero."""


def sparse_sum(parts: Sequence[SparseGradient], rounds: bool = False) -> SparseGradient:
    """The sum: rows with the same index are added, in an order that depends on nothing else. With `rounds`, it is
    rounded to bfloat16."""
    indices, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if len(indices):
        order = np.argsort(indices, kind="stable")
        indices = indices[order]
        starts = np.flatnonzero(np.append(True, indices[1:] != indices[:-1]))
        indices, rows = indices[starts], _segment_sums(rows, order, starts)
    return SparseGradient(indices, rows.astype(bfloat16).astype(np.float32) if rounds else rows)


def _segment_sums(rows: np.ndarray, order: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of consecutive segments of the rows in this order. Most segments have one or two rows."""
    counts = np.diff(starts, append=len(order))
    sums = rows[order[starts]]
    pairs = np.flatnonzero(counts == 2)
    sums[pairs] += rows[order[starts[pairs] + 1]]
    is_longer = counts > 2
    if is_longer.any():
        lengths = counts[is_longer]
        members = order[np.repeat(is_longer, counts)]
        sums[is_longer] = np.add.reduceat(rows[members], np.cumsum(lengths) - lengths, axis=0)
    return sums


def sparse_tree_sum(parts: Mapping[Node, SparseGradients], node: Node, rounds: bool = False) -> SparseGradients:
    """The sums of a node, of whose shards the parts have each once."""
    if node in parts:
        return parts[node]
    left, right = (sparse_tree_sum(parts, child, rounds) for child in children(node))
    both = {table: sparse_sum([left[table], right[table]], rounds) for table in left if table in right}
    return {**left, **right, **both}


class SparseSums:
    """Sums of the sparse gradients of the shards first..end-1."""

    def __init__(self, first: int, end: int, shard_count: int, rounds: bool = False) -> None:
        """With `rounds`, all sums are rounded to bfloat16."""
        self._nodes, self._rounds = subtrees(first, end, shard_count), rounds
        self._leaves: dict[Node, SparseGradients] = {}

    def add(self, shard: int, gradients: SparseGradients) -> None:
        """Adds the gradients of a shard, each a `sparse_sum`."""
        self._leaves[shard, shard + 1] = gradients

    def take(self) -> list[SparseGradients]:
        """The sums of `subtrees(first, end, shard_count)`; after that, the sums are those of no shard."""
        sums = [sparse_tree_sum(self._leaves, node, self._rounds) for node in self._nodes]
        self._leaves = {}
        return sums


class SparseMessage:
    """The form in which sums travel: the numbers of rows of all nodes and tables, then the indices and rows of each.

    Rounded rows travel as bfloat16.
    """

    def __init__(self, widths: Mapping[str, int], rounded: bool) -> None:
        self._widths, self._dtype = widths, np.dtype(bfloat16 if rounded else np.float32)

    def encode(self, sums: Sequence[SparseGradients]) -> bytes:
        found = [part.get(table) for part in sums for table in self._widths]
        counts = np.array([len(part.indices) if part else 0 for part in found], np.int64)
        arrays = [array for part in found if part for array in (part.indices, part.rows.astype(self._dtype))]
        return b"".join([counts.tobytes(), *(array.tobytes() for array in arrays)])

    def decode(self, data: bytes, node_count: int) -> Iterator[SparseGradients]:
        counts = np.frombuffer(data, np.int64, node_count * len(self._widths)).reshape(node_count, len(self._widths))
        start = counts.nbytes
        for row_counts in counts.tolist():
            part = {}
            for (table, width), count in zip(self._widths.items(), row_counts, strict=True):
                indices = np.frombuffer(data, np.int64, count, start)
                rows = np.frombuffer(data, self._dtype, count * width, start + indices.nbytes)
                part[table] = SparseGradient(indices, rows.reshape(count, width).astype(np.float32))
                start += indices.nbytes + rows.nbytes
            yield part
