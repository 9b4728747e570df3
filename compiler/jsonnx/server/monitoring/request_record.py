"""What the log and the metrics tell of one request."""

from __future__ import annotations

import itertools
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

LogFormat = Literal["json", "text", "off"]
"""The form of the lines of a log; `off` writes events, but no line about each request."""

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True)
class RequestRecord:
    """A request and its answer. It has no values of inputs or outputs.

    Whoever knows the model and its rows writes them here: `current_request.get()` is the request that a task answers.
    """

    id: str
    method: str
    path: str
    """As the client wrote it, without the query."""
    start_s: float
    """`time.monotonic()` at its arrival, as `deadline_s`."""
    deadline_s: float
    client: str = ""
    trace_id: str = ""
    status: int = 0
    """The HTTP status; 0 before the answer, 499 if the client has gone."""
    sent_bytes: int = 0
    """Bytes of the answer's body."""
    duration_s: float = 0.0
    model: str | None = None
    version: str | None = None
    rows: int | None = None
    code: str | None = None
    """The code of the error."""


current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)
"""The request that the current task answers; None outside a request."""

_PREFIX = secrets.token_hex(6)
_numbers = itertools.count(1)


def request_id(given: bytes | None) -> str:
    """The id that the client gave if it is short and of harmless characters, else a new one."""
    if given is not None and _SANE_ID.fullmatch(given):
        return given.decode()
    return f"{_PREFIX}-{next(_numbers):x}"


def trace_id(traceparent: bytes | None) -> str:
    """The trace id of a `traceparent` header of W3C's Trace Context; "" without a valid one."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1].decode() if match else ""
