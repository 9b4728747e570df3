"""A server of this process, on a free port of this machine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from jsonnx.server.http.app import create_app
from jsonnx.server.models.model_sources import ModelSource
from jsonnx.server.models.repository import ModelRepository
from jsonnx.server.options import ServerOptions
from jsonnx.server.service import InferenceService

DEADLINE_S = 60


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RunningServer(NamedTuple):
    """A server that answers requests."""

    port: int
    service: InferenceService

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to one request; a body that is neither bytes nor text is sent as JSON."""
        content = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, content, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: Any = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, body, headers)


@contextmanager
def running_server(models: Mapping[str, Path], options: ServerOptions | None = None) -> Iterator[RunningServer]:
    """A server with models by name, which ends with the context."""
    options = options or ServerOptions()
    sources = [ModelSource(name, path) for name, path in models.items()]
    service = InferenceService(ModelRepository(sources, options.models), options)
    config = uvicorn.Config(create_app(service, options), "127.0.0.1", 0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    started, port, failure = threading.Event(), [0], list[BaseException]()

    async def serve() -> None:
        try:
            await service.repository.load_all()
            socket = config.bind_socket()
            port[0] = socket.getsockname()[1]
            task = asyncio.create_task(server.serve([socket]))
            while not server.started:
                await asyncio.sleep(0.005)
            started.set()
            await task
        except BaseException as error:
            failure.append(error)
        finally:
            started.set()
            await service.repository.drain()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(DEADLINE_S)
    if failure:
        raise failure[0]
    try:
        yield RunningServer(port[0], service)
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
