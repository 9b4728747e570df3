from __future__ import annotations

import asyncio
import gzip
import time
from typing import Any

from jsonnx.server.http.middleware.request_middleware import Receive, Scope, Send
from jsonnx.server.monitoring.request_record import current_request
from jsonnx.server.protocol.errors import RequestError

from .http_server_thread import document_of, http_server, post, read_all, read_answer

ENDED: list[str] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body, or fails as the path says."""
    body = b""
    if scope["method"] != "GET":
        message = await receive()
        assert not message["more_body"], "the body comes whole"
        body = message["body"]
    if scope["path"] == "/refuse":
        raise RequestError(429, "queue-full", "full", "later", retry_after_s=3)
    if scope["path"] == "/bug":
        raise ValueError("a secret of the server")
    if scope["path"] == "/sleep":
        try:
            await asyncio.sleep(20)
        finally:
            ENDED.append("sleep")
    record = current_request.get()
    assert record is not None
    record.model, record.version, record.rows = "m", "1", 2
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    if scope["path"] == "/late-bug":
        raise ValueError("after the start")
    await send({"type": "http.response.body", "body": body})


def test_an_answer_has_the_id_of_its_request() -> None:
    with http_server(app) as server:
        answer = server.exchange(post("/", b"abc", "X-Request-Id: mine-1"))
        assert answer.endswith(b"abc")
        assert b"x-request-id: mine-1\r\n" in answer
        other = server.exchange(post("/", b"abc", "X-Request-Id: <script>"))
        assert b"x-request-id: " in other
        assert b"script" not in other
        first, second = server.entries()
    assert (first["id"], first["status"], first["bytes"], first["rows"]) == ("mine-1", 200, 3, 2)
    assert (first["model"], first["version"], first["method"], first["path"]) == ("m", "1", "POST", "/")
    assert second["id"].encode() in other
    assert "abc" not in str(first)


def test_errors_are_documents() -> None:
    with http_server(app) as server:
        answer = server.exchange(post("/refuse"))
        status, document = document_of(answer)
        assert (status, document["error"], document["code"]) == (429, "full; later", "queue-full")
        assert b"retry-after: 3\r\n" in answer
        (entry,) = server.entries()
    assert (entry["status"], entry["code"]) == (429, "queue-full")


def test_a_bug_is_logged_and_not_told() -> None:
    with http_server(app) as server:
        status, document = document_of(server.exchange(post("/bug", b"", "X-Request-Id: bug-1")))
        assert (status, document["code"]) == (500, "internal-error")
        assert "bug-1" in document["error"]
        assert "secret" not in document["error"]
        assert b"HTTP/1.1 200" in server.exchange(post("/late-bug", b"abc"))
        assert document_of(server.exchange(post("/bug")))[0] == 500, "the server goes on"
        entries = server.entries()
    (told, *_) = [entry for entry in entries if entry["event"] == "exception"]
    assert "ValueError: a secret of the server" in told["traceback"]
    assert "bug-1" in told["message"]


def test_large_bodies_are_refused_however_they_come() -> None:
    with http_server(app, max_body_bytes=100_000) as server:
        declared = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n"
        with server.connect() as client:
            client.sendall(declared)
            assert document_of(read_answer(client))[0] == 413
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        with server.connect() as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2)
            assert document_of(read_answer(client))[0] == 413
        bomb = gzip.compress(bytes(10_000_000))
        status, document = document_of(server.exchange(post("/", bomb, "Content-Encoding: gzip")))
        assert (status, document["code"]) == (413, "too-large")
        assert server.exchange(post("/", gzip.compress(b"abc"), "Content-Encoding: gzip")).endswith(b"abc")


def test_a_connection_is_used_further_after_a_body_that_nobody_read() -> None:
    with http_server(app, max_body_bytes=1000) as server, server.connect() as client:
        client.sendall(post("/", bytes(200_000), close=False))
        assert document_of(read_answer(client))[0] == 413
        client.sendall(post("/", b"abc"))
        assert read_all(client).endswith(b"abc")


def test_a_client_that_waits_for_100_is_not_asked_for_a_body_that_is_too_large() -> None:
    with http_server(app, max_body_bytes=1000) as server:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
        answer = server.exchange(head + b"2000\r\n\r\n")
        assert document_of(answer)[0] == 413
        assert b"100 Continue" not in answer
        with server.connect() as client:
            client.sendall(head + b"3\r\nConnection: close\r\n\r\n")
            assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"abc")
            assert read_all(client).endswith(b"abc")


def test_time_is_limited() -> None:
    with http_server(app, timeout_s=0.3) as server:
        ENDED.clear()
        status, document = document_of(server.exchange(post("/sleep")))
        assert (status, document["code"]) == (503, "request-timeout")
        assert ENDED == ["sleep"], "nobody works for an answer that nobody gets"
        start = time.monotonic()
        status, document = document_of(
            server.exchange(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        )
        assert (status, document["code"]) == (408, "request-timeout")
        assert time.monotonic() - start < 5


def test_the_work_for_a_client_that_has_gone_ends() -> None:
    with http_server(app) as server:
        ENDED.clear()
        with server.connect() as client:
            client.sendall(post("/sleep"))
            _wait_for(lambda: server.metrics.requests_in_flight == 1)
        _wait_for(lambda: server.metrics.requests_in_flight == 0)
        assert ENDED == ["sleep"]
        with server.connect() as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
            _wait_for(lambda: server.metrics.requests_in_flight == 1)
        _wait_for(lambda: server.metrics.requests_in_flight == 0)
        with server.connect() as client:
            client.sendall(post("/sleep", close=False) * 3)
            _wait_for(lambda: server.metrics.requests_in_flight == 1)
        _wait_for(lambda: server.metrics.requests_in_flight == 0)
        assert [entry["status"] for entry in server.entries()] == [499, 499, 499], "and nothing else"


def test_a_token_is_asked_for() -> None:
    with http_server(app, token="secret") as server:
        assert b"HTTP/1.1 200" in server.exchange(b"GET / HTTP/1.0\r\n\r\n"), "a page, which asks for it"
        answer = server.exchange(post("/x"))
        assert document_of(answer)[0] == 401
        assert b'www-authenticate: Bearer realm="jsonnx"\r\n' in answer
        assert b"HTTP/1.1 200" in server.exchange(post("/x", b"", "Authorization: Bearer secret"))
        assert b"HTTP/1.1 200" in server.exchange(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert "secret" not in server.stream.getvalue()


def test_pages_of_allowed_sites_may_read_answers() -> None:
    with http_server(app, origins=("https://example.org",)) as server:
        answer = server.exchange(post("/", b"", "Origin: https://example.org"))
        assert b"access-control-allow-origin: https://example.org\r\n" in answer
        preflight = (
            b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://example.org\r\n"
            b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
        )
        answer = server.exchange(preflight)
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert b"access-control-allow-headers: content-type\r\n" in answer
        other = server.exchange(preflight.replace(b"example.org", b"other.example"))
        assert b"access-control" not in other
        assert document_of(server.exchange(post("/", b"", "Origin: https://other.example")))[0] == 403


def test_connections_end_while_the_server_drains() -> None:
    with http_server(app) as server, server.connect() as client:
        server.is_draining = True
        client.sendall(post("/", b"abc", close=False))
        assert read_all(client).endswith(b"abc")


def _wait_for(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
