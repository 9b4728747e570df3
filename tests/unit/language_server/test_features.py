"""Hints, hover, navigation, symbols, folding and formatting, as an editor asks for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .lsp_client import FULL_CAPABILITIES, LspClient, position, text_of_range, wait_until, with_edits
from .specs import DIGITS

URI = "file:///specs/digits.json"
EVERYTHING = {"start": {"line": 0, "character": 0}, "end": {"line": 9999, "character": 0}}
OPTIONS = {"tabSize": 2, "insertSpaces": True}


def hints(client: LspClient, uri: str = URI) -> dict[int, str]:
    """The hints of a document by line."""
    return {hint["position"]["line"]: hint["label"] for hint in client.ask("inlayHint", uri, range=EVERYTHING)}


def line_of(text: str, mark: str) -> int:
    return text[: text.index(mark)].count("\n")


def hover_text(client: LspClient, text: str, mark: str, offset: int = 1) -> str:
    answer = client.ask("hover", URI, position=position(text, mark, offset))
    return answer["contents"]["value"] if answer else ""


@pytest.fixture
def digits(client: LspClient) -> LspClient:
    """A client that has the spec of digits open and checked, with the costs of its layers."""
    client.requests.clear()
    client.open(URI, DIGITS)
    assert client.diagnostics(URI) == []
    assert wait_until(lambda: any(item["method"] == "workspace/inlayHint/refresh" for item in client.requests))
    return client


def test_hints_show_shapes_and_numbers_of_parameters_as_the_summary_does(digits: LspClient, tmp_path: Path) -> None:
    shown = hints(digits)
    assert shown[line_of(DIGITS, '"stage1", "filters"')] == "(batch, 28, 28, 16) · 192"
    assert shown[line_of(DIGITS, "GlobalAverage")] == "(batch, 8)"
    assert shown[line_of(DIGITS, '"hidden", "units"')] == "2x (batch, 16) · 416"
    assert shown[line_of(DIGITS, '"name": "conv"')] == "2x (batch, 28, 28, 16) … (batch, 28, 28, 8) · 1,320"
    (tmp_path / "digits.json").write_text(DIGITS)
    command = [sys.executable, "-m", "jsonnx", "summary", "--format", "json", str(tmp_path / "digits.json")]
    summary = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    rows = {row["name"]: row for row in summary["layers"]}
    hidden = rows["hidden_1"]["parameters"] + rows["hidden_2"]["parameters"]
    assert hidden == 416


def test_hints_remain_while_a_line_is_half_written(digits: LspClient) -> None:
    whole = hints(digits)
    digits.change(URI, DIGITS.replace('{"type": "GlobalAveragePooling2D"},', '{"type": "Glob'))
    line = line_of(DIGITS, "GlobalAverage")
    assert hints(digits) == {number: label for number, label in whole.items() if number != line}
    above = DIGITS.replace(
        '  "layers": [\n    {"type": "residual", "name": "stage1"',
        '  "layers": [\n    {"type": \n    {"type": "residual", "name": "stage1"',
    )
    digits.change(URI, above)
    shown = hints(digits)
    assert shown[line_of(above, '"digit", "units"')] == whole[line_of(DIGITS, '"digit", "units"')]


def test_hover_says_what_a_layer_computes_and_costs(digits: LspClient) -> None:
    text = hover_text(digits, DIGITS, '"Dense", "name": "digit"', 2)
    assert "`digit`: `(batch, 16)` → `(batch, 10)`" in text
    assert "170 parameters" in text
    assert "160 multiply-adds" in text
    assert "activation(x @ kernel + bias)" in text
    assert "- `units`: an integer, at least 1, required." in text
    block = hover_text(digits, DIGITS, '"residual", "name": "stage2"', 2)
    assert "A convolution and a shortcut." in block
    assert "`stage2`: `(batch, 28, 28, 16)` → `(batch, 28, 28, 8)`" in block


def test_hover_and_diagnostics_link_to_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSONNX_DOCS_URL", "https://docs.example/jsonnx/")
    with LspClient(FULL_CAPABILITIES) as client:
        client.open(URI, DIGITS.replace('"units": 10', '"unit": 10'))
        links = {item["code"]: item["codeDescription"]["href"] for item in client.diagnostics(URI)}
        assert links["unknown-key"] == "https://docs.example/jsonnx/reference/errors/unknown-key.html"
        text = hover_text(client, DIGITS, '"Dense", "name": "digit"', 2)
        assert text.endswith("[Documentation](https://docs.example/jsonnx/reference/layers/Dense.html)")


def test_without_an_address_of_the_site_there_are_no_links(digits: LspClient) -> None:
    assert "[Documentation]" not in hover_text(digits, DIGITS, '"Dense", "name": "digit"', 2)
    digits.change(URI, DIGITS.replace('"units": 10', '"unit": 10'))
    assert all("codeDescription" not in item for item in digits.diagnostics(URI))


@pytest.mark.parametrize(
    ("mark", "part"),
    [
        ('"kernel_size"', "**kernel_size**: an integer or an array of 2 integers"),
        ('"padding"', 'Default: `"valid"`'),
        ('"softmax"', "```python\ny = exp(x) / sum(exp(x), axis, keepdims=True)\n```"),
        ('"freeze"', "Patterns for the names of layers that are not trained"),
        ('"binary_crossentropy"', "(loss)"),
        ('"filters": 16', "Channels."),
        ('"hidden", "units": 1', "(batch, 16)"),
        ('"digit": "sparse', "**digit** (Dense)"),
        ('"stage1_*"', "**stage1** (residual)"),
        ('"image"', "**image** (input) `[28, 28, 1]`"),
        ('"monitor"', "**monitor**: a string"),
    ],
)
def test_hover_explains_keys_values_and_names(digits: LspClient, mark: str, part: str) -> None:
    assert part in hover_text(digits, DIGITS, mark, 2)


@pytest.mark.parametrize(
    ("mark", "target"),
    [
        ('"hidden", "units": 1', '"hidden"'),
        ('"digit", "even"]', '"digit"'),
        ('"digit": ["0"', '"digit"'),
        ('"stage1_*"', '"stage1"'),
        ('"val_digit_loss"', '"digit"'),
        ('"residual", "name": "stage1"', '"residual"'),
        ('"conv", "short"', '"conv"'),
        ('"sum"\n    }', '"sum"'),
    ],
)
def test_names_lead_to_their_definitions(digits: LspClient, mark: str, target: str) -> None:
    (found,) = digits.ask("definition", URI, position=position(DIGITS, mark, 2))
    assert text_of_range(DIGITS, found["range"]) == target


def test_references_are_all_places_that_refer_to_a_layer(digits: LspClient) -> None:
    at = position(DIGITS, '"digit", "units"', 2)
    found = digits.ask("references", URI, position=at, context={"includeDeclaration": True})
    texts = sorted(text_of_range(DIGITS, item["range"]) for item in found)
    assert texts == ['"digit"'] * 5 + ['"val_digit_loss"']


def test_symbols_have_layers_blocks_and_shapes(digits: LspClient) -> None:
    symbols = {item["name"]: item for item in digits.ask("documentSymbol", URI)}
    assert [child["name"] for child in symbols["layers"]["children"]][-3:] == ["hidden", "digit", "even"]
    assert symbols["layers"]["children"][-2]["detail"] == "Dense (batch, 10)"
    (block,) = symbols["blocks"]["children"]
    assert [child["name"] for child in block["children"]] == ["conv", "short", "sum"]
    folds = {(item["startLine"], item["endLine"]) for item in digits.ask("foldingRange", URI)}
    assert (line_of(DIGITS, '"layers": [\n    {"type": "residual"'), line_of(DIGITS, '"even", "from"')) in folds


def test_formatting_writes_what_fmt_writes(client: LspClient, tmp_path: Path) -> None:
    text = DIGITS.replace('{"image": {"shape": [28, 28, 1]}}', '{ "image":\r\n{"shape": [28,28,1]} }') + "\n\n"
    client.open(URI, text)
    formatted = with_edits(text, client.ask("formatting", URI, options=OPTIONS))
    file = tmp_path / "digits.json"
    file.write_bytes(text.encode())
    subprocess.run([sys.executable, "-m", "jsonnx", "fmt", str(file)], capture_output=True, check=True)
    assert formatted.encode() == file.read_bytes()
    client.change(URI, formatted)
    assert client.ask("formatting", URI, options=OPTIONS) == []
    client.change(URI, "{")
    assert client.ask("formatting", URI, options=OPTIONS) == []
