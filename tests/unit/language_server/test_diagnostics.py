"""Diagnostics as an editor sees them: pushed or asked for, at the right place, of the newest version."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lsp_client import FULL_CAPABILITIES, LspClient, edits_of, position, text_of_range, wait_until, with_edits
from .specs import DIGITS

URI = "file:///specs/digits.json"


def test_diagnostics_are_sent_to_an_editor_that_does_not_ask() -> None:
    with LspClient() as client:
        client.open(URI, DIGITS)
        assert client.pushed(URI) == []
        client.change(URI, DIGITS.replace('"softmax"', '"sofmax"'))
        (diagnostic,) = [item for item in client.pushed(URI, 2) if item["severity"] == 1]
        assert diagnostic["code"] == "unknown-type" or "sofmax" in diagnostic["message"]
        assert diagnostic["source"] == "jsonnx"
        client.close(URI)
        assert client.pushed(URI, 2) == []


def test_an_editor_that_asks_gets_the_newest_version(client: LspClient) -> None:
    client.open(URI, DIGITS)
    request = client.start_request("textDocument/diagnostic", {"textDocument": {"uri": URI}})
    broken = DIGITS.replace('"units": 10', '"units": -10')
    client.change(URI, broken)
    later = client.diagnostics(URI)
    assert [(item["code"], text_of_range(broken, item["range"])) for item in later if item["severity"] == 1] == [
        ("out-of-range", "-10")
    ]
    client.answer(request)
    report = client.ask("diagnostic", URI)
    assert client.ask("diagnostic", URI, previousResultId=report["resultId"])["kind"] == "unchanged"
    client.close(URI)


def test_every_change_of_a_burst_leads_to_the_diagnostics_of_the_last_text(client: LspClient) -> None:
    client.open(URI, DIGITS)
    at = position(DIGITS, '"units": 10', 11)
    for _ in range(30):
        client.change(URI, [{"range": {"start": at, "end": at}, "text": "0"}])
    text = DIGITS.replace('"units": 10', f'"units": 10{"0" * 30}')
    (error,) = [item for item in client.diagnostics(URI) if item["severity"] == 1]
    assert text_of_range(text, error["range"]) == f"10{'0' * 30}"
    client.close(URI)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", pytest.param("utf-16", marks=pytest.mark.slow), pytest.param("utf-32", marks=pytest.mark.slow)],
)
def test_positions_count_the_units_that_were_agreed_on(encoding: str) -> None:
    text = '{"inputs": {"x": {"shape": [4], "description": "\U0001f600 é"}}, "layers": [{"type": "Dens", "units": 3}]}'
    with LspClient({**FULL_CAPABILITIES, "general": {"positionEncodings": [encoding]}}) as client:
        assert client.capabilities["positionEncoding"] == encoding
        client.open(URI, text)
        (error,) = [item for item in client.diagnostics(URI) if "Dens" in item["message"]]
        start, end = (error["range"][key]["character"] for key in ("start", "end"))
        units = text.encode({"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding))
        size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
        assert units[size * start : size * end].decode(encoding if size == 1 else f"{encoding}-le") == '"Dens"'
        client.change(URI, [{"range": error["range"], "text": '"Dense"'}])
        assert not [item for item in client.diagnostics(URI) if "Dens" in item["message"]]


def test_a_half_written_line_has_one_error_at_its_place(client: LspClient) -> None:
    client.open(URI, DIGITS)
    text = DIGITS.replace('{"type": "GlobalAveragePooling2D"},', '{"type": "Glob')
    client.change(URI, text)
    (error,) = client.diagnostics(URI)
    assert error["range"]["start"]["line"] == DIGITS[: DIGITS.index("GlobalAverage")].count("\n")
    client.close(URI)


@pytest.mark.parametrize(
    ("uri", "language", "text", "is_spec"),
    [
        ("file:///package.json", "json", '{"name": "x", "layers": 3}', False),
        ("file:///style.json", "json", '{"version": 8, "layers": [{"type": "fill"}]}', False),
        ("file:///a.json", "json", "[1, 2", False),
        ("file:///a.json", "json", "", False),
        ("file:///a.py", "python", DIGITS, False),
        ("file:///a.json", "jsonc", '{"$schema": "../schemas/model.schema.json"}', True),
        ("untitled:Untitled-1", "json", '{"layers": [{"type": "Dense"}]}', True),
        ("file:///a.json", "json", '{"inputs": {}, "layers": [', True),
    ],
)
def test_only_specs_have_diagnostics(client: LspClient, uri: str, language: str, text: str, is_spec: bool) -> None:
    client.open(uri, text, language)
    assert bool(client.diagnostics(uri)) is is_spec
    at = {"line": 0, "character": 3}
    assert is_spec or client.ask("hover", uri, position=at) is None
    client.close(uri)


def test_a_vocabulary_in_an_open_buffer_counts(client: LspClient, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    spec = """{"inputs": {"t": {"shape": [4], "dtype": "string"}}, "layers": [
      {"type": "StringLookup", "vocabulary": "words.txt"}, {"type": "Embedding", "input_dim": 4, "output_dim": 2}]}"""
    uri, words = (tmp_path / "spec.json").as_uri(), (tmp_path / "words.txt").as_uri()
    client.open(uri, spec)
    before = client.diagnostics(uri)
    client.open(words, "a\nb\nc\nd\ne\n", "plaintext")
    after = client.diagnostics(uri)
    assert [item["code"] for item in before] != [item["code"] for item in after]
    assert wait_until(lambda: any(item["method"] == "workspace/diagnostic/refresh" for item in client.requests))
    target = client.ask("definition", uri, position=position(spec, "words.txt", 2))
    assert target[0]["uri"] == words
    client.close(words)
    client.close(uri)


def test_findings_of_the_lint_are_warnings(client: LspClient) -> None:
    text = DIGITS.replace('"lint": {"ignore": ["frozen-random-weights"]}', '"lint": {"ignore": []}')
    client.open(URI, text)
    (finding,) = client.diagnostics(URI)
    assert (finding["code"], finding["severity"]) == ("frozen-random-weights", 2)
    client.close(URI)


def test_the_configuration_of_the_rules_counts(client: LspClient, tmp_path: Path) -> None:
    uri = (tmp_path / "spec.json").as_uri()
    client.open(uri, DIGITS.replace('"frozen-random-weights"', ""))
    assert [item["code"] for item in client.diagnostics(uri)] == ["frozen-random-weights"]
    configuration = tmp_path / "jsonnx.toml"
    configuration.write_text('[lint]\nignore = ["frozen-random-weights"]\n')
    client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": configuration.as_uri(), "type": 1}]})
    assert client.diagnostics(uri) == []
    configuration.write_text("[lint\n")
    client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": configuration.as_uri(), "type": 2}]})
    assert [item["severity"] for item in client.diagnostics(uri)] == [1]
    client.close(uri)


def test_fixes_are_code_actions(client: LspClient) -> None:
    text = DIGITS.replace('"units": 10', '"unit": 10').replace('"activation": "sigmoid"', '"activaton": "sigmoid"')
    client.open(URI, text)
    errors = [item for item in client.diagnostics(URI) if item["severity"] == 1]
    place = next(item["range"] for item in errors if "'unit'" in item["message"])
    actions = client.ask("codeAction", URI, range=place, context={"diagnostics": errors})
    fixes = [action for action in actions if action["kind"] == "quickfix"]
    assert [with_edits(text, edits_of(action["edit"])) for action in fixes] == [text.replace('"unit"', '"units"')]
    (all_fixes,) = [action for action in actions if action["kind"] == "source.fixAll.jsonnx"]
    assert with_edits(text, edits_of(all_fixes["edit"])) == DIGITS
    only = client.ask("codeAction", URI, range=place, context={"diagnostics": [], "only": ["source.fixAll"]})
    assert [action["kind"] for action in only] == ["source.fixAll.jsonnx"]
    client.close(URI)


def test_all_fixes_together_check_anew_after_each_pass(client: LspClient) -> None:
    """`conv2d_1` exists once the type of the second layer is corrected; before, its name resembles `conv2d`."""
    layer = '{"type": "Conv2D", "filters": 1, "kernel_size": 3}'
    wrong = layer.replace('"type"', '"typ"').replace('"filters"', '"fliters"')
    text = f'{{"inputs": {{"x": {{"shape": [8, 8, 1]}}}}, "layers": [{layer}, {wrong}], "outputs": ["conv2d_1"]}}'
    client.open(URI, text)
    client.diagnostics(URI)
    place = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": len(text)}}
    (action,) = client.ask("codeAction", URI, range=place, context={"diagnostics": [], "only": ["source.fixAll"]})
    assert with_edits(text, edits_of(action["edit"])) == text.replace(wrong, layer)
    client.close(URI)
