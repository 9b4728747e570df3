"""`jsonnx serve` as a process of its own, on a free port of this machine."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

from .commands import SOURCE
from .serving import DEADLINE_S, Answer


class ServeProcess:
    """A server, whose log is read as it is written."""

    def __init__(self, process: subprocess.Popen[str], tls: ssl.SSLContext | None) -> None:
        self.process, self._tls = process, tls
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def events(self, event: str) -> list[dict[str, Any]]:
        """The entries of a kind that the log has by now."""
        entries = [json.loads(line) for line in [*self.lines] if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The entries of a kind, when there are `count`."""
        end = time.monotonic() + DEADLINE_S
        while len(found := self.events(event)) < count:
            assert time.monotonic() < end, (event, self.lines)
            assert self.process.poll() is None or self._reader.is_alive(), self.lines
            time.sleep(0.02)
        return found

    @property
    def port(self) -> int:
        return int(self.wait_for("ready")[0]["url"].rpartition(":")[2])

    def connection(self) -> HTTPConnection:
        """A connection to the server."""
        if self._tls is not None:
            return HTTPSConnection("localhost", self.port, timeout=DEADLINE_S, context=self._tls)
        return HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to one request; a body that is neither bytes nor text is sent as JSON."""
        content = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection = self.connection()
        try:
            connection.request(method, path, content, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit status after a signal."""
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return status


@contextmanager
def serve_process(
    *arguments: Any, env: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[ServeProcess]:
    """`jsonnx serve ARGUMENTS` on a free port."""
    command = [sys.executable, "-m", "jsonnx", "serve", *map(str, arguments), "--port", "0", "--log", "json"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "JSONNX_DEBUG": "1", **(env or {})}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield ServeProcess(process, tls)
        finally:
            if process.poll() is None:
                process.kill()
