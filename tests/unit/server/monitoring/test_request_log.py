from __future__ import annotations

import io
import json
import threading
import time
from typing import Any

import pytest
from jsonnx.server.monitoring import request_log
from jsonnx.server.monitoring.request_log import RequestLog
from jsonnx.server.monitoring.request_record import LogFormat, RequestRecord, request_id, trace_id


def record(**values: Any) -> RequestRecord:
    return RequestRecord("id-1", "POST", "/predict", 0, 30, **{"status": 200, "duration_s": 0.0123456789, **values})


def lines(format: LogFormat, *records: RequestRecord) -> list[str]:
    stream = io.StringIO()
    log = RequestLog(stream, format)
    for item in records:
        log.request(item)
    log.close()
    return stream.getvalue().splitlines()


def test_a_line_of_json() -> None:
    (line,) = lines("json", record(sent_bytes=5, model="m", version="1", rows=3, trace_id="ab", client="127.0.0.1"))
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info",
        "event": "request",
        "id": "id-1",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "bytes": 5,
        "duration_s": 0.012346,
        "client": "127.0.0.1",
        "model": "m",
        "version": "1",
        "rows": 3,
        "trace_id": "ab",
    }
    (line,) = lines("json", record(status=500, code="internal-error"))
    assert (json.loads(line)["level"], json.loads(line)["code"]) == ("error", "internal-error")


def test_a_line_of_text() -> None:
    (line,) = lines("text", record(status=400, code="bad-feed", model="m", version="1", rows=3))
    assert line.endswith("POST /predict 400 12.3 ms 0 B m/1 rows=3 bad-feed id=id-1")
    assert lines("off", record()) == []


@pytest.mark.parametrize("format", ["json", "text"])
def test_a_path_cannot_write_lines_of_its_own(format: LogFormat) -> None:
    hostile = record()
    hostile.path = "/a\nb\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 10_000
    written = lines(format, hostile)
    assert len(written) == 1
    assert all("\x1b" not in line and "\N{RIGHT-TO-LEFT OVERRIDE}" not in line for line in written)
    assert max(map(len, written)) < 600


def test_events_are_written_in_every_form() -> None:
    for format, start in (("json", "{"), ("text", "20"), ("off", "20")):
        stream = io.StringIO()
        log = RequestLog(stream, format)  # type: ignore[arg-type]
        log.event("ready", "serving", url="http://x")
        log.event("exception", "failed", level="error", traceback="Traceback\n  line")
        log.close()
        first, second, *_ = stream.getvalue().splitlines()
        assert first.startswith(start)
        assert "serving" in first
        assert "failed" in second


def test_a_reader_that_stops_costs_lines_not_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "MAX_WAITING_LINES", 10)
    may_write = threading.Event()

    class Stopped(io.StringIO):
        def write(self, text: str) -> int:
            may_write.wait(10)
            return super().write(text)

    stream = Stopped()
    log = RequestLog(stream, "json")
    start = time.monotonic()
    for _ in range(100):
        log.request(record())
    assert time.monotonic() - start < 1
    may_write.set()
    log.close()
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    (dropped,) = [entry for entry in entries if entry["event"] == "dropped-lines"]
    requests = [entry for entry in entries if entry["event"] == "request"]
    assert dropped["message"].startswith(f"{100 - len(requests)} lines were dropped")


def test_ids() -> None:
    assert request_id(b"abc-1.2:3/4=5") == "abc-1.2:3/4=5"
    made = {request_id(given) for given in (None, b"", b"a b", b"a\nb", b"x" * 129, b"\xff")}
    assert len(made) == 6
    trace = "0af7651916cd43dd8448eb211c80319c"
    assert trace_id(f"00-{trace}-b7ad6b7169203331-01".encode()) == trace
    assert trace_id(b"00-xyz") == trace_id(None) == ""
