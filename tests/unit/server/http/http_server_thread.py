"""An application behind the layers of the HTTP server, on a free port."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jsonnx.server.http.application import permission_of
from jsonnx.server.http.middleware.request_middleware import App, RequestMiddleware, RequestSettings
from jsonnx.server.http.sockets import Listener
from jsonnx.server.http.uvicorn_server import UvicornServer, log_libraries, uvicorn_server
from jsonnx.server.monitoring.request_log import RequestLog
from jsonnx.server.monitoring.server_metrics import ServerMetrics
from jsonnx.server.options import ServerOptions

DEADLINE_S = 30


@dataclass
class HttpServerThread:
    """A server in a thread of its own."""

    port: int
    metrics: ServerMetrics
    stream: io.StringIO
    log: RequestLog
    server: UvicornServer
    is_draining: bool = False
    responses: list[bytes] = field(default_factory=list)

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def exchange(self, data: bytes) -> bytes:
        """What is answered to bytes until the server closes the connection."""
        with self.connect() as client:
            client.sendall(data)
            return read_all(client)

    def entries(self) -> list[dict[str, Any]]:
        """The entries of the log; the log is closed."""
        self.log.close()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def read_all(client: socket.socket) -> bytes:
    """All bytes until the other end closes the connection."""
    parts = []
    while True:
        try:
            part = client.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_answer(client: socket.socket) -> bytes:
    """One answer, which has a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def post(path: str = "/", body: bytes = b"", *headers: str, close: bool = True) -> bytes:
    """A request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    lines += ["Connection: close"] if close else []
    return "\r\n".join((*lines, "", "")).encode() + body


def document_of(response: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the JSON body of an answer."""
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@contextmanager
def http_server(app: App, **options: Any) -> Iterator[HttpServerThread]:
    """A server with an application, which ends with the context."""
    settings = ServerOptions(port=0, **options)
    listener = Listener(socket.create_server(("127.0.0.1", 0)), None)
    metrics, stream = ServerMetrics({}), io.StringIO()
    log = RequestLog(stream, "json")
    log_libraries(log)
    running: HttpServerThread
    is_draining: Callable[[], bool] = lambda: running.is_draining  # noqa: E731
    layers = RequestSettings(
        permission_of(settings), metrics, log, is_draining, settings.timeout_s, settings.max_body_bytes
    )
    server = uvicorn_server(RequestMiddleware(app, layers), settings, listener, metrics)
    running = HttpServerThread(listener.socket.getsockname()[1], metrics, stream, log, server)

    async def serve() -> None:
        sweeping = asyncio.create_task(server.sweep())
        await server.serve([listener.socket])
        sweeping.cancel()

    def run() -> None:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
