"""What no editor should send, and how the process ends."""

from __future__ import annotations

import json
import queue
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .lsp_client import FULL_CAPABILITIES, LspClient, LspError, position, utf16_length
from .specs import DIGITS, residual_network

URI = "file:///specs/hostile.json"
START = {"line": 0, "character": 0}
EVERYTHING = {"start": START, "end": {"line": 9999, "character": 0}}
INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR = -32603, -32600, -32700


def error_code(client: LspClient, request: int) -> int | None:
    """The code of the error that a request is answered with; None if it is not."""
    try:
        client.answer(request)
    except LspError as error:
        return error.code
    return None


def test_the_process_ends_with_its_input(tmp_path: Path) -> None:
    client = LspClient(arguments=["--log", str(tmp_path / "server.log")])
    client.open(URI, residual_network(3000))
    client.process.stdin.close()
    assert client.process.wait(20) == 0
    assert (tmp_path / "server.log").read_text() == ""


def test_exit_without_shutdown_is_a_failure() -> None:
    client = LspClient()
    client.notify("exit", None)
    assert client.process.wait(20) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="processes are watched by signals")
def test_the_process_ends_with_the_editor() -> None:
    editor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    client = LspClient(initialize=False)
    client.request("initialize", {"processId": editor.pid, "rootUri": None, "capabilities": {}})
    editor.send_signal(signal.SIGKILL)
    editor.wait()
    assert client.process.wait(20) == 1


def test_a_log_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jsonnx", "lsp", "--log", str(tmp_path / "missing" / "server.log")]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 2
    assert "cannot write" in result.stderr


def test_messages_that_cannot_be_handled_are_answered_or_ignored(client: LspClient) -> None:
    client.send_bytes(b"{")
    client.send_bytes(b"[]")
    client.send_bytes(b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": 3}}')
    client.send_bytes(b'{"jsonrpc": "2.0", "method": "unknown/notification", "params": null}')
    missing = {"textDocument": {"uri": "file:///never/opened.json", "version": 3}}
    client.notify("textDocument/didChange", {**missing, "contentChanges": [{"text": "x"}]})
    client.notify("textDocument/didClose", missing)
    for method, params in (("unknown/request", {}), ("textDocument/hover", {"textDocument": {"uri": 3}})):
        with pytest.raises(LspError):
            client.request(method, params)
    assert client.ask("hover", "file:///never/opened.json", position=START) is None
    assert client.diagnostics("file:///never/opened.json") == []


def test_requests_after_shutdown_and_a_second_initialize_are_errors() -> None:
    with LspClient() as client:
        parameters = {"processId": None, "rootUri": None, "capabilities": {}}
        assert error_code(client, client.start_request("initialize", parameters)) == INVALID_REQUEST
        client.open(URI, DIGITS)
        assert client.ask("documentSymbol", URI)
        client.request("shutdown", None)
        for method, params in (("textDocument/hover", {"textDocument": {"uri": URI}, "position": START}),):
            assert error_code(client, client.start_request(method, params)) == INVALID_REQUEST
        client.notify("exit", None)
        assert client.process.wait(20) == 0


@pytest.mark.parametrize("length", ["99999999999999", "9" * 5000, "268435457"])
def test_a_message_that_is_too_long_is_answered_and_ends_nothing(length: str) -> None:
    with LspClient() as client:
        client._responses[None] = queue.Queue()
        client.process.stdin.write(f"Content-Length: {length}\r\n\r\n".encode())
        client.process.stdin.flush()
        assert client._responses[None].get(timeout=20)["error"]["code"] == PARSE_ERROR
        client.open(URI, DIGITS)
        assert client.ask("documentSymbol", URI)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            '{"inputs": {"x": {"shape": [4], "description": "\ud83d"}}, "layers": [{"type": "Flatten"}]}',
            "invalid-encoding",
        ),
        ('{"inputs": {}, "layers": ' + "[" * 100_000, "too-deep"),
        ('{"inputs": {}, "layers": [' + '{"a": ' * 1000, "too-deep"),
        (
            '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 1' + "0" * 700 + "}]}",
            "invalid-number",
        ),
        ('{"inputs": {}, "layers": [1, 2,' + " " * 100_000, "invalid-json"),
        ('{"inputs": {}, "layers": ["' + '"' * 50_001, "invalid-json"),
        ('{"inputs": {}, "layers": [{"type": "' + "x" * 100_000 + '"}]}', "unknown-type"),
        ('{"inputs": {}, "layers": [{"type": 3, "from": {}, "name": [], "use": null}], "outputs": 7}', None),
        ('{"inputs": [], "layers": {}, "blocks": [3], "labels": 1, "training": {"loss": []}}', None),
        (
            '{"inputs": {"a": 1}, "layers": [[[[]]], null, {"type": {"a": {}}}], "blocks": {"b": {"layers": 1}}}',
            None,
        ),
    ],
)
def test_hostile_texts_have_diagnostics_and_break_nothing(client: LspClient, text: str, code: str | None) -> None:
    client.open(URI, text)
    diagnostics = client.diagnostics(URI)
    assert diagnostics
    assert code is None or code in [item["code"] for item in diagnostics]
    for offset in (0, 1, 12, len(text) // 2, len(text) - 1, len(text)):
        at = {"line": 0, "character": utf16_length(text[:offset])}
        for feature in ("hover", "completion", "definition", "prepareRename"):
            client.ask(feature, URI, position=at)
    for feature in ("documentSymbol", "foldingRange"):
        client.ask(feature, URI)
    client.ask("inlayHint", URI, range=EVERYTHING)
    client.ask("codeAction", URI, range=EVERYTHING, context={"diagnostics": []})
    client.close(URI)


def test_positions_outside_the_text_are_moved_into_it(client: LspClient) -> None:
    text = '{"inputs": {"x": {"shape": [4], "description": "\U0001f600\u2028"}},\r\n"layers": [{"type": "Flatten"}]}'
    client.open(URI, text)
    far = {"line": 10_000, "character": 2**31 - 1}
    client.change(URI, [{"range": {"start": far, "end": far}, "text": "\r\n"}])
    client.change(
        URI, [{"range": {"start": {"line": 0, "character": 2**31 - 1}, "end": far}, "text": ', "layers": []}'}]
    )
    inside = position(text, "\U0001f600")["character"] + 1
    client.change(
        URI,
        [{"range": {"start": {"line": 0, "character": inside}, "end": {"line": 0, "character": inside}}, "text": "?"}],
    )
    client.change(URI, [{"range": {"start": far, "end": START}, "text": ""}])  # start behind end
    client.change(URI, text)
    assert [item for item in client.diagnostics(URI) if item["severity"] == 1] == []
    client.close(URI)


def test_a_document_that_is_deleted_on_disk_remains_open(client: LspClient, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(DIGITS)
    client.open(file.as_uri(), DIGITS)
    file.unlink()
    tmp_path.rmdir()
    client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": file.as_uri(), "type": 3}]})
    client.change(file.as_uri(), DIGITS.replace("1]", "1 ]"))
    assert client.diagnostics(file.as_uri()) == []
    client.close(file.as_uri())


@pytest.mark.slow
def test_a_document_of_a_hundred_thousand_layers_does_not_hold_up_others() -> None:
    entry = '{"type": "Dense", "units": 8}'
    huge = '{"inputs": {"x": {"shape": [4]}}, "layers": [' + ",\n".join([entry] * 100_000) + "]}"
    with LspClient(FULL_CAPABILITIES) as client:
        client.open("file:///small.json", DIGITS)
        client.diagnostics("file:///small.json")
        client.open(URI, huge)
        checked = client.start_request("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        at = position(DIGITS, '"softmax"', 2)
        delays = []
        for _ in range(10):
            start = time.perf_counter()
            assert client.ask("hover", "file:///small.json", position=at) is not None
            delays.append(time.perf_counter() - start)
        assert sorted(delays)[5] < 1.0
        client.change(URI, '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 8}]}')
        assert client.answer(checked)["items"] == []
        client.change(URI, huge)
        assert [item["code"] for item in client.diagnostics(URI)] == ["too-large"]


def test_random_edits_lead_to_no_internal_error(client: LspClient) -> None:
    rng = random.Random(0)
    pieces = [
        "",
        '"',
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\r",
        "\u2028",
        "\U0001f600",
        "\ud83d",
        "\\",
        "0",
        '"type"',
        "${",
    ]
    features = ("hover", "completion", "definition", "prepareRename", "rename", "references")
    for _ in range(25):
        text = DIGITS
        for _ in range(3):
            start = rng.randrange(len(text))
            text = text[:start] + rng.choice(pieces) + text[start + rng.choice([0, 1, 5, 100]) :]
        client.open(URI, text)
        requests = [client.start_request("textDocument/diagnostic", {"textDocument": {"uri": URI}})]
        for feature in features:
            at = {"line": rng.randrange(40), "character": rng.randrange(60)}
            params = {
                "textDocument": {"uri": URI},
                "position": at,
                "newName": "other",
                "context": {"includeDeclaration": True},
            }
            requests.append(client.start_request(f"textDocument/{feature}", params))
        codes = [error_code(client, request) for request in requests]
        assert INTERNAL_ERROR not in codes, json.dumps(text)
        client.close(URI)
