"""What surrounds every call: its id, permission, time, failure, log and metrics."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from ..monitoring.request_log import RequestLog
from ..monitoring.request_record import RequestRecord, current_request, request_id, trace_id
from ..monitoring.server_metrics import ServerMetrics
from ..monitoring.tracing import Tracing
from ..options import ServerOptions
from ..protocol.errors import RequestError, bad_request
from ..protocol.tokens import require_token
from .inference_calls import Call
from .messages import MESSAGES
from .status import details_of, status_of, trailing_metadata_of

Context = Any
"""grpc.aio.ServicerContext."""

METHOD = "gRPC"
"""The method of calls in the log."""
REFUSAL_S = 0.1
"""The time for which calls are refused before connections are closed: their clients have just sent them."""
CANCELLED = 499
"""The status in the log of a call that the client or the end of the server has cancelled."""


class Monitors(NamedTuple):
    """Who is told of each call."""

    metrics: ServerMetrics
    log: RequestLog
    tracing: Tracing | None = None


class Gate:
    """Counts the calls that are being answered, and refuses further ones when it is closed.

    gRPC itself ends calls as CANCELLED that arrive while it stops, which clients do not repeat elsewhere.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._calls = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def enter(self) -> None:
        """Counts a call that has arrived."""
        self._calls += 1
        self._is_idle.clear()

    def leave(self) -> None:
        """Counts a call that has been answered."""
        self._calls -= 1
        if not self._calls:
            self._is_idle.set()

    async def close(self, grace_s: float) -> None:
        """Refuses further calls, and waits for the answers to those that have arrived, at most `grace_s`."""
        self.is_closed = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_idle.wait(), grace_s)
            await asyncio.sleep(min(REFUSAL_S, grace_s))


class AnsweredCall:
    """Answers a call; `path` is its full name."""

    def __init__(self, path: str, call: Call, options: ServerOptions, monitors: Monitors, gate: Gate) -> None:
        self._path, self._call, self._monitors, self._gate = path, call, monitors, gate
        self._request_class = MESSAGES[call.request]
        self._timeout_s = options.timeout_s
        self._token = options.token.encode() if options.token is not None and not call.is_probe else None

    async def answer(self, data: bytes, context: Context) -> bytes:
        """The bytes of the answer to the bytes of a request."""
        metadata = {name: value if isinstance(value, bytes) else value.encode() for name, value in _metadata(context)}
        record = self._record(context, metadata)
        current_request.set(record)  # of this task alone
        self._monitors.metrics.began()
        self._gate.enter()
        status = grpc.StatusCode.CANCELLED
        try:
            with self._span(record, metadata):
                try:
                    answer = await self._result(data, metadata, record)
                    error, status, record.status, record.sent_bytes = None, grpc.StatusCode.OK, 200, len(answer)
                except RequestError as raised:
                    error, status, record.status, record.code = raised, status_of(raised), raised.status, raised.code
        finally:
            self._gate.leave()
            record.duration_s = time.monotonic() - record.start_s
            self._monitors.metrics.ended_call(record, status.name)
            self._monitors.log.request(record)
        trailing = (("x-request-id", record.id), *(trailing_metadata_of(error) if error else ()))
        if error is not None:
            await context.abort(status, details_of(error), trailing)
        context.set_trailing_metadata(trailing)
        return answer

    def _record(self, context: Context, metadata: Mapping[str, bytes]) -> RequestRecord:
        start_s, remaining_s = time.monotonic(), context.time_remaining()
        deadline_s = start_s + (self._timeout_s if remaining_s is None else min(remaining_s, self._timeout_s))
        id, trace = request_id(metadata.get("x-request-id")), trace_id(metadata.get("traceparent"))
        return RequestRecord(id, METHOD, self._path, start_s, deadline_s, _client(context.peer()), trace, CANCELLED)

    def _span(self, record: RequestRecord, metadata: Mapping[str, bytes]) -> AbstractContextManager[None]:
        if self._monitors.tracing is None:
            return nullcontext()
        return self._monitors.tracing.span(record, {name.encode(): value for name, value in metadata.items()})

    async def _result(self, data: bytes, metadata: Mapping[str, bytes], record: RequestRecord) -> bytes:
        """The bytes of the answer. Raises RequestError."""
        try:
            if self._token is not None:
                require_token(metadata.get("authorization", b""), self._token)
            if self._gate.is_closed and not self._call.is_probe:
                raise RequestError(503, "shutting-down", "the server is ending", "send the request to another one")
            async with asyncio.timeout(record.deadline_s - record.start_s):
                message = await self._call.answer(self._parsed(data))
            return message.SerializeToString()
        except RequestError:
            raise
        except TimeoutError:
            message = f"the request was not answered within {self._timeout_s:g} s"
            help = "send fewer rows at once, or give the server --timeout"
            raise RequestError(503, "request-timeout", message, help) from None
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            message = f"internal error: {type(error).__name__} in request {record.id}"
            self._monitors.log.event("exception", message, level="error", traceback=text)
            help = f"the server's log has its details, with the id {record.id}"
            raise RequestError(500, "internal-error", "the server has a bug", help) from error

    def _parsed(self, data: bytes) -> Any:
        try:
            return self._request_class.FromString(data)
        except DecodeError as error:
            raise bad_request(f"the request is no {self._request_class.DESCRIPTOR.name}: {error}") from error


def _metadata(context: Context) -> Any:
    return context.invocation_metadata() or ()


def _client(peer: str) -> str:
    """The address of a peer such as `ipv4:127.0.0.1:1234` or `ipv6:%5B::1%5D:1234`."""
    return unquote(peer.partition(":")[2].rpartition(":")[0]).strip("[]")
