"""The tolerant reader, and positions in texts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from jsonnx.language_server.documents.documents import Document
from jsonnx.language_server.documents.positions import TextPositions
from jsonnx.language_server.documents.syntax_tree import parse
from lsprotocol import types

SAMPLES = sorted((Path(__file__).parents[3] / "samples").glob("*.json"))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_valid_documents_have_their_values(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    root = parse(text)
    assert root is not None
    assert root.value() == json.loads(text)
    for node in root.descendants():
        assert root.at(node.path) is node
        assert node.kind == "object" or node.kind == "array" or json.loads(text[node.start : node.end]) == node.scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{", {}),
        ('{"a": 1, "b": [1, {"c": ', {"a": 1, "b": [1, {}]}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": "b}\n, "c": 1}', {"a": "b"}),
        ('{"a" 1 "b": 2}', {"b": 2}),
        ('{"a":, "b": 2}', {"b": 2}),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}),
        ('[\n  {"x": 1, "y\n  {"x": 2},\n  {"x": [3,\n  {"x": 4}\n]', [{"x": 1}, {"x": 2}, {"x": [3]}, {"x": 4}]),
        ('{"a": [1, 2], }', {"a": [1, 2]}),
        ('{"a": tru, "b": .5, "c": NaN}', {}),
        ('// comment\n{/* another */ "a": 1}', {"a": 1}),
        ("{a: 1}", {"a": 1}),
        ("]}", None),
        ("", None),
        ("[1]]]] [2]", [1]),
    ],
)
def test_half_written_documents_have_the_value_that_is_meant(text: str, value: object) -> None:
    root = parse(text)
    assert (root.value() if root is not None else None) == value


def test_no_text_breaks_the_reader() -> None:
    rng = random.Random(0)
    pieces = [
        "{",
        "}",
        "[",
        "]",
        '"',
        '"a"',
        ":",
        ",",
        "\n",
        " ",
        "1",
        "x",
        "\\",
        "\ud800",
        "/*",
        "//",
        "\u2028",
        "null",
    ]
    for _ in range(2000):
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(30)))
        root = parse(text)
        for node in root.descendants() if root is not None else ():
            assert 0 <= node.start <= node.end <= len(text)
            assert root is not None
            assert root.at(node.path) is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_lead_back_to_their_offsets(encoding: str) -> None:
    text = "a\U0001f600\r\n\ud83d é\r\u2028b\n\n\U0001f600"
    positions = TextPositions(text, encoding)
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":  # between the characters of a line end
            assert positions.offset(positions.position(offset)) == offset
    assert positions.line_count == 5
    assert positions.position(len(text)).line == 4


def test_changes_apply_one_after_another() -> None:
    rng = random.Random(0)
    document = Document("file:///a.json", "json", 1, "", "utf-16")
    model = ""
    for version in range(300):
        start = rng.randrange(len(model) + 1)
        end = min(len(model), start + rng.choice([0, 0, 1, 5]))
        while model[start - 1 : start + 1] == "\r\n" or model[end - 1 : end + 1] == "\r\n":
            start, end = max(start - 1, 0), min(end + 1, len(model))
        text = rng.choice(["x", "\n", "\r\n", "\U0001f600", "é", "", "\u2028"])
        changed = types.TextDocumentContentChangePartial(document.positions.range(start, end), text)
        document = document.with_changes([changed], version)
        model = model[:start] + text + model[end:]
        assert document.text == model
