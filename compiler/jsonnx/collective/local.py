"""A collective of threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from .exchange import STEP_NAMES, ExchangeCollective, Memory, Outgoing
from .protocol import CollectiveError

EMPTY = np.empty(0, np.uint8)


def local_collectives(size: int, shard_count: int, timeout: float = 60.0) -> list[LocalCollective]:
    """One collective for each of the threads that train together."""
    shared = _Shared(size, timeout)
    return [LocalCollective(rank, size, shard_count, shared) for rank in range(size)]


class _Shared:
    def __init__(self, size: int, timeout: float) -> None:
        self.barrier = threading.Barrier(size, timeout=timeout)
        self.messages: list[tuple[int, Outgoing]] = [(0, {})] * size
        self.arrivals = [0] * size


class LocalCollective(ExchangeCollective):
    def __init__(self, rank: int, size: int, shard_count: int, shared: _Shared) -> None:
        super().__init__(rank, size, shard_count)
        self._shared = shared

    def close(self) -> None:
        self._shared.barrier.abort()

    def _exchange(
        self, step: int, outgoing: Outgoing, lengths: Mapping[int, int] | None, memory: Memory
    ) -> dict[int, np.ndarray]:
        self._shared.messages[self.rank] = (step, outgoing)
        self._wait(step)
        received = {}
        for peer in self._peers:
            there, messages = self._shared.messages[peer]
            pieces = messages.get(self.rank, ())
            length = sum(map(len, pieces))
            if there != step or (lengths is not None and length != lengths[peer]):
                self.close()
                raise CollectiveError(f"rank {peer} does not call {STEP_NAMES[step]} with equal lengths", [peer])
            received[peer] = memory(peer, length)
            np.concatenate([EMPTY, *pieces], out=received[peer])
        self._wait(step)
        return received

    def _wait(self, step: int) -> None:
        self._shared.arrivals[self.rank] += 1
        try:
            self._shared.barrier.wait()
        except threading.BrokenBarrierError:
            own = self._shared.arrivals[self.rank]
            missing = [rank for rank, count in enumerate(self._shared.arrivals) if count < own]
            names = " and ".join(f"rank {rank}" for rank in missing) or "a rank"
            raise CollectiveError(f"{names} did not take part in {STEP_NAMES[step]}", missing) from None
