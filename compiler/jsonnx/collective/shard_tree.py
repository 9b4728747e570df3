"""The fixed binary tree by which vectors of the shards of a batch are added, whatever worker computed them.

A node (first, end) stands for the shards first..end-1. It splits after the largest power of two of shards that leaves
some on the right. Sums of two nodes are the same operation wherever they are computed, so the root has the same bits.

The first `rounded` elements of every node, shards included, may be rounded to bfloat16: they can then travel in 16 bits
without a loss, and which nodes travel has no effect on the root.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ml_dtypes import bfloat16

Node = tuple[int, int]
Vector = np.ndarray

MAX_BLOCK_ELEMENTS = 1 << 16
"""Vectors are added in blocks of this size, so that sums of inner nodes stay in the cache."""


def shard_range(rank: int, size: int, shard_count: int) -> Node:
    """The shards of a rank, as (first, end); none if they are equal."""
    return -(-shard_count * rank // size), -(-shard_count * (rank + 1) // size)


def children(node: Node) -> tuple[Node, Node]:
    """The two nodes whose sum is the node, which has more than one shard."""
    first, end = node
    middle = first + (1 << ((end - first - 1).bit_length() - 1))
    return (first, middle), (middle, end)


def subtrees(first: int, end: int, shard_count: int) -> list[Node]:
    """The largest nodes of the tree that have only shards of first..end-1, in order."""
    found: list[Node] = []
    pending = [(0, shard_count)]
    while pending:
        node = pending.pop()
        if first <= node[0] and node[1] <= end:
            found.append(node)
        elif first < node[1] and node[0] < end:
            pending.extend(reversed(children(node)))
    return found


def tree_sum(parts: Mapping[Node, Vector], shard_count: int, out: Vector, rounded: int = 0) -> Vector:
    """Writes the sum over all shards to `out`, which may be one of the parts.

    The parts are vectors of nodes that have each shard once. Only `out` is changed.
    """
    for start in range(0, len(out), MAX_BLOCK_ELEMENTS):
        block = slice(start, start + MAX_BLOCK_ELEMENTS)
        _sum_block(parts, (0, shard_count), block, out[block], max(0, rounded - start))
    return out


def _sum_block(parts: Mapping[Node, Vector], node: Node, block: slice, out: Vector | None, rounded: int) -> Vector:
    """The sum of a node, in `out` if that is given, or else perhaps a view of a part."""
    part = parts.get(node)
    if part is None:
        left, right = (_sum_block(parts, child, block, None, rounded) for child in children(node))
        return round_to_bfloat16(np.add(left, right, out=out), rounded)
    if out is None:
        return part[block]
    np.copyto(out, part[block])
    return out


def round_to_bfloat16(vector: Vector, rounded: int) -> Vector:
    """Rounds the first elements in place."""
    if rounded:
        vector[:rounded] = vector[:rounded].astype(bfloat16)
    return vector


class ShardSums:
    """Sums of the shards first..end-1, added as soon as both vectors of a sum exist.

    While shards are added in order, about log2(end - first) vectors exist at a time.
    """

    def __init__(self, first: int, end: int, shard_count: int, rounded: int = 0) -> None:
        self._nodes = subtrees(first, end, shard_count)
        self._rounded = rounded
        self._parents: dict[Node, Node] = {}
        pending = list(self._nodes)
        while pending:
            node = pending.pop()
            if node[1] - node[0] > 1:
                pending.extend(children(node))
                self._parents.update(dict.fromkeys(children(node), node))
        self._sums: dict[Node, Vector] = {}
        self._taken: list[Vector] = []
        self._unused: list[Vector] = []

    def buffer(self, length: int) -> Vector:
        """A float32 vector with any values, for `add`; the memory of what `take` returned is used again."""
        self._unused += self._taken
        self._taken = []
        while self._unused:
            vector = self._unused.pop()
            if len(vector) == length:
                return vector
        return np.empty(length, np.float32)

    def add(self, shard: int, vector: Vector) -> None:
        """Adds a shard's vector, whose memory belongs to the sums from then on."""
        node = (shard, shard + 1)
        round_to_bfloat16(vector, self._rounded)
        while parent := self._parents.get(node):
            left, right = children(parent)
            other = self._sums.pop(right if node == left else left, None)
            if other is None:
                break
            first, second = (vector, other) if node == left else (other, vector)
            node, vector = parent, round_to_bfloat16(np.add(first, second, out=first), self._rounded)
            self._unused.append(second)
        self._sums[node] = vector

    def take(self) -> list[Vector]:
        """The sums of `subtrees(first, end, shard_count)`; after that, the sums are those of no shard.

        The vectors keep their values until the next call of `buffer`.
        """
        self._taken = [self._sums.pop(node) for node in self._nodes]
        return list(self._taken)
