"""`jsonnx serve` as a process: its start, permission, limits, log and end."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import grpc
import jsonnx
import pytest
from support.commands import jsonnx as command
from support.serve_process import ServeProcess, serve_process

CERTIFICATE = Path(__file__).parent / "localhost.pem"
"""A certificate for localhost, with its key, made for these tests alone."""
INFER = "/v2/models/m/infer"


def model_of(value: float) -> bytes:
    """A model whose output is a constant."""
    bias = {"type": "Constant", "value": value}
    dense = {"type": "Dense", "name": "y", "units": 1, "kernel_initializer": "zeros", "bias_initializer": bias}
    spec = {"inputs": {"x": {"shape": [2]}}, "layers": [{**dense, "from": "x"}], "outputs": ["y"]}
    return jsonnx.compile(spec).to_bytes()


def rows_of(count: int) -> dict[str, Any]:
    """The body of a request with rows."""
    data = [[1234.5, 6789.5]] * count
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [count, 2], "data": data}]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(model_of(3))
    return path


def half_sent(server: ServeProcess) -> tuple[socket.socket, bytes]:
    """A connection with a request whose body has not arrived, and the rest of the body."""
    body = json.dumps(rows_of(1)).encode()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    client.sendall(head + body[:10])
    end = time.monotonic() + 60
    while "jsonnx_requests_in_flight 2.0" not in server.request("GET", "/metrics").body.decode():
        assert time.monotonic() < end
        time.sleep(0.02)
    return client, body[10:]


def read_all(client: socket.socket) -> bytes:
    """What is answered until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_the_log_tells_of_the_models_and_of_each_request_without_its_values(model: Path) -> None:
    with serve_process(model) as server:
        (told,) = server.wait_for("model")
        assert (told["model"], told["version"], told["provider"]) == ("m", "1", "cpu")
        assert told["threads"] >= 1
        answer = server.request("POST", INFER, rows_of(3), {"X-Request-Id": "mine"})
        assert answer.json["outputs"][0]["data"] == [3, 3, 3]
        assert answer.headers["x-request-id"] == "mine"
        assert server.request("GET", "/nothing").json["code"] == "not-found"
        assert server.request("GET", INFER).status == 405
        first, second, third = server.wait_for("request", 3)
        assert (first["model"], first["version"], first["rows"], first["id"]) == ("m", "1", 3, "mine")
        assert (first["method"], first["path"], first["status"]) == ("POST", INFER, 200)
        assert first["bytes"] == len(answer.body)
        assert 0 < first["duration_s"] < 10
        assert (second["status"], second["code"]) == (404, "not-found")
        assert third["status"] == 405
        assert "1234.5" not in "".join(server.lines)
        metrics = server.request("GET", "/metrics").body.decode()
        for line in (
            'jsonnx_request_success_total{model="m",version="1"} 1.0',
            'jsonnx_rows_total{model="m",version="1"} 3.0',
            'jsonnx_model_ready{model="m",version="1"} 1.0',
            'jsonnx_http_responses_total{method="GET",status="404"} 1.0',
        ):
            assert line in metrics
        assert server.end(signal.SIGINT) == 0
        assert server.events("draining")


def test_a_port_serves_one_server(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = command("serve", str(model), "--port", port, status=2)
    assert "address-unavailable" in result.stderr
    assert "--port 0" in result.stderr


def test_other_machines_need_a_token_or_an_explicit_wish(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JSONNX_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "example.org"):
        assert "exposed-server" in command("serve", str(model), "--host", host, status=2).stderr
    with serve_process(model, "--host", "0.0.0.0", "--insecure") as server:
        assert server.request("GET", "/v2", headers={"Host": "models.example.org"}).status == 200
        assert not server.events("unencrypted")


@pytest.mark.parametrize("origin", ["file", "environment"])
def test_requests_need_the_token_but_probes_do_not(model: Path, tmp_path: Path, origin: str) -> None:
    (tmp_path / "token").write_text("abc-123\n")
    arguments = ["--token-file", tmp_path / "token"] if origin == "file" else []
    environment = {"JSONNX_TOKEN": "another" if origin == "file" else "abc-123"}
    with serve_process(model, *arguments, "--host", "0.0.0.0", env=environment) as server:
        assert server.request("GET", "/v2/health/ready").status == 200
        assert server.request("GET", "/v2/health/live").status == 200
        for path in ("/v2", "/metrics", "/v2/models/m"):
            answer = server.request("GET", path)
            assert (answer.status, answer.json["code"]) == (401, "wrong-token")
            assert server.request("GET", path, headers={"Authorization": "Bearer abc-123"}).status == 200
        assert server.request("POST", INFER, rows_of(1), {"Authorization": "Bearer abc-12"}).status == 401
        assert server.events("unencrypted")
        server.end()
        assert "abc-123" not in "".join(server.lines)


def test_bad_tokens_and_certificates_are_told(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    assert "bad-option" in command("serve", str(model), "--token-file", str(tmp_path / "empty"), status=2).stderr
    assert "unreadable-file" in command("serve", str(model), "--token-file", str(tmp_path / "no"), status=2).stderr
    for options, code in (
        (["--tls-certificate", str(model)], "bad-certificate"),
        (["--tls-certificate", str(CERTIFICATE), "--tls-key", str(model)], "bad-certificate"),
        (["--tls-certificate", str(tmp_path / "no.pem")], "unreadable-file"),
        (["--tls-key", str(CERTIFICATE)], "bad-option"),
    ):
        assert code in command("serve", str(model), "--port", "0", *options, status=2).stderr


def test_http_and_grpc_are_encrypted(model: Path) -> None:
    context = ssl.create_default_context(cafile=CERTIFICATE)
    with serve_process(model, "--tls-certificate", CERTIFICATE, "--grpc-port", "0", tls=context) as server:
        assert server.wait_for("ready")[0]["url"].startswith("https://")
        assert server.request("POST", INFER, rows_of(1)).json["outputs"][0]["data"] == [3]
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
            plain.sendall(b"GET /v2 HTTP/1.1\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP")
        credentials = grpc.ssl_channel_credentials(CERTIFICATE.read_bytes())
        with grpc.secure_channel(f"localhost:{server.wait_for('ready')[0]['grpc_port']}", credentials) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
        assert server.end() == 0


def test_rows_bodies_and_time_are_limited(model: Path) -> None:
    with serve_process(model, "--max-rows", 2, "--max-body", 0.01, "--timeout", 3) as server:
        assert server.request("POST", INFER, rows_of(2)).status == 200
        answer = server.request("POST", INFER, rows_of(3))
        assert (answer.status, answer.json["code"]) == (413, "too-large")
        answer = server.request("POST", INFER, rows_of(2000))
        assert (answer.status, answer.json["code"]) == (413, "too-large")
        client, _ = half_sent(server)
        with client:
            assert b'"code": "request-timeout"' in read_all(client)


def test_requests_that_have_arrived_are_answered_before_the_end(model: Path) -> None:
    with serve_process(model) as server:
        client, rest = half_sent(server)
        idle = server.connection()
        idle.connect()
        with client:
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            time.sleep(0.3)
            client.sendall(rest)
            answer = read_all(client)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer.lower()
        assert server.process.wait(30) == 0
        idle.close()


def test_load_balancers_may_have_time_to_learn_of_the_end(model: Path) -> None:
    with serve_process(model, "--drain-delay", 1.5) as server:
        assert server.request("GET", "/v2/health/ready").status == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        assert server.request("GET", "/v2/health/ready").status != 200
        assert server.request("GET", "/v2/health/live").status == 200
        answer = server.request("POST", INFER, rows_of(1))
        assert answer.json["outputs"][0]["data"] == [3]
        assert answer.headers["connection"] == "close"
        assert server.process.wait(30) == 0


def test_the_end_does_not_wait_longer_than_it_may(model: Path) -> None:
    with serve_process(model, "--drain", 1) as server:
        client, _ = half_sent(server)
        start = time.monotonic()
        with client:
            assert server.end() == 0
            assert 0.5 < time.monotonic() - start < 10
            answer = client.recv(65536)
        assert not answer or answer.startswith(b"HTTP/1.1 503 ")


def test_the_second_signal_ends_at_once(model: Path) -> None:
    with serve_process(model) as server:
        client, _ = half_sent(server)
        with client:
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            assert server.end() == 128 + signal.SIGTERM


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    result = command("serve", str(tmp_path / "m.onnx"), "--port", "0", status=1)
    assert "m.onnx" in result.stderr
