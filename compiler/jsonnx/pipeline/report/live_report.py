"""Serves the report of a run on this machine while it trains: a page that asks for new metrics.

The server only reads files of the RUN folder, in threads that end with the process, so nothing that happens in it stops
a training.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any

from ...core.diagnostics import CompileError, UsageError
from ...core.files.files import error_reason
from ...core.files.run_layout import RunPaths
from ...html_report.json_values import script_json
from ...html_report.page import report_page, waiting_page
from ..run_folder.run import Run
from .report_run import described_run, followed_values

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8321
POLL_SECONDS = 2.0
"""The interval of a page's requests, as in `live.js`."""
MAX_PATH = 64
MAX_CONNECTIONS = 16
"""Connections that are open at once, each of which has a thread; others are closed at once."""
IDLE_SECONDS = 10.0
"""The time after which a connection without a request is closed."""

BUSY_PORT_HELP = "choose another one with --port, or any free one with --port 0"


class LiveReport(ThreadingHTTPServer):
    """The server of a RUN folder, which need not exist yet. Raises UsageError if the port cannot be had."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, port: int = DEFAULT_PORT) -> None:
        self.folder = folder
        self.last_request = 0.0
        self._connections = BoundedSemaphore(MAX_CONNECTIONS)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            is_busy = getattr(error, "errno", 0) == errno.EADDRINUSE
            reason = "is in use" if is_busy else f"cannot be used: {error_reason(error)}"
            raise UsageError("bad-option", f"the port {port} {reason}", BUSY_PORT_HELP) from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The names by which a browser on this machine calls the server; another site's name may lead here, too."""
        return frozenset(f"{name}:{self.server_address[1]}" for name in (ADDRESS, "localhost"))

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores errors: a page may be closed while the training goes on."""

    @property
    def is_watched(self) -> bool:
        """Whether a page has asked for metrics lately."""
        return time.monotonic() - self.last_request < 2 * POLL_SECONDS


@contextmanager
def serving(report: LiveReport) -> Iterator[None]:
    """Serves in the background. At the end, a page that is open gets the time to ask for the last metrics."""
    thread = Thread(target=report.serve_forever, name="live report", daemon=True)
    thread.start()
    try:
        yield
        if report.is_watched:
            time.sleep(1.5 * POLL_SECONDS)
    finally:
        report.shutdown()
        report.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: LiveReport
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            self._send(403, "text/plain", b"this server answers only to its own address\n")
            return
        path = self.path[:MAX_PATH].partition("?")[0]
        if path == "/":
            self._send(200, "text/html; charset=utf-8", self._page().encode())
        elif path == "/values.json":
            self._send_values()
        else:
            self._send(404, "text/plain", b"not found\n")

    def _page(self) -> str:
        try:
            values = described_run(Run(self.server.folder))
        except (UsageError, CompileError):
            return waiting_page(f"jsonnx: {self.server.folder.name}")
        values["name"] = self.server.folder.resolve().name
        return report_page(f"jsonnx, live: {values['name']}", [values], live=True)

    def _send_values(self) -> None:
        self.server.last_request = time.monotonic()
        etag = _etag(self.server.folder)
        if self.headers.get("If-None-Match") == etag:
            self._send(304, "application/json", b"", etag)
            return
        try:
            values = followed_values(Run(self.server.folder))
        except (UsageError, CompileError):
            self._send(503, "text/plain", b"the run cannot be read\n")
            return
        self._send(200, "application/json", script_json(values).encode(), etag)

    def _send(self, status: int, type: str, content: bytes, etag: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if etag is not None:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing: standard error shows the progress of the training."""


def _etag(folder: Path) -> str:
    """Changes whenever one of the files does that metrics come from."""
    stamps, paths = [], RunPaths(folder)
    for path in (paths.run_info, paths.execution, paths.metrics, paths.steps):
        with suppress(OSError):
            status = path.stat()
            stamps.append((path.name, status.st_size, status.st_mtime_ns))
    return f'"{sha256(repr(stamps).encode()).hexdigest()[:32]}"'
