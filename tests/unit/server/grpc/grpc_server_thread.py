"""A gRPC server with a few models, in a thread of the test."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import jsonnx
from jsonnx.server.grpc.answered_call import Monitors
from jsonnx.server.grpc.grpc_server import GrpcServer
from jsonnx.server.grpc.messages import MESSAGES, SERVICE, Message
from jsonnx.server.models.model_sources import model_sources
from jsonnx.server.models.repository import ModelRepository
from jsonnx.server.monitoring.request_log import RequestLog
from jsonnx.server.monitoring.server_metrics import ServerMetrics
from jsonnx.server.monitoring.tracing import Tracing
from jsonnx.server.options import ServerOptions
from jsonnx.server.service import InferenceService

FLOWERS = {
    "inputs": {"leaf": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"}],
    "labels": ["rose", "tulip", "lily"],
    "training": {"loss": "sparse_categorical_crossentropy"},
}
WORDS = {
    "inputs": {"word": {"shape": [], "dtype": "string"}},
    "layers": [{"type": "StringLookup", "name": "place", "vocabulary": ["a", "b"], "output_mode": "int"}],
}


class Client:
    """Calls of a server by their names. The options, such as `metadata` and `timeout`, are those of each call."""

    def __init__(self, port: int, **options: Any) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.options = options

    def call(self, name: str, message: Message | bytes | None = None, service: str = SERVICE, /, **fields: Any) -> Any:
        """The answer; the fields are those of the request."""
        return self.call_with(name, message, service, **fields)[0]

    def call_with(self, name: str, message: Any = None, service: str = SERVICE, /, **fields: Any) -> tuple[Any, Any]:
        """The answer, and the call with its metadata."""
        prefix = "HealthCheck" if service != SERVICE else name
        request = MESSAGES[f"{prefix}Request"](**fields) if message is None else message
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer, call = self.channel.unary_unary(f"/{service}/{name}").with_call(data, **self.options)
        return MESSAGES[f"{prefix}Response"].FromString(answer), call

    def error(self, name: str, message: Any = None, service: str = SERVICE, /, **fields: Any) -> grpc.Call:
        """The failure of a call."""
        try:
            self.call(name, message, service, **fields)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"{name} succeeded")


class ServerThread:
    """A running server. `run` awaits something in its event loop."""

    def __init__(self, folder: Path, tracing: Tracing | None = None, **options: Any) -> None:
        models = {"flowers": FLOWERS, "words": WORDS}
        for name, spec in models.items():
            if not (folder / f"{name}.onnx").exists():
                jsonnx.compile(spec).save(folder / f"{name}.onnx")
        self.options = ServerOptions(grpc_port=0, **options)
        sources = model_sources([str(folder / f"{name}.onnx") for name in models])
        self.text = StringIO()
        self.monitors = Monitors(ServerMetrics({}), RequestLog(self.text, "json"), tracing)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.service = InferenceService(ModelRepository(sources, self.options.models), self.options)
        self.run(self.service.repository.load_all())
        self.server = self.run(self._started())

    async def _started(self) -> GrpcServer:
        server = GrpcServer(self.service, self.options, self.monitors)
        await server.start()
        return server

    def run(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self.loop).result(30)

    def client(self, **options: Any) -> Client:
        return Client(self.server.port, timeout=options.pop("timeout", 10), **options)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log, which is closed."""
        self.monitors.log.close()
        return [json.loads(line) for line in self.text.getvalue().splitlines()]

    def end(self) -> None:
        self.run(self.server.stop(0))
        self.run(self.service.repository.drain())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@contextmanager
def running(folder: Path, tracing: Tracing | None = None, **options: Any) -> Iterator[ServerThread]:
    """A server that ends with the block."""
    server = ServerThread(folder, tracing, **options)
    try:
        yield server
    finally:
        server.end()
