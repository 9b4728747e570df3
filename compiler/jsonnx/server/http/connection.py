"""A connection of uvicorn with the limits that uvicorn lacks: on slow clients, large headers and open connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..protocol.errors import RequestError
from .middleware.request_middleware import CONNECTION_KEY, error_headers

MAX_HEAD_BYTES = 65536
"""The maximum size of a request's line and headers."""
HEAD_TIMEOUT_S = 10.0
"""The longest time that a client may take to send the head of a request, or a body that nobody reads."""
WRITE_TIMEOUT_S = 30.0
"""The longest time that a client may leave an answer unread."""
KEEP_ALIVE_S = 75
"""The time that an idle connection stays open, longer than that of usual load balancers."""
SWEEP_INTERVAL_S = 1.0
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class LimitedConnection(HttpToolsProtocol):
    """A connection whose client must send and read in time.

    Deadlines are checked for all connections at once, once in a second, so that a request costs no timer.
    """

    max_connections = 1024
    max_body_bytes = 1 << 26
    on_refused: Callable[[int], None] = staticmethod(lambda status: None)
    """Told the status with which a connection was ended before a request was complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts a client; with too many of them, each request is refused."""
        super().connection_made(transport)
        self.is_lost = False
        self._task: asyncio.Task[Any] | None = None
        self._answered: Any = None
        self._is_in_head = True
        self._message_bytes = 0
        self._has_sent = True
        self._turn_since_s: float | None = None
        self._stalled_since_s: float | None = None
        if len(self.connections) > 2 * self.max_connections:
            transport.abort()
        elif len(self.connections) > self.max_connections:
            self.app = _refuse

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the request of a client that has gone."""
        self.is_lost = True
        super().connection_lost(exc)
        if self._answered is not None:
            self._answered.disconnected = True  # uvicorn marks the last request that was read, which may wait for it
        if self._task is not None:
            self._task.cancel()
        if self.scope is not None:
            cast("dict[str, Any]", self.scope).pop(CONNECTION_KEY, None)

    def begin(self, task: asyncio.Task[Any] | None, receive: Any) -> None:
        """Remembers the task that answers a request of this connection, and uvicorn's state of it."""
        self._task, self._answered = task, getattr(receive, "__self__", None)

    def end(self) -> None:
        """Forgets the request when it is answered."""
        self._task = self._answered = None

    def data_received(self, data: bytes) -> None:
        """Parses bytes of requests."""
        if not self._has_sent:
            self._has_sent, self._turn_since_s = True, None
        self._message_bytes += len(data)
        super().data_received(data)
        limit = MAX_HEAD_BYTES + (0 if self._is_in_head else 2 * self.max_body_bytes)
        if self._message_bytes > limit and not self.transport.is_closing():
            self._end(RequestError(431, "too-large", f"the headers have more than {MAX_HEAD_BYTES:,} bytes"))

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[CONNECTION_KEY] = self

    def on_headers_complete(self) -> None:
        """Begins the answer."""
        self._is_in_head, self._has_sent = False, False
        self._message_bytes, self._turn_since_s = 0, None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends a request."""
        self._is_in_head, self._has_sent, self._message_bytes = True, False, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP."""
        self._end(RequestError(400, "bad-request", "the request is not valid HTTP"))

    def sweep(self, now_s: float) -> None:
        """Ends the connection if its client is too slow."""
        if self.flow is not None and self.flow.write_paused:
            self._stalled_since_s = self._stalled_since_s or now_s
            if now_s - self._stalled_since_s > WRITE_TIMEOUT_S:
                self.transport.abort()
            return
        self._stalled_since_s = None
        if self.cycle is not None and not self.cycle.response_complete:
            return
        self._turn_since_s = self._turn_since_s or now_s
        if self._has_sent and now_s - self._turn_since_s > HEAD_TIMEOUT_S:
            if self.cycle is None and self._message_bytes:
                self._end(RequestError(408, "request-timeout", "the request did not arrive in time"))
            else:
                self.transport.close()

    def _end(self, error: RequestError) -> None:
        """Answers with an error, if no answer has begun, and closes the connection."""
        self.on_refused(error.status)
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = json.dumps(error.document()).encode()
            lines = [f"HTTP/1.1 {error.status} {_PHRASES[error.status]}".encode()]
            lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"]
            self.transport.write(b"\r\n".join((*lines, b"", body)))
        self.transport.close()


def sweep(connections: Iterable[Any], now_s: float) -> None:
    """Ends the connections whose clients are too slow."""
    for connection in [*connections]:
        if isinstance(connection, LimitedConnection):
            connection.sweep(now_s)


async def _refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answers a request on one connection too many."""
    error = RequestError(503, "too-many-connections", "the server has too many connections", retry_after_s=1)
    body = json.dumps(error.document()).encode()
    headers = [*error_headers(error), (b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
