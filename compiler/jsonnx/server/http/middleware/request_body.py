"""The body of a request, within its limit, and decompressed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ...protocol.errors import RequestError, bad_request

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_INLINE_BYTES = 65536
"""The maximum size of a compressed body that the event loop decompresses itself."""
MAX_LENGTH_DIGITS = 20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_ACCEPTED = "send gzip, deflate or no Content-Encoding"


class ClientDisconnected(Exception):
    """The client has closed the connection before its request was complete."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int) -> bytes:
    """The body of a request, decompressed. Raises RequestError 400, 413, 415, and ClientDisconnected."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared[:MAX_LENGTH_DIGITS]) > max_bytes:
        raise _too_large(max_bytes)
    body = await _received(receive, max_bytes)
    if b"content-encoding" not in headers:
        return body
    encoding = headers[b"content-encoding"].decode("latin-1").strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW_BITS:
        raise RequestError(415, "bad-request", f"the Content-Encoding {encoding!r} is not known", _ACCEPTED)
    if len(body) <= MAX_INLINE_BYTES:
        return _decompressed(body, encoding, max_bytes)
    return await asyncio.to_thread(_decompressed, body, encoding, max_bytes)


async def _received(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


def _decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        result = decompressor.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise bad_request(f"the body is not {encoding}: {error}") from error
    if len(result) > max_bytes:
        raise _too_large(max_bytes, " when it is decompressed")
    if not decompressor.eof or decompressor.unused_data:
        ending = "has further bytes behind its end" if decompressor.eof else "ends too early"
        raise bad_request(f"the {encoding} body {ending}")
    return result


def _too_large(max_bytes: int, when: str = "") -> RequestError:
    message = f"the body has more than {max_bytes:,} bytes{when}"
    return RequestError(413, "too-large", message, "send fewer rows, or give the server --max-body")


def with_body(scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], body: bytes) -> tuple[Scope, Receive]:
    """A request whose body is already read: it is the first message, what follows comes from the client."""
    if b"content-encoding" in headers:
        left_out = (b"content-encoding", b"content-length", b"transfer-encoding")
        kept = [header for header in scope["headers"] if header[0] not in left_out]
        scope = {**scope, "headers": [*kept, (b"content-length", b"%d" % len(body))]}
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_body() -> Message:
        return first.pop() if first else await receive()

    return scope, receive_body
