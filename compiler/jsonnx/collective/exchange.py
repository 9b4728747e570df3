"""The collective operations, made of exchanges: every rank sends one message to every other rank and gets one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
from ml_dtypes import bfloat16

from .protocol import CollectiveError
from .shard_tree import Node, Vector, shard_range, subtrees, tree_sum
from .sparse_sums import SparseGradients, SparseMessage, sparse_tree_sum

Outgoing = Mapping[int, Sequence[np.ndarray]]
"""What each rank gets, as arrays of bytes that are joined; nothing for those that are missing."""
Memory = Callable[[int, int], np.ndarray]
"""Returns memory for a message, by the rank of its sender and its number of bytes."""

SCATTER, GATHER, ALL_GATHER, BROADCAST, BARRIER = range(1, 6)
STEP_NAMES = {
    SCATTER: "all_reduce (parts)",
    GATHER: "all_reduce (sums)",
    ALL_GATHER: "all_gather",
    BROADCAST: "broadcast",
    BARRIER: "barrier",
}
SLICE_ELEMENTS = 16
"""Slices of a vector begin at multiples of it, the size of a cache line."""


class ExchangeCollective(ABC):
    """A collective whose subclass sends messages."""

    def __init__(self, rank: int, size: int, shard_count: int) -> None:
        self.rank = rank
        self.size = size
        self.shard_count = shard_count
        self._peers = [other for other in range(size) if other != rank]
        self._nodes = [subtrees(*shard_range(other, size, shard_count), shard_count) for other in range(size)]
        self._memory: dict[int, np.ndarray] = {}

    @abstractmethod
    def close(self) -> None:
        """Releases connections and memory."""

    @abstractmethod
    def _exchange(
        self, step: int, outgoing: Outgoing, lengths: Mapping[int, int] | None, memory: Memory
    ) -> dict[int, np.ndarray]:
        """The message of every other rank, as bytes that are valid until the next exchange.

        Messages with another length than expected are errors; without `lengths`, all are accepted.
        """

    def all_reduce(self, parts: Sequence[Vector], rounded: int = 0) -> Vector:
        """The sum over all shards: each rank adds one slice of the vectors, and sends its sum to all others."""
        total = self._total(parts)
        slices = vector_slices(len(total), self.size, rounded)
        own = slices[self.rank]
        outgoing = {peer: [piece for part in parts for piece in slices[peer].encode(part)] for peer in self._peers}
        lengths = {peer: len(self._nodes[peer]) * own.byte_count for peer in self._peers}
        received = self._exchange(SCATTER, outgoing, lengths, self._reused_memory)
        leaves = dict(zip(self._nodes[self.rank], (part[own.start : own.end] for part in parts), strict=True))
        for peer, data in received.items():
            leaves |= own.decode_all(self._nodes[peer], data)
        tree_sum(leaves, self.shard_count, total[own.start : own.end], own.rounded)

        def memory(peer: int, length: int) -> np.ndarray:
            there = slices[peer]
            is_direct = not there.rounded
            return total[there.start : there.end].view(np.uint8) if is_direct else self._reused_memory(peer, length)

        sums = own.encode(total)
        lengths = {peer: slices[peer].byte_count for peer in self._peers}
        received = self._exchange(GATHER, self._to_all(sums), lengths, memory)
        for peer, data in received.items():
            if not np.may_share_memory(data, total):
                total[slices[peer].start : slices[peer].end] = slices[peer].decode(data)
        return total

    def all_reduce_sparse(
        self, parts: Sequence[SparseGradients], widths: Mapping[str, int], rounded: bool = False
    ) -> SparseGradients:
        """The sums over all shards: every rank sends its parts to all others."""
        by_rank = [list(parts)]
        if self.size > 1:
            message = SparseMessage(widths, rounded)
            data = self.all_gather(message.encode(parts))
            by_rank = [list(message.decode(data[rank], len(nodes))) for rank, nodes in enumerate(self._nodes)]
        leaves = zip(chain.from_iterable(self._nodes), chain.from_iterable(by_rank), strict=True)
        return sparse_tree_sum(dict(leaves), (0, self.shard_count), rounded)

    def all_gather(self, data: bytes) -> list[bytes]:
        outgoing = self._to_all([np.frombuffer(data, np.uint8)])
        received = self._exchange(ALL_GATHER, outgoing, None, _new_memory)
        return [data if rank == self.rank else received[rank].tobytes() for rank in range(self.size)]

    def broadcast(self, data: bytes, root: int = 0) -> bytes:
        outgoing = self._to_all([np.frombuffer(data, np.uint8)]) if self.rank == root else {}
        received = self._exchange(BROADCAST, outgoing, None, _new_memory)
        return data if self.rank == root else received[root].tobytes()

    def barrier(self) -> None:
        self._exchange(BARRIER, {}, dict.fromkeys(self._peers, 0), _new_memory)

    def _to_all(self, message: Sequence[np.ndarray]) -> Outgoing:
        return dict.fromkeys(self._peers, message)

    def _total(self, parts: Sequence[Vector]) -> Vector:
        """Memory for the sum. A rank without shards does not know its length, which rank 0 tells."""
        length = len(parts[0]) if parts else 0
        if self.size > self.shard_count:
            length = int.from_bytes(self.broadcast(length.to_bytes(8, "little")), "little")
        if any(part.dtype != np.float32 or part.shape != (length,) for part in parts):
            self.close()
            message = f"rank {self.rank} has parts that are not float32 vectors of {length} elements"
            raise CollectiveError(message, [self.rank])
        return parts[0] if parts else np.empty(length, np.float32)

    def _reused_memory(self, peer: int, length: int) -> np.ndarray:
        found = self._memory.get(peer)
        if found is None or len(found) != length:
            found = self._memory[peer] = np.empty(length, np.uint8)
        return found


class SingleCollective(ExchangeCollective):
    """The collective of a training with one worker."""

    def __init__(self, shard_count: int) -> None:
        super().__init__(0, 1, shard_count)

    def close(self) -> None:
        """Does nothing."""

    def _exchange(
        self, step: int, outgoing: Outgoing, lengths: Mapping[int, int] | None, memory: Memory
    ) -> dict[int, np.ndarray]:
        return {}


class VectorSlice:
    """The elements start..end-1 of a vector, whose first `rounded` ones travel as bfloat16."""

    def __init__(self, start: int, end: int, rounded: int) -> None:
        self.start = start
        self.end = end
        self.rounded = min(max(rounded - start, 0), end - start)
        self.byte_count = 4 * (end - start) - 2 * self.rounded

    def encode(self, vector: Vector) -> list[np.ndarray]:
        middle = self.start + self.rounded
        head, tail = vector[self.start : middle].astype(bfloat16), vector[middle : self.end]
        return [piece.view(np.uint8) for piece in (head, tail) if len(piece)]

    def decode(self, data: np.ndarray) -> Vector:
        if not self.rounded:
            return data.view(np.float32)
        middle = 2 * self.rounded
        return np.concatenate([data[:middle].view(bfloat16), data[middle:].view(np.float32)], dtype=np.float32)

    def decode_all(self, nodes: Sequence[Node], data: np.ndarray) -> dict[Node, Vector]:
        size = self.byte_count
        return {node: self.decode(data[size * i : size * (i + 1)]) for i, node in enumerate(nodes)}


def vector_slices(length: int, size: int, rounded: int) -> list[VectorSlice]:
    """The slice of a vector that each rank adds."""
    step = -(-length // (size * SLICE_ELEMENTS)) * SLICE_ELEMENTS
    bounds = [min(step * rank, length) for rank in range(size + 1)]
    return [VectorSlice(start, end, rounded) for start, end in pairwise(bounds)]


def _new_memory(peer: int, length: int) -> np.ndarray:
    return np.empty(length, np.uint8)
