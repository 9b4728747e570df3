"""The servers: how each one is started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

CONTESTANTS = Path(__file__).parent / "contestants"
START_S = 90
STOP_S = 15
SERVERS = ("jsonnx", "mlserver", "mlserver-batching", "litserve", "litserve-batching")
MAX_BATCH = 64
BATCH_TIME_S = 0.002


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _command(server: str, model: Path, port: int, peers: Path, folder: Path) -> Sequence[str]:
    if server == "jsonnx":
        return [sys.executable, "-m", "jsonnx", "serve", f"model={model}", "--port", str(port), "--log", "off"]
    if server.startswith("litserve"):
        size = MAX_BATCH if server == "litserve-batching" else 1
        program = str(CONTESTANTS / "litserve_server.py")
        return [str(peers / "bin" / "python"), program, str(model), str(port), str(size), "1"]
    _write_mlserver_settings(folder, model, port, is_batching=server == "mlserver-batching")
    return [str(peers / "bin" / "mlserver"), "start", str(folder)]


def _write_mlserver_settings(folder: Path, model: Path, port: int, is_batching: bool) -> None:
    """In one process: a worker apart only costs time for such models."""
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
    }
    batching = {"max_batch_size": MAX_BATCH, "max_batch_time": BATCH_TIME_S} if is_batching else {}
    runtime = {"name": "model", "implementation": "mlserver_runtime.OnnxRuntime", "parameters": {"uri": str(model)}}
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps({**runtime, **batching}))


@contextmanager
def running(server: str, model: Path, peers: Path, folder: Path, body: bytes) -> Iterator[tuple[str, int]]:
    """The URL for inference and the process of a server that answers requests, until the end of the block."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CONTESTANTS), os.environ.get("PYTHONPATH", "")])}
    command = _command(server, model, port, peers, folder / server)
    with (folder / f"{server}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    url = f"http://127.0.0.1:{port}/v2/models/model/infer"
    try:
        _wait_until_answered(url, body, process, folder / f"{server}.log")
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that outlive their server


def _wait_until_answered(url: str, body: bytes, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer(url, body)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"{log.stem} does not start:\n{log.read_text()[-2000:]}")


def answer(url: str, body: bytes) -> dict:
    """The answer to one request."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)
