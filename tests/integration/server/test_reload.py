"""The models of a running server are replaced, broken and mended while requests are answered."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.serve_process import ServeProcess, serve_process

from .test_operation import INFER, model_of, rows_of

CLIENTS = 3


def replace(path: Path, content: bytes) -> None:
    """Replaces a file as a whole."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


class Load:
    """Requests of several clients, one after the other, until it ends."""

    def __init__(self, server: ServeProcess) -> None:
        self.values: list[float] = []
        self.failures: list[str] = []
        self._server, self._ends = server, threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]

    def _send(self) -> None:
        connection = self._server.connection()
        while not self._ends.is_set():
            try:
                connection.request("POST", INFER, json.dumps(rows_of(1)))
                response = connection.getresponse()
                body = response.read()
            except OSError as error:
                self.failures.append(repr(error))
                return
            if response.status == 200:
                self.values.append(json.loads(body)["outputs"][0]["data"][0])
            else:
                self.failures.append(f"{response.status} {body!r}")
        connection.close()

    @contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            for thread in self._threads:
                thread.join(30)

    def wait_for(self, value: float) -> None:
        """Waits until an answer has a value."""
        _wait(lambda: bool(self.values) and self.values[-1] == value)


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_request_fails_while_a_model_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    replace(file, model_of(0))
    with serve_process(file, "--reload-seconds", 0.1) as server, Load(server).running() as load:
        for value in range(1, 6):
            load.wait_for(value - 1)
            replace(file, model_of(value))
        load.wait_for(5)
        for value in (6, 7):
            replace(file, model_of(value))
            assert server.request("POST", "/v2/repository/models/m/load").status == 200
            load.wait_for(value)
        assert server.end() == 0
    assert set(load.values) == {0, 1, 2, 3, 4, 5, 6, 7}
    assert len(server.events("loaded")) >= 7
    refused = [failure for failure in load.failures if not failure.startswith(("Connection", "Remote", "BrokenPipe"))]
    assert not refused, "only the end of the server may be noticed"
    assert len(load.failures) <= CLIENTS


def test_a_broken_file_keeps_the_old_version(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    replace(file, model_of(1))
    with serve_process(file, "--reload-seconds", 0.1) as server:
        server.wait_for("ready")
        replace(file, b"no model")
        (told,) = server.wait_for("load-failed")
        assert (told["model"], told["level"], told["kept_versions"]) == ("m", "error", ["1"])
        time.sleep(0.5)
        assert len(server.events("load-failed")) == 1, "a broken file is not read again and again"
        assert server.request("POST", INFER, rows_of(1)).json["outputs"][0]["data"] == [1]
        (row,) = server.request("POST", "/v2/repository/index", {}).json
        assert (row["state"], bool(row["reason"])) == ("READY", True)
        assert server.request("GET", "/v2/health/ready").status == 200
        assert 'jsonnx_model_load_failed{model="m"} 1.0' in server.request("GET", "/metrics").body.decode()
        os.remove(file)
        server.wait_for("load-failed", 2)
        assert server.request("POST", INFER, rows_of(1)).json["outputs"][0]["data"] == [1]
        replace(file, model_of(2))
        server.wait_for("loaded")
        assert server.request("POST", INFER, rows_of(1)).json["outputs"][0]["data"] == [2]
        assert 'jsonnx_model_load_failed{model="m"} 0.0' in server.request("GET", "/metrics").body.decode()


def test_versions_come_and_go(tmp_path: Path) -> None:
    for version in (1, 2):
        (tmp_path / "m" / str(version)).mkdir(parents=True)
        replace(tmp_path / "m" / str(version) / "model.onnx", model_of(version))
    with serve_process(tmp_path / "m", "--reload-seconds", 0.1) as server:
        server.wait_for("ready")

        def value(version: int | None = None) -> float | int:
            path = INFER if version is None else f"/v2/models/m/versions/{version}/infer"
            answer = server.request("POST", path, rows_of(1))
            return answer.json["outputs"][0]["data"][0] if answer.status == 200 else answer.status

        assert (value(), value(1), value(2), value(3)) == (2, 1, 2, 404)
        (tmp_path / "m" / "10").mkdir()
        replace(tmp_path / "m" / "10" / "model.onnx", model_of(10))
        server.wait_for("loaded")
        assert (value(), value(1), value(10)) == (10, 1, 10)
        replace(tmp_path / "m" / "10" / "model.onnx", b"no model")
        server.wait_for("load-failed")
        assert (value(), value(10)) == (10, 10)
        (tmp_path / "m" / "3").mkdir()
        replace(tmp_path / "m" / "3" / "model.onnx", b"no model")
        server.wait_for("load-failed", 2)
        assert value(3) == 503
        assert server.request("GET", "/v2/health/ready").status == 200
        for name in ("1/model.onnx", "3/model.onnx", "10/model.onnx"):
            os.remove(tmp_path / "m" / name)
        server.wait_for("loaded", 2)
        assert (value(), value(1), value(2), value(10)) == (2, 404, 2, 404)
