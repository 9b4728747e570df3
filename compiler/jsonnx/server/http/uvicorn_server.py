"""uvicorn's server, ended by its caller, with limited connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from ..monitoring.request_log import RequestLog
from ..monitoring.server_metrics import ServerMetrics
from ..options import ServerOptions
from .connection import KEEP_ALIVE_S, SWEEP_INTERVAL_S, LimitedConnection, sweep
from .sockets import BACKLOG, Listener


class UvicornServer(uvicorn.Server):
    """uvicorn's server without its handling of signals: its caller sets `should_exit`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the caller."""
        yield

    async def sweep(self) -> None:
        """Ends the connections of slow clients; never returns."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            sweep(self.server_state.connections, time.monotonic())


def uvicorn_server(app: Any, options: ServerOptions, listener: Listener, metrics: ServerMetrics) -> UvicornServer:
    """A server that answers with an application."""

    class Connection(LimitedConnection):
        max_connections = options.max_connections
        max_body_bytes = options.max_body_bytes
        on_refused = staticmethod(metrics.refused)

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(options.drain_s)),
        ssl_context_factory=None if listener.tls is None else _tls_of(listener),
    )
    server = UvicornServer(config)
    metrics.connections = lambda: len(server.server_state.connections)
    return server


def _tls_of(listener: Listener) -> Any:
    """The settings of TLS in the form that uvicorn takes."""
    return lambda config, default: listener.tls


class LoggingHandler(logging.Handler):
    """Passes the messages of libraries to the server's log."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a message."""
        with suppress(Exception):
            text = self.format(record)
            self._log.event("library", text, level=record.levelname.lower(), logger=record.name)


def log_libraries(log: RequestLog) -> None:
    """Writes what uvicorn and asyncio report to the server's log."""
    for name, level in (("uvicorn.error", logging.ERROR), ("asyncio", logging.ERROR), ("jsonnx.server", logging.INFO)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [LoggingHandler(log)], False
        logger.setLevel(level)
