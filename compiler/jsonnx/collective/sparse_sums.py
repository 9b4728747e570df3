"""Sums of sparse gradients over shards, by the tree of `shard_tree`: of a large table, only the rows that a batch reads
are added and travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_dtypes import bfloat16

from .protocol import Collective
from .shard_tree import Node, children, shard_range, subtrees


class SparseGradient(NamedTuple):
    """The rows of a gradient that are not zero."""

    indices: np.ndarray
    """[n] int64. A sum has each index once, in ascending order."""
    rows: np.ndarray
    """[n, width] float32."""

    def divided(self, divisor: np.float32) -> SparseGradient:
        return SparseGradient(self.indices, self.rows / divisor)


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


class SparseSums:
    """Adds the sparse gradients of some tables over all shards, of which this rank has first..end-1."""

    def __init__(self, collective: Collective, shard_count: int, widths: Mapping[str, int], rounds: bool) -> None:
        """`widths` are the lengths of rows, by table. With `rounds`, all sums are rounded to bfloat16, and travel
        so."""
        self._collective, self._shard_count, self.widths, self._rounds = collective, shard_count, widths, rounds
        self._dtype = np.dtype(bfloat16 if rounds else np.float32)
        self._nodes = [self._subtrees(rank) for rank in range(collective.size)]
        self._leaves: dict[str, dict[Node, SparseGradient]] = {table: {} for table in widths}

    def _subtrees(self, rank: int) -> list[Node]:
        return subtrees(*shard_range(rank, self._collective.size, self._shard_count), self._shard_count)

    def add(self, shard: int, gradients: Mapping[str, SparseGradient]) -> None:
        """Adds the gradients of a shard, each a `sparse_sum`; a table that is missing has none."""
        for table, width in self.widths.items():
            empty = SparseGradient(np.empty(0, np.int64), np.empty((0, width), np.float32))
            self._leaves[table][shard, shard + 1] = gradients.get(table, empty)

    def total(self) -> dict[str, SparseGradient]:
        """The sums over all shards, by table, equal to the bit on every rank; the next step's begin empty."""
        own = {
            table: {node: self._node_sum(leaves, node) for node in self._nodes[self._collective.rank]}
            for table, leaves in self._leaves.items()
        }
        for leaves in self._leaves.values():
            leaves.clear()
        if self._collective.size > 1:
            data = self._collective.all_gather(self._encode(own))
            decoded = [self._decode(nodes, data[rank]) for rank, nodes in enumerate(self._nodes)]
            own = {table: {n: part for parts in decoded for n, part in parts[table].items()} for table in own}
        return {table: self._node_sum(parts, (0, self._shard_count)) for table, parts in own.items()}

    def _node_sum(self, parts: Mapping[Node, SparseGradient], node: Node) -> SparseGradient:
        """The sum of a node, of whose shards the parts have each once."""
        if node in parts:
            return parts[node]
        return sparse_sum([self._node_sum(parts, child) for child in children(node)], self._rounds)

    def _encode(self, sums: Mapping[str, Mapping[Node, SparseGradient]]) -> bytes:
        """The numbers of rows of all tables and nodes, then the indices and rows of each."""
        parts = [part for of_table in sums.values() for part in of_table.values()]
        counts = np.array([len(part.indices) for part in parts], np.int64)
        arrays = [array for part in parts for array in (part.indices, part.rows.astype(self._dtype, copy=False))]
        return b"".join([counts.tobytes(), *(array.tobytes() for array in arrays)])

    def _decode(self, nodes: Sequence[Node], data: bytes) -> dict[str, dict[Node, SparseGradient]]:
        counts = iter(np.frombuffer(data, np.int64, len(self.widths) * len(nodes)))
        start = 8 * len(self.widths) * len(nodes)
        sums: dict[str, dict[Node, SparseGradient]] = {}
        for table, width in self.widths.items():
            sums[table] = {}
            for node in nodes:
                count = int(next(counts))
                indices = np.frombuffer(data, np.int64, count, start)
                start += indices.nbytes
                rows = np.frombuffer(data, self._dtype, count * width, start)
                start += rows.nbytes
                sums[table][node] = SparseGradient(indices, rows.reshape(count, width).astype(np.float32, copy=False))
        return sums
