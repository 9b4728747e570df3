from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from jsonnx.server.http.middleware.request_body import ClientDisconnected, read_body, with_body
from jsonnx.server.protocol.errors import RequestError

LIMIT = 1000


def read(*parts: bytes, headers: Mapping[bytes, bytes] = {}, ends: bool = True) -> bytes:
    messages: list[Any] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request"} if ends else {"type": "http.disconnect"})

    async def receive() -> Any:
        return messages.pop(0)

    return asyncio.run(read_body(receive, headers, LIMIT))


def test_parts_are_joined() -> None:
    assert read() == b""
    assert read(b"ab", b"", b"c") == b"abc"
    assert read(bytes(LIMIT)) == bytes(LIMIT)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(RequestError, match="more than 1,000 bytes") as caught:
        read(headers={b"content-length": b"1001"})
    assert caught.value.status == 413
    with pytest.raises(RequestError, match="more than 1,000 bytes"):
        read(headers={b"content-length": b"9" * 5000})


def test_a_body_without_a_declared_length_is_refused_at_the_limit() -> None:
    with pytest.raises(RequestError) as caught:
        read(bytes(600), bytes(600), ends=False)
    assert caught.value.status == 413


def test_a_client_may_go() -> None:
    with pytest.raises(ClientDisconnected):
        read(b"ab", ends=False)


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_are_decompressed(name: str, compress: Any) -> None:
    headers = {b"content-encoding": name.encode()}
    assert read(compress(b"abc" * 100), headers=headers) == b"abc" * 100
    assert read(compress(bytes(LIMIT)), headers=headers) == bytes(LIMIT)
    with pytest.raises(RequestError, match="when it is decompressed") as caught:
        read(compress(bytes(LIMIT + 1)), headers=headers)
    assert caught.value.status == 413
    for broken in (b"abc", compress(b"abc")[:-1], compress(b"abc") + b"x", b""):
        with pytest.raises(RequestError) as caught:
            read(broken, headers=headers)
        assert (caught.value.status, caught.value.code) == (400, "bad-request")


def test_other_encodings_are_refused() -> None:
    assert read(b"abc", headers={b"content-encoding": b"identity"}) == b"abc"
    with pytest.raises(RequestError, match="'br'") as caught:
        read(b"abc", headers={b"content-encoding": b"br"})
    assert caught.value.status == 415


def test_the_application_gets_the_decompressed_body_and_its_length() -> None:
    headers = [(b"content-encoding", b"gzip"), (b"content-length", b"50"), (b"accept", b"*/*")]
    scope, receive = with_body(
        {"headers": headers}, lambda: asyncio.sleep(0, {"type": "http.disconnect"}), dict(headers), b"ab"
    )
    assert scope["headers"] == [(b"accept", b"*/*"), (b"content-length", b"2")]

    async def messages() -> list[Any]:
        return [await receive(), await receive()]

    first, second = asyncio.run(messages())
    assert first == {"type": "http.request", "body": b"ab", "more_body": False}
    assert second == {"type": "http.disconnect"}
