"""HTTP itself: connections, framing of bodies, methods, and what is no HTTP."""

from __future__ import annotations

import gzip
import json
import socket

from ..case import Area
from ..http_client import Answer, excerpt
from ..target import Target, error, parse_outputs, success
from ..verdicts import Violation, require

area = Area("http")

SHORT_TIMEOUT_S = 3.0
LONG_HEADER_CHARACTERS = 200_000
BODY_PARTS = 7


def _body(t: Target) -> bytes:
    return json.dumps(t.request()).encode()


def _post(t: Target, *lines: str) -> bytes:
    return t.http.head("POST", t.path("/infer"), "Content-Type: application/json", *lines)


def _only(received: list[Answer]) -> Answer:
    require(len(received) == 1, "an answer", "none: the connection was closed, or silent")
    return received[0]


def _is_alive(t: Target) -> None:
    answer = t.http.get("v2/health/live")
    require(answer.status == 200, "a server that is alive afterwards", str(answer))


def _rejected(t: Target, *parts: bytes, is_cut: bool = False) -> None:
    """Requires an error or a closed connection, and a server that is alive afterwards."""
    received = t.http.exchange(*parts, is_cut=is_cut)
    for answer in received:
        require(400 <= answer.status < 600, "a status of an error, or a closed connection", str(answer))
        require(answer.status in (501, 505) or answer.status < 500, "status 4xx, 501 or 505", str(answer))
    _is_alive(t)


@area.must("keep-alive", "RFC 9112, 9.3: a connection serves several requests, one after the other.")
def keep_alive(t: Target) -> None:
    body = _body(t)
    request = _post(t, f"Content-Length: {len(body)}") + body
    received = t.http.exchange(request, request, request, answers=3, pause_s=0.05)
    require(len(received) == 3, "3 answers on one connection", f"{len(received)}")
    for answer in received:
        parse_outputs(answer)


@area.should("pipelining", "RFC 9112, 9.3.2: requests that are sent at once are answered in their order.")
def pipelining(t: Target) -> None:
    requests = []
    for id in "abcde":
        body = json.dumps(t.request(id=id)).encode()
        requests.append(_post(t, f"Content-Length: {len(body)}") + body)
    received = t.http.exchange(b"".join(requests), answers=5)
    require([success(answer).get("id") for answer in received] == list("abcde"), "answers a to e", f"{len(received)}")


@area.must("chunked", "RFC 9112, 7.1: a recipient must be able to parse the chunked transfer coding.")
def chunked(t: Target) -> None:
    body = _body(t)
    size = max(1, len(body) // BODY_PARTS)
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    parse_outputs(_only(t.http.exchange(_post(t, "Transfer-Encoding: chunked") + coded)))


@area.should("chunk-extensions", "RFC 9112, 7.1.1: unknown chunk extensions are ignored; trailers may follow.")
def chunk_extensions(t: Target) -> None:
    body = _body(t)
    coded = b"%x;name=value\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(body), body)
    parse_outputs(_only(t.http.exchange(_post(t, "Transfer-Encoding: chunked", "Trailer: X-Trailer") + coded)))


@area.should("expect-continue", "RFC 9110, 10.1.1: 100 Continue, or a final status, before the body is sent.")
def expect_continue(t: Target) -> None:
    body = _body(t)
    t.http.last_sent = "a head with Expect: 100-continue, then the body"
    with t.http.connect() as connection:
        connection.settimeout(SHORT_TIMEOUT_S)
        connection.sendall(_post(t, f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
        try:
            first = connection.recv(1000)
        except OSError as failure:
            raise Violation("HTTP/1.1 100 Continue", f"nothing for {SHORT_TIMEOUT_S:g} s") from failure
        require(first.split(b" ")[1:2] in ([b"100"], [b"417"]), "100 Continue", excerpt(first))
        connection.sendall(body)
        data = b""
        while chunk := connection.recv(65_536):
            data += chunk
    require(b"HTTP/1.1 200" in first + data, "status 200", excerpt(data))


@area.should("gzip", "A gzip body: an answer, or 415 or 400; never read as if it were JSON.")
def gzip_body(t: Target) -> None:
    answer = t.infer(gzip.compress(_body(t)), headers={"Content-Encoding": "gzip"})
    if answer.status == 200:
        parse_outputs(answer)
    else:
        error(answer, 400, 415)


@area.should("broken-gzip", "A body that is no gzip though it says so: 400 or 415.")
def broken_gzip(t: Target) -> None:
    error(t.infer(b"\x1f\x8b\x08broken", headers={"Content-Encoding": "gzip"}), 400, 415)


@area.should("unknown-encoding", "RFC 9110, 15.5.16: an unknown Content-Encoding is answered by 415.")
def unknown_encoding(t: Target) -> None:
    error(t.infer(_body(t), headers={"Content-Encoding": "zebra"}), 400, 415)


@area.should("accept-gzip", "With Accept-Encoding: gzip the answer is as it was, or in gzip.")
def accept_gzip(t: Target) -> None:
    answer = t.infer(t.request(), headers={"Accept-Encoding": "gzip, deflate"})
    if answer.headers.get("content-encoding") == "gzip":
        answer = Answer(answer.status, answer.headers, gzip.decompress(answer.body))
    parse_outputs(answer)


@area.must("header-case", "RFC 9110, 5.1: names of headers are case-insensitive.")
def header_case(t: Target) -> None:
    body = _body(t)
    head = _post(t, f"Content-Length: {len(body)}")
    head = head.replace(b"Content-Length", b"cOnTeNt-lEnGtH").replace(b"Content-Type", b"CONTENT-TYPE")
    parse_outputs(_only(t.http.exchange(head + body)))


@area.should("http-1.0", "RFC 9110, 2.5: a request of HTTP/1.0 is answered.")
def http_1_0(t: Target) -> None:
    body = _body(t)
    head = _post(t, f"Content-Length: {len(body)}").replace(b" HTTP/1.1", b" HTTP/1.0")
    parse_outputs(_only(t.http.exchange(head + body)))


@area.should("slow", "A request that arrives byte by byte is answered.")
def slow(t: Target) -> None:
    body = _body(t)
    head = _post(t, f"Content-Length: {len(body)}")
    parts = [head[:10], head[10:40], head[40:], *(body[i : i + 1] for i in range(20)), body[20:]]
    parse_outputs(_only(t.http.exchange(*parts, pause_s=0.005)))


@area.should("infer-methods", "RFC 9110, 15.5.6: inference by another method than POST is answered by 405.")
def infer_methods(t: Target) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        error(t.http.request(method, t.path("/infer"), b"{}"), 405)


@area.should("unknown-method", "RFC 9110, 9.1: an unknown method is answered by 501 or 405.")
def unknown_method(t: Target) -> None:
    answer = _only(t.http.exchange(t.http.head("BREW", t.path("/infer"), "Content-Length: 0")))
    require(answer.status in (400, 405, 501), "status 405 or 501", str(answer))


@area.should("head-length", "RFC 9110, 9.3.2: HEAD has the headers of GET and no body.")
def head_length(t: Target) -> None:
    get, head = t.http.get(t.path()), t.http.request("HEAD", t.path())
    require(head.status == get.status and not head.body, f"status {get.status} without a body", str(head))


@area.should("no-host", "RFC 9112, 3.2: a request of HTTP/1.1 without Host must be answered by 400.")
def no_host(t: Target) -> None:
    received = t.http.exchange(b"GET /v2/health/live HTTP/1.1\r\nConnection: close\r\n\r\n")
    require(received and received[0].status == 400, "status 400", [str(answer) for answer in received])


@area.should("two-lengths", "RFC 9112, 6.3: two different Content-Lengths are an unrecoverable error: 400.")
def two_lengths(t: Target) -> None:
    body = _body(t)
    _rejected(t, _post(t, f"Content-Length: {len(body)}", "Content-Length: 1") + body)


@area.should("bad-length", "RFC 9112, 6.3: a Content-Length that is no number is an unrecoverable error: 400.")
def bad_length(t: Target) -> None:
    for text in ("-1", "abc", "1e3", "9" * 40):
        _rejected(t, _post(t, f"Content-Length: {text}", "Connection: close") + _body(t), is_cut=True)


@area.should("bad-chunks", "RFC 9112, 7.1: a chunk size that is no hexadecimal number is an error.")
def bad_chunks(t: Target) -> None:
    for coded in (b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"f" * 40 + b"\r\n{}\r\n"):
        _rejected(t, _post(t, "Transfer-Encoding: chunked", "Connection: close") + coded, is_cut=True)


@area.should("length-and-chunks", "RFC 9112, 6.1: Transfer-Encoding overrides Content-Length, or both are an error.")
def length_and_chunks(t: Target) -> None:
    body = _body(t)
    coded = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for answer in t.http.exchange(_post(t, "Content-Length: 5", "Transfer-Encoding: chunked") + coded):
        require(answer.status in (200, 400), "status 200 or 400", str(answer))
    _is_alive(t)


@area.must("not-http", "What is no HTTP is answered by 400 or a closed connection, and the server goes on.")
def not_http(t: Target) -> None:
    for data in (
        b"\x00\x01\x02\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ):
        _rejected(t, data, is_cut=True)


@area.should("bad-header", "A header without a colon, or with NUL, is an error.")
def bad_header(t: Target) -> None:
    for line in ("no colon", "X-Nul: a\x00b", ": no name"):
        _rejected(t, t.http.head("GET", "v2/health/live", line, "Connection: close"))


@area.should("long-header", f"A header of {LONG_HEADER_CHARACTERS:,} characters: 431, 400, or an answer.")
def long_header(t: Target) -> None:
    line = "X-Long: " + "x" * LONG_HEADER_CHARACTERS
    for answer in t.http.exchange(t.http.head("GET", "v2/health/live", line, "Connection: close")):
        require(answer.status in (200, 400, 413, 431), "status 200, 400 or 431", str(answer))
    _is_alive(t)


@area.should("long-path", f"A path of {LONG_HEADER_CHARACTERS:,} characters: 404, 414, 400 or 431.")
def long_path(t: Target) -> None:
    head = t.http.head("GET", "v2/models/" + "x" * LONG_HEADER_CHARACTERS, "Connection: close")
    for answer in t.http.exchange(head):
        require(answer.status in (400, 404, 414, 431), "status 404 or 414", str(answer))
    _is_alive(t)


@area.should("many-headers", "Ten thousand headers: 431, 400, or an answer.")
def many_headers(t: Target) -> None:
    lines = [f"X-{number}: x" for number in range(10_000)]
    for answer in t.http.exchange(t.http.head("GET", "v2/health/live", *lines, "Connection: close")):
        require(answer.status in (200, 400, 413, 431), "status 200, 400 or 431", str(answer))
    _is_alive(t)


@area.must("paths-outside", "A name with dots and slashes reaches no file: an error.")
def paths_outside(t: Target) -> None:
    for path in ("v2/models/../../../etc/passwd", "v2/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "v2/models/..%5c..%5cx"):
        for answer in t.http.exchange(t.http.head("GET", path, "Connection: close")):
            require(400 <= answer.status < 500, "status 4xx", str(answer))


@area.should("bad-escapes", "An invalid percent-encoding in a path: an error.")
def bad_escapes(t: Target) -> None:
    for path in ("v2/models/%zz", "v2/models/%ff%fe", "v2/models/%00"):
        for answer in t.http.exchange(t.http.head("GET", path, "Connection: close")):
            require(400 <= answer.status < 500, "status 4xx", str(answer))


@area.must("aborted", "Clients that leave in the midst of a request do no harm.")
def aborted(t: Target) -> None:
    body = _body(t)
    request = _post(t, f"Content-Length: {len(body)}") + body
    for end in (5, 40, len(request) // 2, len(request) - 1, len(request)):
        with t.http.connect() as connection:
            connection.sendall(request[:end])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # resets when closed
    success(t.infer(t.request()))


@area.must("short-body", "A body shorter than its Content-Length is no request: an error or a closed connection.")
def short_body(t: Target) -> None:
    body = _body(t)
    received = t.http.exchange(_post(t, f"Content-Length: {len(body) + 10}") + body, is_cut=True)
    require(all(answer.status >= 400 for answer in received), "an error or none", [str(answer) for answer in received])
    _is_alive(t)


@area.must("alive", "After all requests of this suite the server is live, and answers a valid request.")
def alive(t: Target) -> None:
    _is_alive(t)
    success(t.infer(t.request()))
