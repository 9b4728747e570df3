from __future__ import annotations

import time
from typing import Any

import pytest
from jsonnx.server.http import connection
from jsonnx.server.http.middleware.request_middleware import Receive, Scope, Send

from .http_server_thread import document_of, http_server, post, read_all, read_answer


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with a large body to `/large`, else with none."""
    body = bytes(50_000_000) if scope["path"] == "/large" else b""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.5)
    monkeypatch.setattr("jsonnx.server.http.uvicorn_server.SWEEP_INTERVAL_S", 0.05)


def test_what_is_not_http_is_answered_in_json() -> None:
    with http_server(app) as server:
        for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            status, document = document_of(server.exchange(data))
            assert (status, document["code"]) == (400, "bad-request")
        assert b'jsonnx_http_responses_total{method="other",status="400"} 3.0' in server.metrics.render()[0]


def test_large_heads_are_refused() -> None:
    with http_server(app) as server:
        status, document = document_of(server.exchange(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000))
        assert (status, document["code"]) == (431, "too-large")
        status, _ = document_of(server.exchange(b"GET /" + b"a" * 70_000))
        assert status == 431
        many = b"".join(b"X%d: 1\r\n" % number for number in range(6000))
        assert document_of(server.exchange(post("/", b"")[:-2] + b"A: " + b"b" * 60_000 + b"\r\n" + many))[0] == 431
        assert server.exchange(post("/", b"", "A: " + "b" * 60_000)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("_short_times")
def test_slow_clients_are_ended() -> None:
    with http_server(app) as server:
        assert server.exchange(b"") == b"", "nothing was sent"
        status, document = document_of(server.exchange(b"GET / HTTP/1.1\r\nHost:"))
        assert (status, document["code"]) == (408, "request-timeout")
        with server.connect() as client:  # one byte at a time
            start = time.monotonic()
            for byte in b"GET / HTTP/1.1\r\n" * 100:
                try:
                    client.sendall(bytes([byte]))
                except OSError:
                    break
                time.sleep(0.02)
            assert time.monotonic() - start < 5


@pytest.mark.usefixtures("_short_times")
def test_an_idle_connection_stays() -> None:
    with http_server(app) as server, server.connect() as client:
        for _ in range(2):
            client.sendall(post(close=False))
            assert read_answer(client).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.6)
        client.sendall(b"POST / HTTP/1.1\r\n")
        assert read_all(client) == b"", "the head of a further request came too slowly"


@pytest.mark.usefixtures("_short_times")
def test_blank_lines_do_not_keep_a_connection() -> None:
    with http_server(app) as server, server.connect() as client:
        client.sendall(post(close=False))
        read_answer(client)
        client.sendall(b"\r\n")
        assert read_all(client) == b""


@pytest.mark.usefixtures("_short_times")
def test_a_client_must_read_its_answer() -> None:
    with http_server(app) as server, server.connect() as client:
        client.sendall(post("/large"))
        _wait_for(lambda: server.server.server_state.total_requests == 1)
        _wait_for(lambda: not server.server.server_state.connections)
        assert len(read_all(client)) < 50_000_000


def test_connections_are_limited() -> None:
    with http_server(app, max_connections=2) as server:
        first, second, third = server.connect(), server.connect(), server.connect()
        _wait_for(lambda: len(server.server.server_state.connections) == 3)
        third.sendall(post())
        answer = read_all(third)
        assert document_of(answer)[0] == 503
        assert b"retry-after: 1\r\n" in answer
        first.close()
        second.sendall(post())
        assert read_all(second).startswith(b"HTTP/1.1 200 ")
        second.close()
        third.close()
        _wait_for(lambda: not server.server.server_state.connections)
        assert server.exchange(post()).startswith(b"HTTP/1.1 200 ")


def _wait_for(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
