"""`jsonnx conform` against `jsonnx serve`, and against servers that break the protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonnx.cli import main
from jsonnx.conformance import cases
from jsonnx.conformance.case import CASES, Level
from jsonnx.conformance.grpc_client import GrpcClient
from jsonnx.conformance.run import Result, Verdict, http_client, run_suite
from jsonnx.conformance.target import Target, discover
from support.served_models import COLOURS, REVIEWS, save_model, save_several
from support.served_process import ServedProcess

assert cases

MIN_CASES = 300
NOT_APPLICABLE = {
    *("health/without-token", "health/inference-needs-token"),
    *("binary/fp16", "infer/bytes-as-text"),
}
"""Cases that need a token, or a model with FP16 or an output of strings."""
TIMEOUT_S = 15


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    folder = tmp_path_factory.mktemp("models")
    saved = [save_model(spec, folder / f"{name}.onnx") for name, spec in (("colours", COLOURS), ("reviews", REVIEWS))]
    models = [str(file) for file in (*saved, save_several(folder))]
    with ServedProcess(models, grpc=True, log=folder / "log") as process:
        yield process


def target_of(server: ServedProcess, model: str) -> Target:
    target = discover(http_client(server.url, None, TIMEOUT_S), model)
    target.grpc = GrpcClient(server.grpc_address, None, TIMEOUT_S)
    target.reloads = True
    return target


def violations(results: list[Result]) -> list[str]:
    found = [result for result in results if result.verdict is Verdict.VIOLATED]
    return [f"{result.case.id}: {result.expected}; {result.seen}" for result in found]


def test_our_server_holds_all_cases(server: ServedProcess) -> None:
    held = set()
    for model in ("colours", "reviews", "several"):
        results = run_suite(target_of(server, model))
        assert violations(results) == []
        held |= {result.case.id for result in results if result.verdict is Verdict.HOLDS}
    unheld = set(CASES) - held
    assert unheld <= NOT_APPLICABLE


def test_a_case_has_a_rule() -> None:
    assert len(CASES) >= MIN_CASES
    for case in CASES.values():
        assert case.rule.endswith((".", "#optional", "}", "]")), case.id
        assert (case.level is Level.EXTENSION) == (case.extension not in (None, "gRPC")), case.id


def test_the_command_prints_a_table(server: ServedProcess) -> None:
    result = CliRunner().invoke(main, ["conform", server.url, "--only", "health/"])
    assert result.exit_code == 0, result.output
    assert "health     12         -            -               2" in result.output
    listed = CliRunner().invoke(main, ["conform", "--list"])
    assert len(listed.output.splitlines()) == len(CASES)


# -- servers that break the protocol -----------------------------------------------------------------------------------


class Broken(BaseHTTPRequestHandler):
    """Answers every request by the same status and body."""

    protocol_version = "HTTP/1.1"
    body = b"{}"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None:
        """Is silent."""


@pytest.fixture
def broken() -> Iterator[str]:
    metadata = {
        "name": "m",
        "platform": "x_y",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }
    output = {**metadata["outputs"][0], "shape": [2, 1], "data": [1]}
    Broken.body = json.dumps({**metadata, "outputs": [output]}).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_accepts_all_requests_violates_the_protocol(broken: str) -> None:
    arguments = ["conform", broken, "--model", "m", "--only", "mistake/", "--only", "infer/outputs", "--format", "json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    verdicts = {entry["id"]: entry for entry in json.loads(result.output)}
    assert verdicts["mistake/less-data"]["verdict"] == "violated"
    assert verdicts["mistake/less-data"]["expected"] == "a status of an error, typically 400"
    assert verdicts["mistake/less-data"]["sent"].startswith("POST v2/models/m/infer")
    assert verdicts["infer/outputs"]["expected"] == "2 elements for shape (2, 1)"


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["conform", "http://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "error[server-unreachable]: cannot connect to http://127.0.0.1:9: [Errno 111]" in result.output
    result = CliRunner().invoke(main, ["conform", "https://127.0.0.1:9", "--ca-file", str(tmp_path / "none.pem")])
    assert "error[unreadable-file]" in result.output


def test_a_server_without_a_list_of_models_needs_the_name_of_one(broken: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["conform", broken])
    assert result.exit_code == 2
    assert "error[no-model-to-test]" in result.output
    request = tmp_path / "request.json"
    request.write_text('{"inputs": [{"name": "x"}]}')
    result = CliRunner().invoke(main, ["conform", broken, "--model", "m", "--request", str(request)])
    assert result.exit_code == 2
    assert "error[invalid-request-file]" in result.output


def test_a_server_that_demands_a_token_is_asked_with_one(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-secret-of-more-than-sixteen-letters\n")
    token.chmod(0o600)
    model = save_model(COLOURS, tmp_path / "colours.onnx")
    with ServedProcess([str(model)], "--token-file", str(token), log=tmp_path / "log") as server:
        result = CliRunner().invoke(main, ["conform", server.url])
        assert result.exit_code == 2
        assert "error[no-model-to-test]: the server demands a token" in result.output
        arguments = ["conform", server.url, "--token-file", str(token), "--only", "health/"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert "health     14" in result.output
