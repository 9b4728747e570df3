"""Starts the servers of HTTP and gRPC, and ends them without the loss of a request."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..models.model_sources import ModelSource
from ..models.model_watcher import watch_models
from ..monitoring.request_log import RequestLog
from ..options import ServerOptions
from ..service import InferenceService
from .application import Application
from .middleware.permission import is_loopback
from .sockets import Listener, listen
from .start_report import report_models
from .uvicorn_server import UvicornServer, log_libraries, uvicorn_server

if TYPE_CHECKING:
    from ..grpc.grpc_server import GrpcServer

SIGNALS = (signal.SIGINT, signal.SIGTERM)
FAREWELL_S = 0.2
"""The shortest time in which answers tell clients to close their connections, before the server closes idle ones."""
LAST_RUN_S = 1.0
"""The longest time for runs whose requests were given up."""
EXIT_BY_SIGNAL = 128
"""Added to the number of a signal, it is the exit status of a process that the signal ends."""


def start(sources: Sequence[ModelSource], options: ServerOptions) -> None:
    """Serves models until the process is told to end. Raises UsageError, CompileError if one cannot be loaded."""
    listener = listen(options)
    log = RequestLog(sys.stderr, options.log)
    log_libraries(log)
    try:
        server = _Server(sources, options, listener, log)
        with asyncio.Runner(loop_factory=server.http.config.get_loop_factory()) as runner:
            runner.run(server.serve())
    finally:
        listener.socket.close()
        log.close()


@dataclass
class _Server:
    """The servers of one process, and their end."""

    sources: Sequence[ModelSource]
    options: ServerOptions
    listener: Listener
    log: RequestLog
    http: UvicornServer = field(init=False)
    application: Application = field(init=False)

    def __post_init__(self) -> None:
        self.application = Application(self.sources, self.options, self.log)
        self.http = uvicorn_server(self.application.asgi, self.options, self.listener, self.application.metrics)

    @property
    def service(self) -> InferenceService:
        return self.application.service

    async def serve(self) -> None:
        """Loads the models while requests for them are refused, and answers until the first signal."""
        is_told = asyncio.Event()
        _on_signals(is_told)
        grpc = self._grpc_server()
        if grpc is not None:
            await grpc.start()
        serving = asyncio.create_task(self.http.serve([self.listener.socket]))
        tasks = [asyncio.create_task(self.http.sweep())]
        try:
            loading = asyncio.create_task(self.service.repository.load_all())
            await _first_of(loading, is_told, serving)
            if loading.done():
                loading.result()
                # A full collection stops all requests for as long as it visits what is never garbage.
                gc.freeze()
                self._report(grpc)
                if self.options.reload_s:
                    watching = watch_models(self.service.repository, self.options.reload_s)
                    tasks.append(asyncio.create_task(watching))
                await _first_of(is_told, serving)
        finally:
            for task in tasks:
                task.cancel()
            await self._end(serving, grpc)

    def _grpc_server(self) -> GrpcServer | None:
        """The server of gRPC, if one is wanted. Raises UsageError."""
        if self.options.grpc_port is None:
            return None
        from ..grpc.answered_call import Monitors  # needs an extra of its own
        from ..grpc.grpc_server import GrpcServer

        return GrpcServer(
            self.service, self.options, Monitors(self.application.metrics, self.log, self.application.tracing)
        )

    async def _end(self, serving: asyncio.Task[None], grpc: GrpcServer | None) -> None:
        """Answers the requests that have arrived, within `drain_s`."""
        self.service.is_draining = True
        if self.service.repository.is_ready():
            waiting = self.application.metrics.requests_in_flight
            self.log.event("draining", f"ending: {waiting} requests are being answered", requests=waiting)
            await asyncio.sleep(max(self.options.drain_delay_s, FAREWELL_S))
        self.http.should_exit = True
        with suppress(SystemExit):
            await asyncio.gather(serving, *([grpc.stop(self.options.drain_s)] if grpc is not None else []))
        with suppress(TimeoutError):
            await asyncio.wait_for(self.service.repository.drain(), timeout=LAST_RUN_S)
            return
        self.log.event("unfinished", "ended before a run of a model did", level="warning")
        self.log.close()
        os._exit(0)  # a thread of onnxruntime cannot be interrupted, and Python would wait for it

    def _report(self, grpc: GrpcServer | None) -> None:
        report_models(self.service.repository, self.options, self.log)
        url, port = self.listener.url, None if grpc is None else grpc.port
        also = "" if port is None else f", gRPC on port {port}"
        self.log.event("ready", f"serving on {url}{also}", url=url, grpc_port=port)
        if self.options.token is not None and self.listener.tls is None and not is_loopback(self.options.host):
            message = "the token is sent unencrypted; give --tls-certificate, or put a proxy with TLS in front"
            self.log.event("unencrypted", message, level="warning")


async def _first_of(*awaited: asyncio.Task[Any] | asyncio.Event) -> None:
    """Waits until a task is done or an event is set."""
    tasks = [item if isinstance(item, asyncio.Task) else asyncio.create_task(item.wait()) for item in awaited]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, item in zip(tasks, awaited, strict=True):
        if task is not item:
            task.cancel()


def _on_signals(is_told: asyncio.Event) -> None:
    """Sets the event at the first signal; the second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def handle(number: int, frame: Any = None) -> None:
        if is_told.is_set():
            os._exit(EXIT_BY_SIGNAL + number)
        loop.call_soon_threadsafe(is_told.set)

    for number in SIGNALS:
        _set_handler(loop, number, handle)


def _set_handler(loop: asyncio.AbstractEventLoop, number: int, handle: Callable[[int], None]) -> None:
    try:
        loop.add_signal_handler(number, handle, number)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda number, frame: handle(number))
