"""Requests of a client to servers that are busy, slow, closing, encrypted, behind a proxy, or no servers of models."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest

CLOSE, HANG = b"", None
"""What a server does in place of an answer."""


def answer(status: int, document: Any, *headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


OK = answer(200, {"prediction": 5})


class Script:
    """A server that gives prepared answers, one for each request, over any number of connections."""

    def __init__(self, answers: Sequence[bytes | None], tls: ssl.SSLContext | None = None) -> None:
        self.answers, self.requests, self.connections = list(answers), [], 0
        self._listener, self._tls = socket.create_server(("127.0.0.1", 0)), tls
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    requests: list[bytes]

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as stream:
                while head := self._request(stream):
                    self.requests.append(head)
                    reply = self.answers.pop(0)
                    if reply is None:
                        time.sleep(5)
                    if not reply:
                        return
                    stream.sendall(reply)
        except OSError:
            pass

    @staticmethod
    def _request(stream: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            part = stream.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
        )
        while len(body) < length:
            body += stream.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._listener.close()


@contextmanager
def script(*answers: bytes | None, tls: ssl.SSLContext | None = None) -> Iterator[Script]:
    server = Script(answers, tls)
    yield server
    server.close()


def client_of(server: Script, scheme: str = "http", **options: Any) -> jsonnx.Client:
    return jsonnx.Client(f"{scheme}://127.0.0.1:{server.port}", **options)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(status: int) -> None:
    busy = answer(status, {"error": "full", "code": "queue-full"})
    with script(busy, busy, OK) as server:
        start = time.monotonic()
        assert client_of(server).predict({"a": 1}) == 5
        assert 0.15 <= time.monotonic() - start < 3  # 0.05 to 0.1 seconds, then 0.1 to 0.2
    assert len(server.requests) == 3
    assert server.connections == 1


def test_retry_after_is_honoured() -> None:
    with script(answer(503, {}, "Retry-After: 0.7"), OK) as server:
        start = time.monotonic()
        assert client_of(server).predict({"a": 1}) == 5
        assert 0.7 <= time.monotonic() - start < 4
    earliest_s = int(time.time()) + 2  # a date has whole seconds
    date = formatdate(earliest_s, usegmt=True)
    with script(answer(429, {}, f"Retry-After: {date}"), OK) as server:
        assert client_of(server).predict({"a": 1}) == 5
        assert earliest_s <= time.time() < earliest_s + 4


def test_repetitions_end() -> None:
    busy = answer(503, {"error": "full", "code": "queue-full", "help": "wait"}, "Retry-After: 0")
    with script(*[busy] * 3) as server, pytest.raises(jsonnx.ServerError) as caught:
        client_of(server, retries=2).predict({"a": 1})
    error = caught.value
    assert (error.status, error.code, error.message, error.help) == (503, "queue-full", "full", "wait")
    assert error.retry_after_s == 0
    assert len(server.requests) == 3


def test_a_wait_beyond_the_timeout_is_not_begun() -> None:
    with script(answer(503, {}, "Retry-After: 30")) as server, pytest.raises(jsonnx.ServerError):
        client_of(server, timeout=2).predict({"a": 1})
    assert len(server.requests) == 1


def test_other_errors_are_not_repeated() -> None:
    with (
        script(answer(500, {"error": "broken"})) as server,
        pytest.raises(jsonnx.ServerError, match="broken") as caught,
    ):
        client_of(server).predict({"a": 1})
    assert (caught.value.status, caught.value.code, len(server.requests)) == (500, "server-error", 1)


def test_a_slow_server() -> None:
    with script(HANG) as server, pytest.raises(jsonnx.ServerError, match=r"not answered within 0\.3 s") as caught:
        client_of(server, timeout=0.3).predict({"a": 1})
    assert (caught.value.status, caught.value.code) == (None, "server-unreachable")


def test_connections_that_the_server_has_closed_are_replaced() -> None:
    with script(OK, CLOSE, OK) as server:
        client = client_of(server)
        assert client.predict({"a": 1}) == client.predict({"a": 2}) == 5
    assert server.connections == 2
    with script(CLOSE) as server, pytest.raises(jsonnx.ServerError, match="cannot get an answer"):
        client_of(server).predict({"a": 1})  # not on a new connection
    assert len(server.requests) == 1


def test_a_connection_of_one_request() -> None:
    with script(answer(200, {"prediction": 1}, "Connection: close"), OK) as server:
        client = client_of(server)
        assert (client.predict({"a": 1}), client.predict({"a": 1})) == (1, 5)
    assert server.connections == 2


def test_a_body_that_is_refused_early() -> None:
    """The server answers, and closes, before it has read the body."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection = listener.accept()[0]
            connection.recv(1000)
            connection.sendall(answer(413, {"error": "too much", "code": "too-large"}, "Connection: close"))
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.5)
            connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        with pytest.raises(jsonnx.ServerError) as caught:
            jsonnx.Client(f"127.0.0.1:{listener.getsockname()[1]}").predict([{"a": "x" * 50_000_000}])
    assert (caught.value.status, caught.value.code) == (413, "too-large")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer(200, b"<html>"), "not a JSON object"),
        (answer(200, [1]), "not a JSON object"),
        (answer(200, {"x": 1}), "not an object with 'predictions'"),
        (answer(502, b"<html>Bad gateway"), "502 Reason"),
        (answer(404, b"no such page"), "no such page"),
        (answer(422, {"detail": [{"loc": ["body"]}]}), r'\[\{"loc": \["body"\]\}\]'),
        (answer(302, b"", "Location: /x"), "302 Reason"),
        (b"SSH-2.0-OpenSSH\r\n", "cannot get an answer"),
    ],
)
def test_answers_of_other_servers(reply: bytes, message: str) -> None:
    with script(reply) as server, pytest.raises(jsonnx.ServerError, match=message) as caught:
        client_of(server, timeout=5).predict({"a": 1})
    assert caught.value.code in ("server-error", "server-unreachable")


def test_headers() -> None:
    with script(OK) as server:
        client_of(server, token="abc", model="a b/c").predict({"a": float("nan"), "b": None})
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict/a%20b%2Fc HTTP/1.1\r\n")
    assert b"Authorization: Bearer abc" in head.splitlines()
    assert json.loads(body) == {"a": None, "b": None}


METADATA = answer(200, {"extensions": ["binary_tensor_data"]})


def infer_answer(outputs: list[dict[str, Any]], blob: bytes) -> bytes:
    header = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    return answer(200, header + blob, f"Inference-Header-Content-Length: {len(header)}")


def test_binary_tensors_of_other_servers() -> None:
    """Triton's answers: JSON and binary outputs mixed, texts, BF16."""
    outputs = [
        {"name": "a", "datatype": "FP16", "shape": [2], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "INT64", "shape": [1, 2], "data": [[3, 4]]},
        {"name": "c", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 13}},
        {"name": "d", "datatype": "BF16", "shape": [1], "parameters": {"binary_data_size": 2}},
        {"name": "e", "datatype": "BYTES", "shape": [2, 1], "data": [["x"], ["y"]]},
        {"name": "f", "datatype": "FP32", "shape": [2], "data": [1.5, None]},
    ]
    text = "ü".encode()
    blob = np.array([1, 2], np.float16).tobytes() + b"\2\0\0\0" + text + b"\3\0\0\0\xff\0\1"
    blob += (np.array([1.5], np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    model = answer(200, {"inputs": [{"name": "x", "datatype": "INT32", "shape": [-1]}]})
    with script(model, METADATA, infer_answer(outputs, blob)) as server:
        got = client_of(server, model="m").infer({"x": np.array([1, 2])})
    assert got["a"].tolist() == [1, 2]
    assert got["b"].tolist() == [[3, 4]]
    assert got["c"].tolist() == ["ü", b"\xff\0\1"]
    assert (got["d"].dtype, got["d"].tolist()) == (np.float32, [1.5])
    assert got["e"].tolist() == [["x"], ["y"]]
    np.testing.assert_array_equal(got["f"], np.array([1.5, np.nan], np.float32))
    head, _, body = server.requests[2].partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Header-Content-Length" in line.title())
    document = json.loads(body[:length])
    assert document["inputs"] == [
        {"name": "x", "shape": [2], "datatype": "INT32", "parameters": {"binary_data_size": 8}}
    ]
    assert document["parameters"] == {"binary_data_output": True}
    assert body[length:] == b"\1\0\0\0\2\0\0\0"


@pytest.mark.parametrize(
    ("outputs", "blob"),
    [
        ([{"name": "a", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}], b"\0\0"),
        ([{"name": "a", "datatype": "FP32", "shape": [3], "data": [1]}], b""),
        ([{"name": "a", "datatype": "WORD", "shape": [1], "data": [1]}], b""),
        ([{"name": "a", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 3}}], b"\0\0\0"),
        ([{"datatype": "FP32"}], b""),
    ],
)
def test_damaged_answers(outputs: list[dict[str, Any]], blob: bytes) -> None:
    model = answer(200, {"inputs": []})
    with (
        script(model, METADATA, infer_answer(outputs, blob)) as server,
        pytest.raises(jsonnx.ServerError, match="not one of the Open Inference Protocol"),
    ):
        client_of(server, model="m").infer({"x": np.array([1, 2])})


@pytest.mark.parametrize(
    ("datatype", "array", "message"),
    [
        ("INT32", np.array([1.5]), "numpy.rint"),
        ("INT8", np.array([300]), "beyond the range"),
        ("FP16", np.array([1.0]), "JSON cannot hold"),
        ("FP32", np.array([np.nan]), "JSON cannot hold NaN"),
    ],
)
def test_arrays_that_do_not_fit(datatype: str, array: np.ndarray, message: str) -> None:
    model = answer(200, {"inputs": [{"name": "x", "datatype": datatype, "shape": [-1]}]})
    with (
        script(model, answer(200, {"extensions": []})) as server,
        pytest.raises(jsonnx.UsageError, match=message) as caught,
    ):
        client_of(server, model="m").infer({"x": array})
    assert not isinstance(caught.value, jsonnx.ServerError)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody has signed, and the context of a server with it."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_certificates_are_verified(certificate: tuple[Path, ssl.SSLContext]) -> None:
    file, context = certificate
    with script(OK, tls=context) as server:
        assert client_of(server, "https", ca_file=file).predict({"a": 1}) == 5
        with pytest.raises(jsonnx.ServerError, match=r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
            client_of(server, "https").predict({"a": 1})


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    with script(OK) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert jsonnx.Client("http://models.example:8000/x").predict({"a": 1}) == 5
        assert proxy.requests[0].startswith(b"POST http://models.example:8000/x/predict HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in proxy.requests[0]
        with script(OK) as server:
            assert client_of(server).predict({"a": 1}) == 5  # this machine, without the proxy
        assert len(server.requests) == 1


def test_a_forked_process_opens_its_own_connection() -> None:
    with script(OK, OK, OK) as server:
        client = client_of(server)
        client.predict({"a": 1})
        child = os.fork()
        if not child:
            os._exit(0 if client.predict({"a": 2}) == 5 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.predict({"a": 3}) == 5
    assert server.connections == 2
