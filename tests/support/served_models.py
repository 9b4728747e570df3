"""Servers of models: as a service in this process, and as a process on a socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from socket import socket
from typing import Any

from jsonnx.server.models.model_sources import model_sources
from jsonnx.server.models.repository import ModelRepository
from jsonnx.server.options import ServerOptions
from jsonnx.server.service import InferenceService

START_SECONDS = 60


def service_of(*models: str | Path, options: ServerOptions | None = None) -> InferenceService:
    """A service with some models, all of them loaded."""
    options = options or ServerOptions()
    service = InferenceService(ModelRepository(model_sources([*map(str, models)]), options.models), options)
    asyncio.run(service.repository.load_all())
    return service


async def asgi_get(
    app: Any, path: str, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of an application's answer to GET."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("localhost", 1),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])


@contextmanager
def served(*models: str | Path, arguments: Sequence[str] = ()) -> Iterator[str]:
    """The address of a process that serves some models, which are ready."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jsonnx", "serve", *map(str, models), "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            _await_ready(process, port)
            yield f"http://localhost:{port}/"
        finally:
            process.terminate()


def _await_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[1])
