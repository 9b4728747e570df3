"""A TCP proxy that delays, cuts or drops what it forwards."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

CHUNK_BYTES = 1 << 16


class Proxy:
    """Forwards connections to an address. Counts of bytes are those of all connections and both directions.

    `delay` is in seconds, for each chunk. After `cut_after` bytes, all connections are closed. After `drop_after` ones,
    nothing is forwarded, while connections stay open.
    """

    def __init__(
        self,
        target: tuple[str, int],
        host: str = "127.0.0.1",
        delay: float = 0.0,
        cut_after: float = float("inf"),
        drop_after: float = float("inf"),
    ) -> None:
        self._target = tuple(target)
        self._delay = delay
        self._cut_after = cut_after
        self._drop_after = drop_after
        self._listener = socket.create_server((host, 0))
        self.address = self._listener.getsockname()[:2]
        self._sockets: list[socket.socket] = []
        self._count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: Any) -> None:
        for connection in [self._listener, *self._sockets]:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                time.sleep(self._delay)
                self._count += len(data)
                if self._count > self._cut_after:
                    sink.sendall(data[: max(0, int(len(data) - (self._count - self._cut_after)))])
                    break
                if self._count <= self._drop_after:
                    sink.sendall(data)
        for connection in (source, sink):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
