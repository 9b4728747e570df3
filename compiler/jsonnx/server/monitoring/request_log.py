"""The log of a server: one line on standard error for each request and event, as JSON or as text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any, TextIO

import orjson

from ...core.invisible_characters import escape_invisible, escape_output
from .request_record import LogFormat, RequestRecord

MAX_WAITING_LINES = 20_000
"""The maximum number of lines that wait for a slow reader of standard error; further ones are dropped, and counted."""
MAX_LINES_PER_WRITE = 1000
WRITE_INTERVAL_S = 0.02
MAX_PATH_CHARACTERS = 200

_Line = Callable[[], str]


class RequestLog:
    """Writes lines in a thread of its own, so that a reader that stops reading does not stop the server."""

    def __init__(self, stream: TextIO, format: LogFormat) -> None:
        self._stream, self._format = stream, format
        self._lines: SimpleQueue[_Line | None] = SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="jsonnx-log", daemon=True)
        self._thread.start()

    def request(self, record: RequestRecord) -> None:
        """Tells of a request that has been answered."""
        if self._format != "off":
            now = time.time()
            self._put(lambda: self._request_line(record, now))

    def event(self, event: str, message: str, *, level: str = "info", **fields: Any) -> None:
        """Tells of something else than a request."""
        now = time.time()
        self._put(lambda: self._event_line(event, message, level, fields, now))

    def close(self) -> None:
        """Writes the lines that wait, for a second at most."""
        self._lines.put(None)
        self._thread.join(1)

    def _put(self, line: _Line) -> None:
        if self._lines.qsize() < MAX_WAITING_LINES:
            self._lines.put(line)
        else:
            self._dropped += 1

    def _request_line(self, record: RequestRecord, now: float) -> str:
        path = escape_invisible(record.path[:MAX_PATH_CHARACTERS])
        if self._format == "text":
            model = f" {record.model}/{record.version}" if record.model else ""
            rows = "" if record.rows is None else f" rows={record.rows}"
            code = f" {record.code}" if record.code else ""
            size = f"{record.duration_s * 1000:.1f} ms {record.sent_bytes} B"
            return f"{_clock(now)} {record.method} {path} {record.status} {size}{model}{rows}{code} id={record.id}"
        return _json_line(
            now,
            "error" if record.status >= 500 else "info",
            "request",
            {
                "id": record.id,
                "method": record.method,
                "path": path,
                "status": record.status,
                "bytes": record.sent_bytes,
                "duration_s": round(record.duration_s, 6),
                "client": record.client or None,
                "model": record.model,
                "version": record.version,
                "rows": record.rows,
                "code": record.code,
                "trace_id": record.trace_id or None,
            },
        )

    def _event_line(self, event: str, message: str, level: str, fields: dict[str, Any], now: float) -> str:
        if self._format == "json":
            return _json_line(now, level, event, {"message": message, **fields})
        details = "".join(f"\n{value}" for value in fields.values() if "\n" in str(value))
        return f"{_clock(now)} {'' if level == 'info' else f'{level}: '}{message}{details}"

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            lines, is_last = self._waiting_lines(line)
            if dropped := self._dropped:
                self._dropped -= dropped
                message = f"{dropped} lines were dropped: standard error is read too slowly"
                lines.append(self._event_line("dropped-lines", message, "warning", {}, time.time()))
            with suppress(OSError, ValueError):  # a closed pipe or file: nobody reads
                self._stream.write("".join(f"{escape_output(line)}\n" for line in lines))
                self._stream.flush()
            if is_last:
                return
            time.sleep(WRITE_INTERVAL_S)

    def _waiting_lines(self, first: _Line) -> tuple[list[str], bool]:
        """The first line and others that wait, and whether the log is closed after them."""
        lines = [first()]
        with suppress(Empty):
            while len(lines) < MAX_LINES_PER_WRITE:
                line = self._lines.get_nowait()
                if line is None:
                    return lines, True
                lines.append(line())
        return lines, False


def _json_line(now: float, level: str, event: str, fields: dict[str, Any]) -> str:
    time = f"{_utc_second(int(now))}.{int(now * 1000) % 1000:03}Z"
    known = {key: value for key, value in fields.items() if value is not None}
    return orjson.dumps({"time": time, "level": level, "event": event, **known}, default=str).decode()


def _clock(now: float) -> str:
    return f"{_local_second(int(now))}.{int(now * 1000) % 1000:03}"


@lru_cache(4)
def _utc_second(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat().removesuffix("+00:00")


@lru_cache(4)
def _local_second(now: int) -> str:
    return datetime.fromtimestamp(now).isoformat(sep=" ")
