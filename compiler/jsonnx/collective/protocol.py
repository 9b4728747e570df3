"""What a training calls on a collective, and the error of all collectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..core.diagnostics import UsageError
from .shard_tree import Vector
from .sparse_sums import SparseGradients


class Collective(Protocol):
    """The workers of one training, of which this is the one of `rank`.

    All ranks make the same calls in the same order. After an error the collective is closed.
    """

    rank: int
    size: int

    def all_reduce(self, parts: Sequence[Vector], rounded: int = 0) -> Vector:
        """The sum over all shards, equal to the bit on every rank and for every number of ranks.

        The parts are the float32 vectors of `ShardSums.take()`: one for each node of `subtrees(...)`. The result may be
        in the memory of the first one. The first `rounded` elements travel as bfloat16: `ShardSums` must have
        rounded them in the parts.
        """

    def all_reduce_sparse(
        self, parts: Sequence[SparseGradients], widths: Mapping[str, int], rounded: bool = False
    ) -> SparseGradients:
        """The sums of sparse gradients over all shards, equal to the bit as those of `all_reduce`.

        The parts are those of `SparseSums.take()`; `widths` are the lengths of rows of all tables. If `rounded`, the
        sums round, and rows travel as bfloat16.
        """

    def all_gather(self, data: bytes) -> list[bytes]:
        """The data of every rank, which may differ in length."""

    def broadcast(self, data: bytes, root: int = 0) -> bytes:
        """The data of the rank `root`; those of other ranks are ignored."""

    def barrier(self) -> None:
        """Waits until all ranks have called it."""

    def close(self) -> None:
        """Releases connections and memory; what other ranks still wait for fails there."""


class CollectiveError(UsageError):
    """Some ranks are missing, did not answer, or do something else."""

    def __init__(self, message: str, ranks: Sequence[int] = (), help: str | None = None) -> None:
        super().__init__(code="collective-failed", message=message, help=help)
        self.ranks = tuple(ranks)
        """The ranks to which the error is due, as far as they are known."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.diagnostic.message, self.ranks, self.diagnostic.help)
