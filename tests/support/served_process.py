"""`jsonnx serve` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_S = 30
"""The longest time until a server is ready."""
SHOWN_CHARACTERS = 2000
"""The end of the log that is shown of a server that did not start."""


class ServedProcess:
    """A server of models until the end of the block, at free ports that it chose itself.

    `log` is the file of its standard error, by default a temporary one.
    """

    def __init__(self, models: Sequence[str], *options: str, grpc: bool = False, log: Path | None = None) -> None:
        self.port = 0
        self.grpc_port = 0 if grpc else None
        self._log = log
        self._arguments = [*models, *options]

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
            self._folder = tempfile.TemporaryDirectory(prefix="jsonnx-served-")
            self._log = Path(self._folder.name) / "log"
        self._start()
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
        self._start()

    def _start(self) -> None:
        assert self._log is not None
        ports = ["--port", str(self.port)]
        if self.grpc_port is not None:
            ports += ["--grpc-port", str(self.grpc_port)]
        command = [sys.executable, "-m", "jsonnx", "serve", *self._arguments, *ports]
        with self._log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        until = time.monotonic() + START_S
        while (ready := self._ready_event(begin)) is None:
            assert self.is_running(), f"the server ended with {self.process.returncode}: {self._end_of_log()}"
            assert time.monotonic() < until, f"the server is not ready: {self._end_of_log()}"
            time.sleep(0.05)
        self.port = int(ready["url"].rpartition(":")[2])
        self.grpc_port = ready.get("grpc_port")

    def _ready_event(self, begin: int) -> dict[str, Any] | None:
        """What the server that wrote from this byte on said when it was ready."""
        for line in self._log_text(begin).splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                event = json.loads(line)
                if event["event"] == "ready":
                    return dict(event)
        return None

    def _end_of_log(self) -> str:
        return self._log_text(0)[-SHOWN_CHARACTERS:]

    def _log_text(self, begin: int) -> str:
        assert self._log is not None
        return self._log.read_bytes()[begin:].decode(errors="replace")

    def __exit__(self, *error: object) -> None:
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
