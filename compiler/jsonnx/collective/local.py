"""A collective of threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from .exchange import STEP_NAMES, ExchangeCollective, Memory, Outgoing
from .protocol import CollectiveError

EMPTY = np.empty(0, np.uint8)


def local_collectives(size: int, shard_count: int, timeout: float = 300.0) -> list[LocalCollective]:
    """One collective for each of the threads that train together."""
    shared = _Shared(size, timeout)
    return [LocalCollective(rank, size, shard_count, shared) for rank in range(size)]


class _Shared:
    def __init__(self, size: int, timeout: float) -> None:
        self.timeout = timeout
        self.changed = threading.Condition()
        self.messages: list[tuple[int, Outgoing]] = [(0, {})] * size
        self.arrivals = [0] * size
        self.ended: set[int] = set()
        self.causes: list[int] = []
        """The ranks that ended first, or that others missed."""


class LocalCollective(ExchangeCollective):
    """The collective of a thread."""

    def __init__(self, rank: int, size: int, shard_count: int, shared: _Shared) -> None:
        super().__init__(rank, size, shard_count)
        self._shared = shared

    def close(self) -> None:
        self._end([self.rank])

    def _exchange(
        self, step: int, outgoing: Outgoing, lengths: Mapping[int, int] | None, memory: Memory
    ) -> dict[int, np.ndarray]:
        if self.rank in self._shared.ended:
            raise CollectiveError("the collective is closed")
        self._shared.messages[self.rank] = (step, outgoing)
        self._wait(step)
        received = {}
        for peer in self._peers:
            there, messages = self._shared.messages[peer]
            pieces = messages.get(self.rank, ())
            length = sum(map(len, pieces))
            if there != step or (lengths is not None and length != lengths[peer]):
                self._end([peer])
                raise CollectiveError(f"rank {peer} does not call {STEP_NAMES[step]} with equal lengths", [peer])
            received[peer] = memory(peer, length)
            np.concatenate([EMPTY, *pieces], out=received[peer])
        self._wait(step)
        return received

    def _wait(self, step: int) -> None:
        """Waits until all ranks are here as often as this one."""
        shared = self._shared
        with shared.changed:
            shared.arrivals[self.rank] += 1
            shared.changed.notify_all()
            shared.changed.wait_for(lambda: not self._missing() or shared.ended & self._missing(), shared.timeout)
            missing = self._missing()
        if missing:
            self._end(sorted(missing))
            names = " and ".join(f"rank {rank}" for rank in shared.causes)
            raise CollectiveError(f"{names} did not take part in {STEP_NAMES[step]}", shared.causes)

    def _missing(self) -> set[int]:
        own = self._shared.arrivals[self.rank]
        return {rank for rank, count in enumerate(self._shared.arrivals) if count < own}

    def _end(self, causes: Sequence[int]) -> None:
        with self._shared.changed:
            self._shared.causes = self._shared.causes or list(causes)
            self._shared.ended.add(self.rank)
            self._shared.changed.notify_all()
