"""A server of models in a thread of the tests' process, on a free port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from jsonnx.server.http.app import create_app
from jsonnx.server.models.model_sources import ModelSource
from jsonnx.server.models.repository import ModelRepository
from jsonnx.server.options import ServerOptions
from jsonnx.server.service import InferenceService


@contextmanager
def serving(models: Mapping[str, Path], options: ServerOptions | None = None) -> Iterator[str]:
    """The URL of a server of models by name, which ends with the context."""
    options = options or ServerOptions()
    listener = socket.create_server(("127.0.0.1", 0))
    service = InferenceService(
        ModelRepository([ModelSource(name, path) for name, path in models.items()], options.models), options
    )
    config = uvicorn.Config(create_app(service, options), log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)

    async def run() -> None:
        await service.repository.load_all()
        await server.serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
