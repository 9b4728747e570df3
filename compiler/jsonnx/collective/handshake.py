"""Connections between all ranks, each of which proves that it knows the token before anything else is read."""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from .protocol import CollectiveError

Address = tuple[str, int]

HELLO = struct.Struct("<8sIII32s")
"""What a rank sends first: the protocol, its rank, the numbers of ranks and shards, a random number."""
PROTOCOL = b"jsonnxC1"
NONCE_BYTES = 32
PROOF_BYTES = 32
MIN_TOKEN_BYTES = 16
MAX_HANDSHAKE_SECONDS = 5.0
MAX_STRANGERS = 64
"""Accepted connections that have not proved the token; the oldest is closed for another one."""
MAX_RETRY_SECONDS = 0.5


class Meeting:
    """One rank's search for all other ranks: it connects to the lower ones, the higher ones connect to it."""

    def __init__(self, addresses: Sequence[Address], rank: int, shard_count: int, token: bytes) -> None:
        if len(token) < MIN_TOKEN_BYTES:
            raise ValueError(f"the token has {len(token)} bytes, expected at least {MIN_TOKEN_BYTES} random ones")
        self._addresses = addresses
        self._rank = rank
        self._group = (len(addresses), shard_count)
        self._token = token
        self._arrivals: SimpleQueue[tuple[int, socket.socket]] = SimpleQueue()
        self._strangers: dict[socket.socket, None] = {}
        self._reasons: dict[int, str] = {}
        self._is_over = threading.Event()

    def connect(self, listener: socket.socket, timeout: float) -> dict[int, socket.socket]:
        """The connections by rank."""
        deadline = time.monotonic() + timeout
        found: dict[int, socket.socket] = {}
        for peer in range(self._rank):
            threading.Thread(target=self._dial, args=(peer,), daemon=True).start()
        try:
            listener.settimeout(0.02)
            while len(found) < len(self._addresses) - 1:
                with suppress(OSError):
                    self._welcome(listener.accept()[0])
                while not self._arrivals.empty():
                    peer, connection = self._arrivals.get()
                    if peer in found:
                        found.pop(peer).close()
                    found[peer] = connection
                if time.monotonic() > deadline or self._is_over.is_set():
                    raise self._missing(found, timeout)
        except BaseException:
            for connection in found.values():
                connection.close()
            raise
        finally:
            self._is_over.set()
        return found

    def _welcome(self, connection: socket.socket) -> None:
        """Starts a thread for a connection, which cannot delay others."""
        if len(self._strangers) >= MAX_STRANGERS:
            with suppress(OSError):
                next(iter(self._strangers)).shutdown(socket.SHUT_RDWR)
        self._strangers[connection] = None
        threading.Thread(target=self._authenticate, args=(connection, None), daemon=True).start()

    def _dial(self, peer: int) -> None:
        """Connects to a rank, which may not listen yet."""
        wait = 0.01
        while not self._is_over.wait(wait):
            try:
                connection = socket.create_connection(self._addresses[peer], timeout=MAX_HANDSHAKE_SECONDS)
            except OSError as error:
                self._reasons[peer] = error.strerror or str(error)
            else:
                if self._authenticate(connection, peer):
                    return
            wait = min(2 * wait, MAX_RETRY_SECONDS)

    def _authenticate(self, connection: socket.socket, expected: int | None) -> bool:
        """Exchanges random numbers, then proofs, with the expected rank, or else with any higher one."""
        deadline = time.monotonic() + MAX_HANDSHAKE_SECONDS
        peer = expected
        try:
            own = HELLO.pack(PROTOCOL, self._rank, *self._group, secrets.token_bytes(NONCE_BYTES))
            connection.sendall(own)
            hello = _receive(connection, HELLO.size, deadline)
            protocol, there, *group, _ = HELLO.unpack(hello)
            is_due = there == expected or (expected is None and self._rank < there < len(self._addresses))
            if protocol != PROTOCOL or not is_due:
                raise ConnectionError("another program or rank has this address")
            connection.sendall(self._proof(own, hello))
            if not hmac.compare_digest(_receive(connection, PROOF_BYTES, deadline), self._proof(hello, own)):
                raise ConnectionError("does not know the token")
            peer = there
            if tuple(group) != self._group:
                self._is_over.set()
                raise ConnectionError("was started with {} ranks and {} shards".format(*group))
            self._arrivals.put((peer, connection))
            return True
        except OSError as error:
            connection.close()
            if peer is not None:
                self._reasons[peer] = str(error)
            return False
        finally:
            self._strangers.pop(connection, None)

    def _proof(self, sender: bytes, receiver: bytes) -> bytes:
        """What only a rank with the token can answer. Each direction has another, as the ranks differ."""
        return hmac.digest(self._token, sender + receiver, "sha256")

    def _missing(self, found: dict[int, socket.socket], timeout: float) -> CollectiveError:
        missing = [rank for rank in range(len(self._addresses)) if rank != self._rank and rank not in found]
        names = [f"{rank_name(rank, self._addresses)}: {self._reasons.get(rank, 'no answer')}" for rank in missing]
        message = f"rank {self._rank} is not connected to all ranks within {timeout:g} s; missing: {', '.join(names)}"
        return CollectiveError(message, missing, "see whether these processes run, and whether a firewall is between")


def rank_name(rank: int, addresses: Sequence[Address]) -> str:
    """A rank and its place, for messages."""
    return "rank {} ({}:{})".format(rank, *addresses[rank][:2])


def _receive(connection: socket.socket, length: int, deadline: float) -> bytes:
    """Bytes of a handshake, all before the deadline, however slowly they come."""
    data = b""
    while len(data) < length:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(length - len(data))
        if not piece:
            raise ConnectionError("closed the connection")
        data += piece
    return data
