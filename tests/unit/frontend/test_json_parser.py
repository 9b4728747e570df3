"""The tree of a text that may be half written, and the list of its syntax errors."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from jsonnx.frontend.json.json_parser import JsonParser, parse

SAMPLES = sorted((Path(__file__).parents[3] / "samples").glob("*.json"))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_valid_documents_have_their_values(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    root = parse(text)
    assert root is not None
    assert root.to_json() == json.loads(text)
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
        ('Here is the spec:\n```json\n{"a": 1}\n```', {"a": 1}),
        ('spec = {"a": 1}', {"a": 1}),
        ('{"a" = 1, # note\n "b": 2 /* unfinished', {"a": 1, "b": 2}),
        ("]}", None),
        ("", None),
        ("[1]]]] [2]", [1]),
    ],
)
def test_half_written_documents_have_the_value_that_is_meant(text: str, value: object) -> None:
    root = parse(text)
    assert (root.to_json() if root is not None else None) == value


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


def test_every_syntax_error_is_listed_with_its_repair() -> None:
    text = '{\'a\': True, // note\n b: [1 2,], "c": NaN, "c": 1'
    parser = JsonParser(text)
    parser.parse()
    assert [(error.offset, error.message) for error in parser.errors] == [
        (1, "a single quote"),
        (6, "'True' is not a JSON value"),
        (12, "a comment"),
        (21, "the key 'b' is not in double quotes"),
        (27, "a comma is missing before '2'"),
        (28, "a trailing comma"),
        (37, "'NaN' is not a JSON number"),
        (42, "the key 'c' is used twice in one object"),
        (len(text), "expected ',' or '}', but the text ends"),
    ]
    repairs = [error.repair and error.repair.text for error in parser.errors]
    assert repairs == ['"a"', "true", "", '"b"', ",", "", None, None, "}"]


def test_a_strict_parser_adds_to_the_tree_what_it_is_asked_for() -> None:
    text = '{"a": [1, {"b": 2}], "c": {"d": []}}'
    parser = JsonParser(text, is_strict=True)
    root = parser.parse()
    assert root is not None
    assert (parser.errors, root.end, root.members) == ([], len(text), [])
    assert [text[node.start : node.end] for node in parser.nodes(("a", 1, "x"))] == [text, '[1, {"b": 2}]', '{"b": 2}']
    assert [node.start for node in parser.nodes(("a", 1, "b"))] == [0, 6, 10, 16]
    assert [member.name for member in root.members] == ["a", "c"]
    assert root.at(("c", "d")) is None


def test_a_strict_parser_stops_at_the_first_error() -> None:
    parser = JsonParser('{"a": [1, {"b": 2}], "c": [tru, [3]], "d": nul', is_strict=True)
    root = parser.parse()
    assert root is not None
    assert [(error.offset, error.message) for error in parser.errors] == [(27, "'tru' is not a JSON value")]


@pytest.mark.parametrize("piece", ["{", '"', "'a ", "/*", "/* */", ",", "[1 ", '{"a":1,', "{a:1,", "}", "{} a ", "[\n"])
def test_a_text_without_sense_takes_linear_time(piece: str) -> None:
    text = "[" + piece * (100_000 // len(piece))
    start_seconds = time.process_time()
    parse(text)
    assert time.process_time() - start_seconds < 6
