"""Groups of ranks for tests: threads of this process, and processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonnx.collective.exchange import ExchangeCollective, SingleCollective
from jsonnx.collective.handshake import Address
from jsonnx.collective.local import local_collectives
from jsonnx.collective.tcp import Listener

TOKEN = bytes(range(32))
TESTS = Path(__file__).parents[2]
KINDS = ("local", "tcp", "shared memory")
JOIN_SECONDS = 60

Connect = Callable[[int], ExchangeCollective]


def connectors(kind: str, size: int, shard_count: int, timeout: float = 20.0) -> Connect:
    """Returns the collective of a rank; all ranks call it at the same time."""
    if size == 1:
        return lambda rank: SingleCollective(shard_count)
    if kind == "local":
        return local_collectives(size, shard_count, timeout).__getitem__
    listeners = [Listener("127.0.0.1") for _ in range(size)]
    addresses = [listener.address for listener in listeners]
    shares = kind == "shared memory"
    return lambda rank: listeners[rank].connect(addresses, rank, shard_count, TOKEN, timeout, shares)


def run_ranks(size: int, function: Callable[[int], Any]) -> list[Any]:
    """What the function returns for every rank, each in a thread, or the exception that it raises."""
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = function(rank)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_SECONDS)
        assert not thread.is_alive(), "a rank does not end"
    return results


def run_group(
    kind: str, size: int, shard_count: int, function: Callable[[ExchangeCollective], Any], timeout: float = 20.0
) -> list[Any]:
    """What the function returns for the collective of every rank, or the exception that it raises."""
    connect = connectors(kind, size, shard_count, timeout)

    def run(rank: int) -> Any:
        collective = connect(rank)
        try:
            return function(collective)
        finally:
            collective.close()

    return run_ranks(size, run)


class RankProcess:
    """A process that adds vectors again and again, until an error or for a number of steps."""

    def __init__(self, rank: int, *options: object, prefix: Sequence[str] = (), host: str = "127.0.0.1") -> None:
        command = [*prefix, sys.executable, "-m", "unit.collective.rank_process", str(rank), host, *map(str, options)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS)
        self.rank = rank

    def read(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline() or "null")

    def start(self, addresses: Sequence[Address]) -> None:
        assert self.process.stdin
        print(json.dumps(addresses), file=self.process.stdin, flush=True)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def rank_processes(size: int, *options: object) -> Iterator[list[RankProcess]]:
    """Processes that have connected and added their first vectors."""
    with connected([RankProcess(rank, *options) for rank in range(size)]) as ranks:
        yield ranks


@contextmanager
def connected(ranks: list[RankProcess]) -> Iterator[list[RankProcess]]:
    """These processes, after they have connected and added their first vectors. They end afterwards."""
    try:
        addresses = [rank.read() for rank in ranks]
        for rank in ranks:
            rank.start(addresses)
        for rank in ranks:
            assert rank.read() == "started"
        yield ranks
    finally:
        for rank in ranks:
            rank.end()
