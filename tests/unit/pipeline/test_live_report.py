"""The server of `--live`: it answers on this machine alone, and only about its run."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread, active_count

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.report import live_report
from jsonnx.pipeline.report.live_report import ADDRESS, MAX_CONNECTIONS, LiveReport
from support.commands import jsonnx

SPEC = {
    "name": "line",
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"data": {"train": "data.csv"}, "loss": "mse", "optimizer": "adam", "epochs": 2},
}


@pytest.fixture
def report(tmp_path: Path) -> Iterator[LiveReport]:
    server = LiveReport(tmp_path / "run", port=0)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def get(report: LiveReport, path: str, host: str | None = None, **headers: str) -> tuple[int, str, str]:
    """The status, the ETag and the content of an answer."""
    connection = HTTPConnection(ADDRESS, report.server_address[1], timeout=20)
    connection.request("GET", path, headers={**headers, **({"Host": host} if host else {})})
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response.status, response.headers.get("ETag", ""), content


def test_a_page_waits_for_the_run_and_then_follows_it(report: LiveReport, tmp_path: Path) -> None:
    assert "has not started yet" in get(report, "/")[2]
    assert get(report, "/values.json")[0] == 503
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "data.csv").write_text("x,y\n1,2\n2,4\n3,6\n")
    jsonnx("train", str(tmp_path / "spec.json"), "-o", str(report.folder), "--quiet")
    assert "values.json" in get(report, "/")[2]
    status, etag, content = get(report, "/values.json")
    values = json.loads(content)
    assert (status, values["state"], len(values["history"]["loss"])) == (200, "finished", 2)
    assert get(report, "/values.json", **{"If-None-Match": etag})[0] == 304
    with open(report.folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "loss": 0.5}\n{"epoch": 3, "lo')  # a line that is being written
    status, changed, content = get(report, "/values.json", **{"If-None-Match": etag})
    assert status == 200
    assert changed != etag
    assert json.loads(content)["history"]["loss"][-1] == 0.5


def test_other_sites_and_other_files_get_no_answer(report: LiveReport) -> None:
    assert report.url.startswith("http://127.0.0.1:")
    assert get(report, "/", host="attacker.example")[0] == 403
    assert get(report, "/", host=f"localhost:{report.server_address[1]}")[0] == 200
    for path in ("/run.json", "/../spec.json", "/%2e%2e/spec.json", "//etc/passwd", "/" + "a" * 5000):
        assert get(report, path)[0] == 404


def test_connections_are_limited_in_number_and_end_when_idle(
    report: LiveReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_report._Handler, "timeout", 1.0)
    thread_count = active_count()
    idle = [socket.create_connection(report.server_address[:2], timeout=20) for _ in range(MAX_CONNECTIONS)]
    refused = socket.create_connection(report.server_address[:2], timeout=20)
    assert refused.recv(1) == b""
    assert active_count() <= thread_count + MAX_CONNECTIONS
    assert {connection.recv(1) for connection in idle} == {b""}
    for _ in range(100):  # a thread ends shortly after its connection
        with suppress(OSError, HTTPException):
            assert get(report, "/nothing")[0] == 404
            break
        time.sleep(0.05)
    else:
        pytest.fail("no connection is accepted")


def test_a_busy_port(report: LiveReport) -> None:
    with pytest.raises(UsageError, match="is in use"):
        LiveReport(report.folder, report.server_address[1])


def test_training_serves_its_page(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "data.csv").write_text("x,y\n1,2\n2,4\n3,6\n")
    run = str(tmp_path / "run")
    result = jsonnx("train", str(tmp_path / "spec.json"), "-o", run, "--quiet", "--live", "--port", "0")
    assert "live report: http://127.0.0.1:" in result.stderr
    result = jsonnx("train", str(tmp_path / "spec.json"), "-o", run, "--force", "--port", "0", status=2)
    assert "--port has no effect without --live" in result.stderr
    result = jsonnx("train", str(tmp_path / "spec.json"), "--port", "0", status=2)  # before a folder is named
    assert result.stderr == "error[bad-option]: --port has no effect without --live\n"
