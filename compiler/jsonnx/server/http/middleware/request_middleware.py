"""The outermost layer of the HTTP server, around the routes."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...monitoring.request_log import RequestLog
from ...monitoring.request_record import RequestRecord, current_request, request_id, trace_id
from ...monitoring.server_metrics import ServerMetrics
from ...monitoring.tracing import Tracing
from ...protocol.errors import RequestError, bad_request
from .permission import CHALLENGE, Permission
from .request_body import ClientDisconnected, Message, Receive, Scope, read_body, with_body

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONNECTION_KEY = "jsonnx.connection"
"""The key of a scope that has the connection, which cancels its task when the client has gone."""
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
CLIENT_CLOSED_REQUEST = 499
"""The status that the log and the metrics have for a request whose client has gone; nginx uses it likewise."""


@dataclass(frozen=True)
class RequestSettings:
    """What applies to each request, and who is told of it."""

    permission: Permission
    metrics: ServerMetrics
    log: RequestLog
    is_draining: Callable[[], bool]
    timeout_s: float
    max_body_bytes: int
    tracing: Tracing | None = None


class RequestMiddleware:
    """Gives each request an id, checks its permission, reads its body, limits its time, turns exceptions into JSON, and
    tells the log and the metrics of it."""

    def __init__(self, app: App, settings: RequestSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        record = _new_record(scope, headers, self._settings.timeout_s)
        current_request.set(record)  # of this task alone
        answer = _Answer(send, record, headers, self._settings)
        self._settings.metrics.began()
        connection: Any = scope.get(CONNECTION_KEY)
        if connection is not None:
            answer.connection = connection
            connection.begin(answer.task, receive)
        deadline = answer.loop.call_later(self._settings.timeout_s, answer.expire)
        try:
            if self._settings.tracing is None:
                await self._answer(scope, receive, headers, answer)
            else:
                with self._settings.tracing.span(record, headers):
                    await self._answer(scope, receive, headers, answer)
        finally:
            deadline.cancel()
            if connection is not None:
                connection.end()
            record.duration_s = time.monotonic() - record.start_s
            self._settings.metrics.ended(record)
            self._settings.log.request(record)

    async def _answer(self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], answer: _Answer) -> None:
        try:
            if scope["http_version"] == "1.1" and b"host" not in headers:
                raise bad_request("the request has no header Host", "HTTP/1.1 demands it")
            self._settings.permission.check(scope["method"], scope["path"], headers)
            if answer.allowed_origin is not None and _is_preflight(scope, headers):
                await answer.permit_origin(headers)
                return
            if b"content-length" in headers or b"transfer-encoding" in headers:
                body = await read_body(receive, headers, self._settings.max_body_bytes)
                scope, receive = with_body(scope, receive, headers, body)
            answer.has_body = True
            await self._app(scope, receive, answer.send)
        except RequestError as error:
            await answer.fail(error)
        except ClientDisconnected:
            answer.record.status = CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:
            await self._cancelled(answer)
        except Exception as error:
            await self._crashed(answer, error)

    async def _cancelled(self, answer: _Answer) -> None:
        """Ends a request whose client has gone, or that was not answered in time, or before the server's end."""
        if answer.connection is not None and answer.connection.is_lost:
            answer.record.status = CLIENT_CLOSED_REQUEST
        elif answer.is_expired:
            await answer.fail(_out_of_time(self._settings.timeout_s, answer))
        else:
            answer.is_last = True
            await answer.fail(RequestError(503, "shutting-down", "the server ended before the answer"))

    async def _crashed(self, answer: _Answer, error: Exception) -> None:
        """Logs a bug, of which the client learns no more than the id of its request."""
        text = "".join(traceback.format_exception(error))
        message = f"internal error: {type(error).__name__} in request {answer.record.id}"
        self._settings.log.event("exception", message, level="error", traceback=text)
        help = f"the server's log has its details, with the id {answer.record.id}"
        await answer.fail(RequestError(500, "internal-error", "the server has a bug", help))


def _out_of_time(timeout_s: float, answer: _Answer) -> RequestError:
    if answer.has_body:
        message = f"the request was not answered within {timeout_s:g} s"
        return RequestError(503, "request-timeout", message, "send fewer rows at once, or give the server --timeout")
    answer.is_last = True
    message = f"the body of the request did not arrive within {timeout_s:g} s"
    return RequestError(408, "request-timeout", message, "send it faster, or give the server --timeout")


def _new_record(scope: Scope, headers: Mapping[bytes, bytes], timeout_s: float) -> RequestRecord:
    start, client = time.monotonic(), scope.get("client")
    raw_path = scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace")
    return RequestRecord(
        request_id(headers.get(b"x-request-id")),
        scope["method"],
        raw_path.decode("latin-1"),
        start,
        start + timeout_s,
        client[0] if client else "",
        trace_id(headers.get(b"traceparent")),
    )


def _is_preflight(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


class _Answer:
    """The answer to a request, whose status and size are recorded as it is sent."""

    __slots__ = (
        *("_send", "_settings", "allowed_origin", "connection", "has_body", "is_expired", "is_last", "is_started"),
        *("loop", "record", "task"),
    )

    def __init__(
        self, send: Send, record: RequestRecord, headers: Mapping[bytes, bytes], settings: RequestSettings
    ) -> None:
        self._send, self.record, self._settings = send, record, settings
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        self.allowed_origin = settings.permission.allowed_origin(headers) if b"origin" in headers else None
        self.connection: Any = None
        self.has_body = False
        """Whether the request has arrived as a whole."""
        self.is_started = self.is_expired = False
        self.is_last = b"expect" in headers
        """Whether the connection is closed after an error: its client may still send, or not send, a body."""

    def expire(self) -> None:
        """Ends the work for a request that takes too long; an answer that has begun is sent whole."""
        if not self.is_started and self.task is not None:
            self.is_expired = True
            self.task.cancel()

    async def send(self, message: Message) -> None:
        """Sends a message of the answer."""
        if message["type"] == "http.response.start":
            self.is_started = True
            self.record.status = message["status"]
            headers = list(message.get("headers", ()))
            headers += ((b"x-request-id", self.record.id.encode()), _NO_SNIFFING)
            if self.allowed_origin is not None:
                headers += ((b"access-control-allow-origin", self.allowed_origin), (b"vary", b"origin"))
            if self._settings.is_draining():
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        else:
            self.record.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    async def fail(self, error: RequestError) -> None:
        """Answers with an error, unless an answer has begun."""
        self.record.code = error.code
        if self.is_started:
            return
        headers = error_headers(error)
        if self.is_last and not self._settings.is_draining():
            headers.append((b"connection", b"close"))
        body = json.dumps(error.document()).encode()
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def permit_origin(self, headers: Mapping[bytes, bytes]) -> None:
        """Answers a browser that asks whether a page of another site may send a request."""
        permitted = [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"content-type")),
            (b"access-control-max-age", b"600"),
            (b"content-length", b"0"),
        ]
        await self.send({"type": "http.response.start", "status": 204, "headers": permitted})
        await self.send({"type": "http.response.body", "body": b""})


def error_headers(error: RequestError) -> list[tuple[bytes, bytes]]:
    """The headers that belong to the status of an error."""
    headers = [CHALLENGE] if error.status == 401 else []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    return headers
