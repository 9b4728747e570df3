"""Ranks in two network namespaces, whose cable can be pulled out: nothing tells the ends of a connection."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from unit.collective.groups import RankProcess, connected
from unit.collective.test_processes import ENDLESS

MAX_COMMAND_SECONDS = 10


def ip(*arguments: str) -> None:
    """Runs a command of iproute2."""
    command = ["ip", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAX_COMMAND_SECONDS)


class Cable:
    """Two namespaces with one interface each."""

    def __init__(self) -> None:
        self.names = [f"jsonnx-{os.getpid()}-{end}" for end in "ab"]
        self.hosts = ["10.77.0.1", "10.77.0.2"]

    def connect(self) -> None:
        for name in self.names:
            ip("netns", "add", name)
        ends = ["type", "veth", "peer", "name", "cable", "netns", self.names[1]]
        ip("-n", self.names[0], "link", "add", "cable", *ends)
        for name, host in zip(self.names, self.hosts, strict=True):
            ip("-n", name, "address", "add", f"{host}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def set_state(self, state: str) -> None:
        ip("-n", self.names[0], "link", "set", "cable", state)

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=MAX_COMMAND_SECONDS, check=False)


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    found = Cable()
    try:
        found.connect()
        yield found
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', error)}")
    finally:
        found.remove()


@contextmanager
def ranks_at_both_ends(cable: Cable, timeout: float, elements: int, steps: int, shares: bool) -> Iterator[list[Any]]:
    """Three ranks that have made a step: the last one is at the other end."""
    ends = [0, 0, 1]
    ranks = [
        RankProcess(
            rank,
            *(timeout, elements, steps, shares),
            prefix=["ip", "netns", "exec", cable.names[end]],
            host=cable.hosts[end],
        )
        for rank, end in enumerate(ends)
    ]
    with connected(ranks):
        yield ranks


def results(cable: Cable, shares: bool, during: Callable[[], None] = lambda: None, steps: int = 20) -> list[Any]:
    with ranks_at_both_ends(cable, 20, 50_000, steps, shares) as ranks:
        during()
        return [rank.read() for rank in ranks]


def test_sums_are_equal_with_and_without_shared_memory(cable: Cable) -> None:
    found = results(cable, shares=True) + results(cable, shares=False)
    assert "checksum" in found[0]
    assert found == [found[0]] * 6


def test_a_network_that_is_back_in_time_heals(cable: Cable) -> None:
    def interrupt() -> None:
        cable.set_state("down")
        time.sleep(1)
        cable.set_state("up")

    assert results(cable, False, interrupt) == results(cable, False)


def test_every_rank_names_what_it_cannot_reach(cable: Cable) -> None:
    with ranks_at_both_ends(cable, 2, 50_000, ENDLESS, False) as ranks:
        cable.set_state("down")
        try:
            found = [rank.read() for rank in ranks]
        finally:
            cable.set_state("up")
    assert found[0]["ranks"] == found[1]["ranks"] == [2]
    assert set(found[2]["ranks"]) <= {0, 1}
    assert "rank 2 (10.77.0.2:" in found[0]["text"]
    assert all(rank["seconds"] < 10 for rank in found)
