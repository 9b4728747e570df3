"""`jsonnx serve` as a process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

START_S = 30
"""The longest time until a server is ready."""


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class ServedProcess:
    """A server of models until the end of the block. Its standard error goes to that of the tests."""

    def __init__(self, models: Sequence[str], *options: str, grpc: bool = False, log: Path | None = None) -> None:
        self.port = free_port()
        self.grpc_port = free_port() if grpc else None
        ports = ["--port", str(self.port)] + (["--grpc-port", str(self.grpc_port)] if grpc else [])
        self._log = log
        self._command = [sys.executable, "-m", "jsonnx", "serve", *models, *ports, *options]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Host and port of HTTP."""
        return f"127.0.0.1:{self.port}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def __enter__(self) -> ServedProcess:
        if self._log is None:
            self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        else:
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while not self._is_ready():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
            assert time.monotonic() < until, "the server is not ready"
            time.sleep(0.05)
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def restart(self) -> None:
        """Kills the process, and starts another one at the same ports."""
        self.process.kill()
        self.process.wait()
        self.__enter__()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
