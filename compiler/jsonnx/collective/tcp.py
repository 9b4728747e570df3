"""A collective of processes, connected by TCP; between processes of one host, messages lie in shared memory."""

from __future__ import annotations

import math
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np

from .exchange import STEP_NAMES, ExchangeCollective, Memory, Outgoing
from .handshake import Address, Meeting, rank_name
from .protocol import CollectiveError
from .segments import KEY, NO_SEGMENT, Segment, SegmentKey, can_share, open_segment

HEADER = struct.Struct("<4sB3xIQQ")
"""Of every message: the protocol, the step, the number of the exchange, the number of bytes, and their offset in the
sender's segment, whose key follows. With the offset `FOLLOWS`, the bytes follow. A segment is first named in such a
message: that the receiver has opened it is certain once it has taken part in another exchange."""
FOLLOWS = (1 << 64) - 1
MAGIC = b"jxc1"
FAILURE = 255
"""The step of the message by which a rank tells why it ends: the ranks that are the cause, and a text."""
HEADER_BYTES = HEADER.size + KEY.size
MAX_MESSAGE_BYTES = 1 << 34
MAX_FAILURE_BYTES = 4000
MIN_SHARED_BYTES = 1 << 14
"""A smaller message is sent."""
MAX_CALL_BYTES = 1 << 22
"""The most that is sent or received at a time, so that both directions take turns. The system chooses the size of its
buffers, larger for long distances, as long as a program does not."""
MAX_GRACE_SECONDS = 0.3
"""How long others may tell why they end after the first failure is seen, so that its cause is named."""
MAX_FAREWELL_SECONDS = 2.0
MAX_WAIT_SECONDS = 0.1
Bytes = Any
"""A buffer of bytes: an array of them, or `bytes` or `bytearray`."""
SELECTOR: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
Job = tuple[int, int]
"""A rank, and one of READ and WRITE."""
Jobs = dict[Job, Iterator[None]]


class Listener:
    """An address at which other ranks can connect, on the interface that has the address of `host`."""

    def __init__(self, host: str) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.bind(address)
        self._socket.listen(1024)
        self.address: Address = (host, self._socket.getsockname()[1])

    def connect(
        self,
        addresses: Sequence[Address],
        rank: int,
        shard_count: int,
        token: bytes,
        timeout: float = 300.0,
        use_shared_memory: bool = True,
    ) -> TcpCollective:
        """Connects to all ranks; the addresses are those of their listeners, in order of rank.

        The token is random and known to these ranks only. `timeout` limits, in seconds, the time that a rank waits for
        another one, here and in every operation.
        """
        with self._socket:
            connections = Meeting(addresses, rank, shard_count, token).connect(self._socket, timeout)
        for connection in connections.values():
            _set_options(connection)
        names = [rank_name(peer, addresses) for peer in range(len(addresses))]
        collective = TcpCollective(connections, names, rank, shard_count, timeout)
        collective.agree_on_segments(use_shared_memory and can_share())
        return collective


def _set_options(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class _Lost(Exception):
    """A rank that can take no further part, and the ranks that are the cause."""

    def __init__(self, reason: str, causes: Sequence[int]) -> None:
        super().__init__(reason)
        self.causes = causes


class _Peer:
    """A connection to another rank. Its methods are generators, which stop where the connection would block."""

    def __init__(self, rank: int, name: str, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.rank = rank
        self.name = name
        self.connection = connection
        self.last_progress = 0.0
        self.reads_segments = False
        self.segments: dict[int, tuple[SegmentKey, np.ndarray | None]] = {}

    def lost(self, reason: str) -> _Lost:
        return _Lost(f"{self.name} {reason}", [self.rank])

    def send(self, pieces: Iterable[Bytes]) -> Iterator[None]:
        """Sends while the connection takes data. A connection that ends is seen by `receive`."""
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[self.connection.send(rest[:MAX_CALL_BYTES]) :]
                    self.last_progress = time.monotonic()
                except BlockingIOError:
                    pass
                except OSError:
                    return
                if rest:
                    yield

    def receive(self, memory: Bytes) -> Iterator[None]:
        rest = memoryview(memory)
        while rest:
            try:
                count = self.connection.recv_into(rest[:MAX_CALL_BYTES])
            except BlockingIOError:
                yield
                continue
            except OSError as error:
                raise self.lost(f"lost its connection ({error.strerror})") from error
            if not count:
                raise self.lost("closed its connection")
            self.last_progress = time.monotonic()
            rest = rest[count:]
            if rest:
                yield


class TcpCollective(ExchangeCollective):
    """A collective with a connected stream socket to every other rank."""

    def __init__(
        self,
        connections: Mapping[int, socket.socket],
        names: Sequence[str],
        rank: int,
        shard_count: int,
        timeout: float,
    ) -> None:
        super().__init__(rank, len(names), shard_count)
        self._name = names[rank]
        self._timeout = timeout
        self._links = {peer: _Peer(peer, names[peer], connection) for peer, connection in connections.items()}
        self._sending: dict[int, Iterator[None]] = {}
        self._number = 0
        self._segments: dict[int, Segment] = {}

    def close(self) -> None:
        self._end([self.rank], f"{self._name} has ended its training")

    def agree_on_segments(self, use_shared_memory: bool) -> None:
        """Lets each rank know which others can open its segments; all ranks call it."""
        probe = Segment(0) if use_shared_memory else None
        keys = self.all_gather(KEY.pack(*(probe.key if probe else NO_SEGMENT)))
        opened = bytes(use_shared_memory and open_segment(SegmentKey(*KEY.unpack(key))) is not None for key in keys)
        for peer, readable in enumerate(self.all_gather(opened)):
            if peer != self.rank:
                self._links[peer].reads_segments = bool(readable[self.rank])
        if probe:
            probe.close()

    def _exchange(
        self, step: int, outgoing: Outgoing, lengths: Mapping[int, int] | None, memory: Memory
    ) -> dict[int, np.ndarray]:
        if not self._links and self.size > 1:
            raise CollectiveError("the collective is closed")
        self._number += 1
        received: dict[int, np.ndarray] = {}
        jobs: Jobs = {}
        try:
            for peer, pieces in self._messages(step, outgoing).items():
                jobs[peer, WRITE] = self._sending[peer] = self._links[peer].send(pieces)
                jobs[peer, READ] = self._receive(peer, step, lengths, memory, received)
            lost = self._run(jobs)
        except BaseException as error:
            self._end([self.rank], f"{self._name} has stopped: {type(error).__name__}")
            raise
        if lost:
            raise self._failure(lost, jobs, step)
        return received

    def _messages(self, step: int, outgoing: Outgoing) -> dict[int, list[Bytes]]:
        """Header and data for every rank; what several ranks get is written to shared memory once."""
        shared = {
            id(outgoing[peer]): outgoing[peer]
            for peer, link in self._links.items()
            if link.reads_segments and _size(outgoing.get(peer, ())) >= MIN_SHARED_BYTES
        }
        key = NO_SEGMENT
        offsets: dict[int, int] = {}
        if shared:
            size = sum(map(_size, shared.values()))
            segment = self._segments.get(self._number % 2)
            if segment and segment.size >= size:
                offsets = segment.write(shared)
            else:
                segment = self._replace_segment(size)
            key = segment.key
        messages: dict[int, list[Bytes]] = {}
        for peer, link in self._links.items():
            pieces = outgoing.get(peer, ())
            offset = offsets.get(id(pieces), FOLLOWS) if link.reads_segments else FOLLOWS
            header = HEADER.pack(MAGIC, step, self._number, _size(pieces), offset)
            segment_key = KEY.pack(*(key if link.reads_segments else NO_SEGMENT))
            messages[peer] = [header + segment_key, *(pieces if offset == FOLLOWS else ())]
        return messages

    def _replace_segment(self, size: int) -> Segment:
        """A larger segment for every second exchange.

        What an exchange writes there has been read by all when the next one ends, in which they take part after that.
        """
        old = self._segments.get(self._number % 2)
        if old:
            old.close()
        new = self._segments[self._number % 2] = Segment(size + size // 4)
        return new

    def _receive(
        self, peer: int, step: int, lengths: Mapping[int, int] | None, memory: Memory, received: dict[int, np.ndarray]
    ) -> Iterator[None]:
        link = self._links[peer]
        header = bytearray(HEADER_BYTES)
        yield from link.receive(header)
        magic, there, number, length, offset = HEADER.unpack_from(header)
        key = SegmentKey(*KEY.unpack_from(header, HEADER.size))
        if magic != MAGIC or length > MAX_MESSAGE_BYTES:
            raise link.lost("sent what is not a message of this protocol")
        if there == FAILURE and length <= MAX_FAILURE_BYTES:
            text = bytearray(length)
            yield from link.receive(text)
            causes, _, reason = text.decode(errors="replace").partition(":")
            raise _Lost(reason, [int(cause) for cause in causes.split() if cause.isdecimal()])
        if there != step or number != self._number:
            raise link.lost(f"is in {STEP_NAMES.get(there, there)}, exchange {number}")
        if lengths is not None and length != lengths[peer]:
            raise link.lost(f"sent {length} bytes instead of {lengths[peer]}")
        segment = self._opened(link, key) if key.size else None
        if offset == FOLLOWS:
            received[peer] = memory(peer, length)
            yield from link.receive(received[peer])
        elif segment is None:
            raise link.lost("has shared memory that cannot be opened")
        elif offset + length > len(segment):
            raise link.lost("names a part outside its shared memory")
        else:
            received[peer] = segment[offset : offset + length]

    def _opened(self, link: _Peer, key: SegmentKey) -> np.ndarray | None:
        """A segment of another rank, or None if it cannot be opened, as when that rank has ended."""
        known, data = link.segments.get(self._number % 2, (None, None))
        if known != key:
            data = open_segment(key)
            link.segments[self._number % 2] = (key, data)
        return data

    def _run(self, jobs: Jobs, deadline: float = math.inf) -> dict[int, _Lost]:
        """Continues jobs as their connections are ready, and removes them when they have ended.

        Returns the ranks that failed: at once, or with a deadline when that is over or no jobs are left.
        """
        lost: dict[int, _Lost] = {}
        for link in self._links.values():
            link.last_progress = time.monotonic()
        ready = list(jobs)
        while jobs and time.monotonic() < deadline and (not lost or deadline < math.inf):
            for peer, event in ready:
                try:
                    if (peer, event) in jobs:
                        next(jobs[peer, event])
                except StopIteration:
                    del jobs[peer, event]
                except _Lost as error:
                    lost[peer] = error
                    del jobs[peer, event]
                    jobs.pop((peer, WRITE), None)
            ready = self._wait(jobs)
            oldest = time.monotonic() - self._timeout
            for peer in {peer for peer, _ in jobs if self._links[peer].last_progress < oldest}:
                lost[peer] = self._links[peer].lost(f"did not answer for {self._timeout:g} s")
        return lost

    def _wait(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs whose connections are ready."""
        wanted: dict[int, int] = {}
        for peer, event in jobs:
            wanted[peer] = wanted.get(peer, 0) | event
        with SELECTOR() as selector:
            for peer, events in wanted.items():
                selector.register(self._links[peer].connection, events, peer)
            ready = selector.select(MAX_WAIT_SECONDS) if wanted else []
        return [(key.data, event) for key, events in ready for event in (READ, WRITE) if events & event]

    def _failure(self, lost: dict[int, _Lost], jobs: Jobs, step: int) -> CollectiveError:
        """Ends the collective; the error names the ranks that are the cause.

        A rank that says why it ends has not caused it, even if it seemed not to answer.
        """
        lost |= self._end(_causes(lost), "; ".join(map(str, lost.values())), jobs)
        alive = {self.rank} | {peer for peer, error in lost.items() if peer not in error.causes}
        causes = sorted(_causes(lost) - alive or _causes(lost))
        reasons = dict.fromkeys(str(error) for error in lost.values() if not alive.issuperset(error.causes))
        reasons = reasons or dict.fromkeys(map(str, lost.values()))
        message = f"rank {self.rank} cannot finish {STEP_NAMES[step]}, exchange {self._number}: {'; '.join(reasons)}"
        return CollectiveError(message, causes, "read the log of that rank, and start the training again")

    def _end(self, causes: Iterable[int], reason: str, jobs: Jobs | None = None) -> dict[int, _Lost]:
        """Closes everything, after it has told the others why. Returns what they tell meanwhile, if jobs receive it."""
        jobs = jobs or {}
        text = f"{' '.join(map(str, causes))}:{reason}".encode()[:MAX_FAILURE_BYTES]
        header = HEADER.pack(MAGIC, FAILURE, 0, len(text), FOLLOWS) + KEY.pack(*NO_SEGMENT)
        for peer, link in self._links.items():
            jobs[peer, WRITE] = chain(self._sending.get(peer, ()), link.send([header, text]))
        lost = self._run(jobs, time.monotonic() + MAX_GRACE_SECONDS)
        self._run({key: job for key, job in jobs.items() if key[1] == WRITE}, time.monotonic() + MAX_FAREWELL_SECONDS)
        _discard_rest({link.connection for link in self._links.values()})
        for link in self._links.values():
            link.connection.close()
        for segment in self._segments.values():
            segment.close()
        self._links, self._sending, self._segments = {}, {}, {}
        return lost


def _discard_rest(connections: set[socket.socket]) -> None:
    """Reads what others still send, until they end too: a connection that is closed with unread bytes is reset, and its
    other end may lose what it was told."""
    deadline = time.monotonic() + MAX_GRACE_SECONDS
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
    while connections and (rest_s := deadline - time.monotonic()) > 0:
        with SELECTOR() as selector:
            for connection in connections:
                selector.register(connection, READ)
            ready = [key.fileobj for key, _ in selector.select(rest_s)]
        for connection in [item for item in ready if isinstance(item, socket.socket)]:
            try:
                has_ended = not connection.recv(MAX_CALL_BYTES)
            except BlockingIOError:
                has_ended = False
            except OSError:
                has_ended = True
            if has_ended:
                connections.discard(connection)


def _causes(lost: Mapping[int, _Lost]) -> set[int]:
    return {cause for error in lost.values() for cause in error.causes}


def _size(pieces: Sequence[np.ndarray]) -> int:
    return sum(map(len, pieces))
