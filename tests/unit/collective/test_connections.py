"""Connections of the TCP collective: strangers, wrong tokens, and ranks that are missing or broken."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.collective import handshake, segments, tcp
from jsonnx.collective.exchange import ALL_GATHER, BARRIER
from jsonnx.collective.handshake import HELLO, MAX_STRANGERS, PROTOCOL, Address, Meeting
from jsonnx.collective.protocol import CollectiveError
from jsonnx.collective.segments import KEY, NO_SEGMENT, SegmentKey, open_segment
from jsonnx.collective.tcp import FAILURE, FOLLOWS, HEADER, MAGIC, Listener, TcpCollective
from unit.collective.groups import TOKEN, run_ranks

LENGTH = 30_000


def add_ones(collective: TcpCollective) -> float:
    return float(collective.all_reduce([np.ones(LENGTH, np.float32)])[-1])


def run_tcp(size: int, function: Callable[[TcpCollective], Any], **options: Any) -> list[Any]:
    listeners = [Listener("127.0.0.1") for _ in range(size)]
    addresses = [listener.address for listener in listeners]

    def run(rank: int) -> Any:
        token = options.get("tokens", [TOKEN] * size)[rank]
        shards = options.get("shards", [size] * size)[rank]
        collective = listeners[rank].connect(addresses, rank, shards, token, options.get("timeout", 10))
        with closing(collective):
            return function(collective)

    return run_ranks(size, run)


@contextmanager
def closing(collective: TcpCollective) -> Iterator[None]:
    try:
        yield
    finally:
        collective.close()


@contextmanager
def strangers(address: Address, count: int, data: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections to an address, which have sent the data."""
    connections = [socket.create_connection(address) for _ in range(count)]
    for connection in connections:
        with suppress(OSError):
            connection.sendall(data)
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    ("count", "data"),
    [
        (1, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10),
        (1, os.urandom(1000)),
        (3 * MAX_STRANGERS, b""),
        (2, HELLO.pack(PROTOCOL, 1, 2, 2, bytes(32))),
        (1, HELLO.pack(PROTOCOL, 1, 2, 2, bytes(32)) + bytes(32)),
        (1, HELLO.pack(PROTOCOL, 9, 2, 2, bytes(32)) + bytes(32)),
    ],
    ids=["http", "garbage", "many half-open", "half a handshake", "no proof", "unknown rank"],
)
def test_strangers_do_not_keep_ranks_from_each_other(count: int, data: bytes) -> None:
    listeners = [Listener("127.0.0.1") for _ in range(2)]
    addresses = [listener.address for listener in listeners]

    def connect_and_add(rank: int) -> float:
        if rank:
            time.sleep(0.2)  # rank 0 accepts the strangers first
        collective = listeners[rank].connect(addresses, rank, 2, TOKEN, 10)
        with closing(collective):
            return add_ones(collective)

    start = time.monotonic()
    with strangers(addresses[0], count, data):
        assert run_ranks(2, connect_and_add) == [2, 2]
    assert time.monotonic() - start < handshake.MAX_HANDSHAKE_SECONDS


def test_a_slow_stranger_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "MAX_HANDSHAKE_SECONDS", 0.3)
    listener = Listener("127.0.0.1")
    seconds = []

    def send_slowly() -> None:
        start = time.monotonic()
        with socket.create_connection(listener.address) as connection, suppress(OSError):
            while time.monotonic() - start < 5:
                connection.sendall(b"j")
                time.sleep(0.05)
        seconds.append(time.monotonic() - start)

    thread = threading.Thread(target=send_slowly)
    thread.start()
    with pytest.raises(CollectiveError):
        listener.connect([listener.address, ("127.0.0.1", 1)], 0, 2, TOKEN, 1)
    thread.join(10)
    assert seconds[0] < 4


def test_a_stranger_gets_nothing_without_a_greeting() -> None:
    listener = Listener("127.0.0.1")

    def wait_for_rank_1() -> None:
        with pytest.raises(CollectiveError):
            listener.connect([listener.address] * 2, 0, 2, TOKEN, 0.5)

    thread = threading.Thread(target=wait_for_rank_1)
    thread.start()
    with strangers(listener.address, 1) as (connection,):
        connection.settimeout(5)
        hello = connection.recv(1000)
        assert len(hello) == HELLO.size
        assert TOKEN not in hello
        connection.sendall(hello)  # its own greeting, as if that proved anything
        assert connection.recv(1000) == b""
    thread.join(10)


def test_ranks_with_another_token_are_missing() -> None:
    for error in run_tcp(2, add_ones, tokens=[TOKEN, TOKEN[::-1]], timeout=1.5):
        assert isinstance(error, CollectiveError)
        assert len(error.ranks) == 1
    assert "does not know the token" in str(error)


def test_a_short_token_is_refused() -> None:
    listener = Listener("127.0.0.1")
    with pytest.raises(ValueError, match="at least 16"):
        listener.connect([listener.address], 0, 1, b"secret", 1)


def test_ranks_of_another_group_are_told_apart() -> None:
    errors = run_tcp(2, add_ones, shards=[2, 4], timeout=2)
    assert all(isinstance(error, CollectiveError) for error in errors)
    assert any("was started with 2 ranks and" in str(error) for error in errors)


def test_missing_ranks_are_named_with_their_addresses() -> None:
    listeners = [Listener("127.0.0.1") for _ in range(4)]
    addresses = [listener.address for listener in listeners]
    errors = run_ranks(2, lambda rank: listeners[2 * rank].connect(addresses, 2 * rank, 4, TOKEN, 1.5))
    assert [error.ranks for error in errors] == [(1, 3), (1, 3)]
    assert f"rank 3 (127.0.0.1:{addresses[3][1]}): no answer" in str(errors[1])


def test_ranks_connect_by_ipv6() -> None:
    try:
        listeners = [Listener("::1") for _ in range(2)]
    except OSError:
        pytest.skip("no IPv6 here")
    addresses = [listener.address for listener in listeners]
    assert addresses[0][0] == "::1"

    def run(rank: int) -> float:
        collective = listeners[rank].connect(addresses, rank, 2, TOKEN, 10)
        with closing(collective):
            return add_ones(collective)

    assert run_ranks(2, run) == [2, 2]


def run_with_impostor(message: bytes) -> CollectiveError:
    """The error of rank 0, to which rank 1 sends the message instead of its first one."""
    listeners = [Listener("127.0.0.1") for _ in range(2)]
    addresses = [listener.address for listener in listeners]

    def run(rank: int) -> None:
        if rank == 0:
            listeners[0].connect(addresses, 0, 2, TOKEN, 2).close()
        with listeners[1]._socket as listener:
            connections = Meeting(addresses, 1, 2, TOKEN).connect(listener, 2)
        with connections[0] as connection, suppress(OSError):
            connection.sendall(message)
            while connection.recv(10_000):
                pass

    (error, _) = run_ranks(2, run)
    assert isinstance(error, CollectiveError), error
    return error


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"x" * 500, "not a message of this protocol"),
        (HEADER.pack(MAGIC, BARRIER, 1, 1 << 63, FOLLOWS) + KEY.pack(*NO_SEGMENT), "not a message of this protocol"),
        (HEADER.pack(MAGIC, BARRIER, 1, 0, FOLLOWS) + KEY.pack(*NO_SEGMENT), "is in barrier, exchange 1"),
        (HEADER.pack(MAGIC, ALL_GATHER, 7, 0, FOLLOWS) + KEY.pack(*NO_SEGMENT), "is in all_gather, exchange 7"),
        (HEADER.pack(MAGIC, ALL_GATHER, 1, 9, 0) + KEY.pack(1, 1, 9, bytes(16)), "cannot be opened"),
        (HEADER.pack(MAGIC, ALL_GATHER, 1, 100, FOLLOWS) + KEY.pack(*NO_SEGMENT) + b"x", "did not answer for 2 s"),
        (HEADER.pack(MAGIC, FAILURE, 0, 7, FOLLOWS) + KEY.pack(*NO_SEGMENT) + b"x 1:why", "why"),
        (HEADER.pack(MAGIC, FAILURE, 0, 1 << 30, FOLLOWS) + KEY.pack(*NO_SEGMENT), "is in 255"),
    ],
)
def test_a_message_that_does_not_fit_is_an_error(message: bytes, text: str) -> None:
    assert text in str(run_with_impostor(message))


def test_a_segment_is_only_opened_with_its_key(tmp_path: Path) -> None:
    if not segments.can_share():
        pytest.skip("no shared memory here")
    segment = segments.Segment(100)
    segment.data[:] = 7
    found = open_segment(segment.key)
    assert found is not None
    assert (found == 7).all()
    assert not found.flags.writeable
    assert open_segment(segment.key._replace(secret=bytes(16))) is None
    assert open_segment(segment.key._replace(size=99)) is None
    with (tmp_path / "file").open("wb") as file:
        assert open_segment(SegmentKey(os.getpid(), file.fileno(), 100, bytes(16))) is None
    segment.close()
    assert open_segment(segment.key) is None
    assert (found == 7).all()


def test_ranks_that_cannot_share_memory_send_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "open_segment", lambda key: None)
    shares = run_tcp(3, lambda c: (add_ones(c), [link.reads_segments for link in c._links.values()]))
    assert shares == [(3, [False, False])] * 3


def test_nothing_stays_open() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    run_tcp(3, add_ones)
    before = open_files()
    for _group in range(3):
        assert run_tcp(3, add_ones) == [3, 3, 3]
    assert open_files() <= before
