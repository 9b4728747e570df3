"""A server and clients on a real port."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.server.grpc.grpc_server import GrpcServer
from jsonnx.server.grpc.messages import DATA_TYPES, HEALTH_SERVICE, MESSAGES, SERVICE
from jsonnx.server.monitoring.request_record import current_request
from unit.server.grpc.grpc_server_thread import Client, ServerThread, running

LEAF = np.array([[1, 2], [3, 4]], "float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerThread]:
    """A server for tests that leave it as it is."""
    with running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ServerThread) -> Client:
    return server.client()


def flowers(array: np.ndarray = LEAF, **fields: Any) -> dict[str, Any]:
    """A request with raw values."""
    inputs = [{"name": "leaf", "datatype": "FP32", "shape": array.shape}]
    return {"model_name": "flowers", "inputs": inputs, "raw_input_contents": [array.tobytes()], **fields}


def kinds(answer: Any, index: int = 0) -> np.ndarray:
    return np.frombuffer(answer.raw_output_contents[index], "float32").reshape(answer.outputs[index].shape)


def test_health_and_metadata(client: Client) -> None:
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", name="flowers").ready
    assert client.call("ModelReady", name="flowers", version="1").ready
    assert client.call("Check", None, HEALTH_SERVICE).status == 1
    assert client.call("Check", None, HEALTH_SERVICE, service="words").status == 1
    assert client.error("Check", None, HEALTH_SERVICE, service="unknown").code() is grpc.StatusCode.NOT_FOUND
    server = client.call("ServerMetadata")
    assert (server.name, "classification" in server.extensions) == ("jsonnx", True)
    model = client.call("ModelMetadata", name="flowers")
    assert (model.name, model.platform, list(model.versions)) == ("flowers", "onnxruntime_onnx", ["1"])
    assert [(item.name, item.datatype, list(item.shape)) for item in model.inputs] == [("leaf", "FP32", [-1, 2])]
    assert [(item.name, item.datatype, list(item.shape)) for item in model.outputs] == [("kind", "FP32", [-1, 3])]


def test_the_configuration(client: Client) -> None:
    config = client.call("ModelConfig", name="words").config
    assert (config.name, config.platform, config.max_batch_size) == ("words", "onnxruntime_onnx", 0)
    assert [(item.name, DATA_TYPES[item.data_type], list(item.dims)) for item in config.input] == [
        ("word", "TYPE_STRING", [-1])
    ]
    assert [(item.name, DATA_TYPES[item.data_type], list(item.dims)) for item in config.output] == [
        ("place", "TYPE_INT64", [-1])
    ]
    assert client.error("ModelConfig", name="word").code() is grpc.StatusCode.NOT_FOUND


def test_raw_requests_have_raw_answers(server: ServerThread, client: Client) -> None:
    answer = client.call("ModelInfer", **flowers(id="7"))
    assert (answer.model_name, answer.model_version, answer.id) == ("flowers", "1", "7")
    expected = server.service.repository.model("flowers").served.run({"leaf": LEAF})["kind"]
    assert np.array_equal(kinds(answer), expected)


def test_typed_requests_have_typed_answers(client: Client) -> None:
    words = {"name": "word", "datatype": "BYTES", "shape": [3], "contents": {"bytes_contents": [b"b", b"?", b"a"]}}
    answer = client.call("ModelInfer", model_name="words", inputs=[words])
    assert list(answer.outputs[0].contents.int64_contents) == [2, 0, 1]
    assert not answer.raw_output_contents


def test_classes_and_requested_outputs(client: Client) -> None:
    outputs = [{"name": "kind", "parameters": {"classification": {"int64_param": 2}}}]
    answer = client.call("ModelInfer", **flowers(outputs=outputs))
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("BYTES", [2, 2])
    text = answer.raw_output_contents[0]
    assert any(label in text for label in (b"rose", b"tulip", b"lily"))


ERRORS: dict[str, tuple[dict[str, Any], str, str]] = {
    "model": ({"model_name": "flower"}, "NOT_FOUND", "unknown-model: there is no model 'flower'; did you mean"),
    "version": (flowers(model_version="9"), "NOT_FOUND", "unknown-version: the model 'flowers' has no version '9'"),
    "no inputs": ({"model_name": "flowers"}, "INVALID_ARGUMENT", "bad-feed: the request lacks the input 'leaf'"),
    "shape": (flowers(LEAF[:, :1]), "INVALID_ARGUMENT", "bad-feed: the input 'leaf' has the shape [2, 1]"),
    "output": (flowers(outputs=[{"name": "kin"}]), "INVALID_ARGUMENT", "has no output 'kin'; did you mean 'kind'?"),
    "raw": (flowers(raw_input_contents=[b"1"]), "INVALID_ARGUMENT", "so 16 bytes, but 1 are given"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(client: Client, case: str) -> None:
    fields, code, text = ERRORS[case]
    error = client.error("ModelInfer", **fields)
    assert error.code() is grpc.StatusCode[code]
    assert text in error.details()
    assert dict(error.trailing_metadata())["error-code"] == error.details().partition(":")[0]


def test_bytes_that_are_no_message(client: Client) -> None:
    for data in (b"\xff", b"\x0a\x01\xff", b"\x2a\x05abc"):  # a cut number, bytes that are not UTF-8, a cut message
        error = client.error("ModelInfer", data)
        assert (error.code(), dict(error.trailing_metadata())["error-code"]) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "bad-request",
        )


@pytest.mark.parametrize("seed", range(4))
def test_damaged_messages_are_the_client_s_fault(client: Client, seed: int) -> None:
    """Bytes are replaced, inserted and cut off; the server answers, or says what is wrong."""
    draw = random.Random(seed)
    words = {"name": "word", "datatype": "BYTES", "shape": [2], "contents": {"bytes_contents": [b"a", b"q"]}}
    outputs = [{"name": "place", "parameters": {"classification": {"int64_param": 1}}}]
    message = MESSAGES["ModelInferRequest"]
    requests = [message(**flowers()), message(model_name="words", inputs=[words], outputs=outputs)]
    allowed = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    failures: list[tuple[Any, ...]] = []
    for _ in range(300):
        data = bytearray(draw.choice(requests).SerializeToString())
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data) + 1)
            data[place : place + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 3))
        try:
            client.call("ModelInfer", bytes(data))
        except grpc.RpcError as error:
            failures.append((error.code(), error.details(), bytes(data)))
    assert len(failures) > 100
    assert [failure for failure in failures if failure[0] not in allowed] == []


def test_unknown_calls(client: Client) -> None:
    assert client.error("ServerLive", b"", "inference.Unknown").code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_long_name_in_an_error(client: Client) -> None:
    error = client.error("ModelInfer", model_name="ü" * 100_000)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details().startswith("unknown-model: ")


def test_a_message_beyond_the_limit(folder: Path) -> None:
    rows = np.zeros((100_000, 2), "float32")
    with running(folder, max_body_bytes=100_000) as server:
        assert server.client().error("ModelInfer", **flowers(rows)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        compressed = server.client(compression=grpc.Compression.Gzip)  # 800 kB of zeros are sent as 1 kB
        assert compressed.error("ModelInfer", **flowers(rows)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert kinds(compressed.call("ModelInfer", **flowers(rows[:8]))).shape == (8, 3)


def test_too_many_rows(folder: Path) -> None:
    with running(folder, max_rows=4) as server:
        error = server.client().error("ModelInfer", **flowers(np.zeros((5, 2), "float32")))
        assert (error.code(), error.details().partition(":")[0]) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too-large")


def test_a_token(folder: Path) -> None:
    with running(folder, token="secret") as server:
        for name in ("ServerLive", "ServerReady"):
            server.client().call(name)
        server.client().call("Check", None, HEALTH_SERVICE)
        for metadata in ((), [("authorization", "Bearer wrong")], [("authorization", "secret")]):
            for name in ("ServerMetadata", "ModelReady", "ModelInfer", "RepositoryIndex", "RepositoryModelUnload"):
                error = server.client(metadata=metadata).error(name)
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED
                assert "secret" not in error.details()
        allowed = server.client(metadata=[("authorization", "Bearer secret")])
        assert allowed.call("ServerMetadata").name == "jsonnx"
        assert len(allowed.call("ModelInfer", **flowers()).outputs) == 1


def test_the_repository(folder: Path) -> None:
    with running(folder) as server:
        client = server.client()
        assert [(item.name, item.state) for item in client.call("RepositoryIndex").models] == [
            ("flowers", "READY"),
            ("words", "READY"),
        ]
        client.call("RepositoryModelUnload", model_name="words")
        assert [item.name for item in client.call("RepositoryIndex", ready=True).models] == ["flowers"]
        assert not client.call("ModelReady", name="words").ready
        assert client.call("Check", None, HEALTH_SERVICE, service="words").status == 2
        error = client.error("ModelInfer", model_name="words")
        assert (error.code(), error.details().partition(":")[0]) == (grpc.StatusCode.UNAVAILABLE, "model-unavailable")
        client.call("RepositoryModelLoad", model_name="words")
        assert client.call("ModelReady", name="words").ready
        assert client.error("RepositoryModelLoad", model_name="unknown").code() is grpc.StatusCode.NOT_FOUND
        assert client.error("RepositoryModelUnload", model_name="unknown").code() is grpc.StatusCode.NOT_FOUND
        assert client.error("RepositoryIndex", repository_name="r").code() is grpc.StatusCode.NOT_FOUND
        parameters = {"config": {"string_param": "{}"}}
        error = client.error("RepositoryModelLoad", model_name="words", parameters=parameters)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_bug_is_no_traceback_for_clients(
    server: ServerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.service, "server_metadata", lambda: {"name": 1 / 0})
    error = client.error("ServerMetadata")
    assert error.code() is grpc.StatusCode.INTERNAL
    id = dict(error.trailing_metadata())["x-request-id"]
    assert (
        error.details() == f"internal-error: the server has a bug; the server's log has its details, with the id {id}"
    )


class Slow:
    """Replaces the runs of a model: each waits for `end`."""

    def __init__(self, server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        loaded = server.service.repository.model("flowers")
        run = loaded.batcher._run

        def slow(feeds: Any) -> Any:
            self.begun.set()
            assert self.end.wait(20)
            return run(feeds)

        monkeypatch.setattr(loaded.batcher, "_run", slow)


def test_the_deadlines_of_client_and_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(folder, timeout_s=5) as server:
        given: list[float] = []

        async def infer(request: Any) -> Any:
            record = current_request.get()
            assert record is not None
            given.append(record.deadline_s - time.monotonic())
            raise ZeroDivisionError

        monkeypatch.setattr(server.service, "infer", infer)
        for timeout in (2, 60, None):
            server.client(timeout=timeout).error("ModelInfer", **flowers())
        assert [round(seconds) for seconds in given] == [2, 5, 5]


def test_a_call_that_its_client_cancels_is_dropped(server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def infer(request: Any) -> Any:
        begun.set()
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    monkeypatch.setattr(server.service, "infer", infer)
    request = MESSAGES["ModelInferRequest"](**flowers()).SerializeToString()
    call = server.client().channel.unary_unary(f"/{SERVICE}/ModelInfer").future(request)
    assert begun.wait(10)
    call.cancel()
    assert cancelled.wait(10)


def test_every_call_has_an_id_a_line_in_the_log_and_a_count(folder: Path) -> None:
    with running(folder, token="secret") as server:
        metadata = [("authorization", "Bearer secret"), ("x-request-id", "mine-1")]
        _, call = server.client(metadata=metadata).call_with("ModelInfer", **flowers())
        assert dict(call.trailing_metadata())["x-request-id"] == "mine-1"
        error = server.client(metadata=metadata[:1]).error("ModelInfer", model_name="unknown")
        server.client().error("ServerMetadata")
        lines, (metrics, _) = server.log(), server.monitors.metrics.render()
    ids = [line["id"] for line in lines]
    assert ids[:2] == ["mine-1", dict(error.trailing_metadata())["x-request-id"]]
    wanted = ("method", "path", "status", "model", "rows", "code", "client")
    assert [[line.get(key) for key in wanted] for line in lines] == [
        ["gRPC", f"/{SERVICE}/ModelInfer", 200, "flowers", 2, None, "127.0.0.1"],
        ["gRPC", f"/{SERVICE}/ModelInfer", 404, None, None, "unknown-model", "127.0.0.1"],
        ["gRPC", f"/{SERVICE}/ServerMetadata", 401, None, None, "wrong-token", "127.0.0.1"],
    ]
    assert "secret" not in json.dumps(lines)
    for line in (
        'jsonnx_grpc_responses_total{call="ModelInfer",status="OK"} 1.0',
        'jsonnx_grpc_responses_total{call="ModelInfer",status="NOT_FOUND"} 1.0',
        'jsonnx_grpc_responses_total{call="ServerMetadata",status="UNAUTHENTICATED"} 1.0',
        "jsonnx_grpc_call_seconds_count 3.0",
        "jsonnx_requests_in_flight 0.0",
    ):
        assert f"\n{line}\n" in metrics.decode()


def test_a_cancelled_call_is_in_the_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(folder) as server:
        slow = Slow(server, monkeypatch)
        request = MESSAGES["ModelInferRequest"](**flowers()).SerializeToString()
        call = server.client().channel.unary_unary(f"/{SERVICE}/ModelInfer").future(request)
        assert slow.begun.wait(10)
        call.cancel()
        until = time.monotonic() + 10
        while server.monitors.metrics.requests_in_flight and time.monotonic() < until:
            time.sleep(0.01)
        slow.end.set()
        metrics = server.monitors.metrics.render()[0].decode()
        assert 'jsonnx_grpc_responses_total{call="ModelInfer",status="CANCELLED"} 1.0' in metrics
        assert server.log()[0]["status"] == 499


@pytest.mark.parametrize("has_key_file", [True, False])
def test_tls(folder: Path, tmp_path: Path, has_key_file: bool) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        *subject,
    ]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    chain = certificate.read_bytes()
    if not has_key_file:
        certificate.write_bytes(chain + key.read_bytes())
    with running(folder, tls_certificate=certificate, tls_key=key if has_key_file else None) as server:
        assert server.client(timeout=3).error("ServerLive").code() is grpc.StatusCode.UNAVAILABLE
        credentials = grpc.ssl_channel_credentials(chain)
        with grpc.secure_channel(f"localhost:{server.server.port}", credentials) as channel:
            answer = channel.unary_unary(f"/{SERVICE}/ServerLive")(b"", timeout=10)
        assert MESSAGES["ServerLiveResponse"].FromString(answer).live


def test_the_server_ends_what_takes_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(folder, timeout_s=0.3) as server:
        slow = Slow(server, monkeypatch)
        error = server.client().error("ModelInfer", **flowers())
        slow.end.set()
        assert (error.code(), error.details()) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "request-timeout: the request was not answered within 0.3 s; send fewer rows at once, or give the server "
            "--timeout",
        )


def test_a_client_whose_deadline_passes_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(folder) as server:
        slow = Slow(server, monkeypatch)
        assert server.client(timeout=0.3).error("ModelInfer", **flowers()).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        slow.end.set()
        assert server.client().call("ModelInfer", **flowers()).outputs[0].name == "kind"


def test_the_end_waits_for_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(folder) as server, ThreadPoolExecutor() as threads:
        slow = Slow(server, monkeypatch)
        answer = threads.submit(server.client().call, "ModelInfer", **flowers())
        assert slow.begun.wait(10)
        end = threads.submit(server.run, server.server.stop(10))
        time.sleep(0.2)
        refused = server.client(timeout=5).error("ServerMetadata")
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert refused.details() == "shutting-down: the server is ending; send the request to another one"
        assert server.client().call("ServerLive").live
        assert not end.done()
        slow.end.set()
        assert answer.result(10).outputs[0].name == "kind"
        end.result(10)


def test_too_many_calls_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(folder, max_connections=1) as server, ThreadPoolExecutor() as threads:
        slow = Slow(server, monkeypatch)
        answer = threads.submit(server.client().call, "ModelInfer", **flowers())
        assert slow.begun.wait(10)
        assert server.client().error("ServerLive").code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        slow.end.set()
        assert answer.result(10).outputs[0].name == "kind"
        assert server.client().call("ServerLive").live


def test_many_clients_at_once(client: Client) -> None:
    arrays = [np.array([[index, 1]], "float32") for index in range(64)]
    expected = kinds(client.call("ModelInfer", **flowers(np.concatenate(arrays))))
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda array: client.call("ModelInfer", **flowers(array)), arrays))
    assert np.array_equal(np.concatenate([kinds(answer) for answer in answers]), expected)


def test_a_port_that_is_taken(server: ServerThread) -> None:
    async def start() -> None:
        GrpcServer(server.service, replace(server.options, grpc_port=server.server.port), server.monitors)

    with pytest.raises(UsageError, match="cannot listen for gRPC on") as raised:
        server.run(start())
    assert raised.value.diagnostic.help == "--grpc-port 0 takes a free port"
