"""Ranks as processes that are killed, stopped or cut off."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import pytest
from unit.collective.groups import RankProcess, rank_processes
from unit.collective.proxy import Proxy

ENDLESS = 1_000_000
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def assert_named(found: Any, ranks: list[int], seconds: float) -> None:
    assert found is not None, "a rank has ended without a word"
    assert found["ranks"] == ranks, found
    assert f"rank {ranks[0]} (127.0.0.1:" in found["text"]
    assert found["seconds"] < seconds


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("elements", [50, 400_000])
def test_every_survivor_names_the_rank_that_was_killed(is_shared: bool, elements: int) -> None:
    with rank_processes(3, 20, elements, ENDLESS, is_shared) as ranks:
        time.sleep(elements % 7 / 50)
        ranks[1].process.send_signal(signal.SIGKILL)
        for survivor in (ranks[0], ranks[2]):
            assert_named(survivor.read(), [1], seconds=10)


def test_two_ranks_that_were_killed_are_named() -> None:
    with rank_processes(4, 20, 1000, ENDLESS, True) as ranks:
        for killed in (1, 2):
            ranks[killed].process.send_signal(signal.SIGKILL)
        for survivor in (ranks[0], ranks[3]):
            found = survivor.read()
            assert set(found["ranks"]) <= {1, 2}


def test_a_rank_that_was_stopped_is_named_after_the_timeout() -> None:
    with rank_processes(3, 2, 400_000, ENDLESS, False) as ranks:
        ranks[2].process.send_signal(signal.SIGSTOP)
        for survivor in (ranks[0], ranks[1]):
            assert_named(survivor.read(), [2], seconds=10)


def run_behind_proxy(proxy_options: dict[str, Any], timeout: float, steps: int, elements: int = 100_000) -> list[Any]:
    """What two ranks get if rank 1 reaches rank 0 through a proxy."""
    ranks = [RankProcess(rank, timeout, elements, steps, False) for rank in range(2)]
    try:
        addresses = [rank.read() for rank in ranks]
        with Proxy(addresses[0], **proxy_options) as proxy:
            ranks[0].start(addresses)
            ranks[1].start([proxy.address, addresses[1]])
            found = [rank.read() for rank in ranks]
            return [rank.read() if text == "started" else text for rank, text in zip(ranks, found, strict=True)]
    finally:
        for rank in ranks:
            rank.end()


def test_delays_change_nothing() -> None:
    plain, delayed = (run_behind_proxy({"delay": delay}, 20, 5) for delay in (0.0, 0.02))
    assert plain == delayed
    assert plain[0]["checksum"] == plain[1]["checksum"]


@pytest.mark.parametrize("cut_after", [0, 60, 100, 200, 1_000, 100_000, 1_000_001])
def test_a_connection_that_is_cut_is_one_error_of_each_rank(cut_after: int) -> None:
    for found in run_behind_proxy({"cut_after": cut_after}, 3, ENDLESS):
        assert found["ranks"], found
        assert found["seconds"] < 10


@pytest.mark.parametrize("drop_after", [100, 300_000])
def test_a_network_that_loses_everything_is_one_error_of_each_rank(drop_after: int) -> None:
    for found in run_behind_proxy({"drop_after": drop_after}, 2, ENDLESS):
        assert found["ranks"], found
        assert found["seconds"] < 10


def test_all_numbers_of_processes_have_the_same_bits() -> None:
    found = []
    for size in (1, 2, 3, 8):
        with rank_processes(size, 20, 50_000, 3, size != 2) as ranks:
            found += [rank.read() for rank in ranks]
    assert "checksum" in found[0]
    assert found == [found[0]] * len(found)
