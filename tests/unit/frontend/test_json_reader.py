"""The JSON reader: invalid texts of every kind with their positions, and the positions of values."""

from __future__ import annotations

import contextlib
import enum
import io
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import CompileError, Diagnostic, UsageError
from jsonnx.frontend.json import json_reader
from jsonnx.frontend.json.json_reader import Limits, from_value, read_file, read_text

SPEC = """{
  "name": "m\\u00fcll \\ud83d\\ude00 \\"x\\" é",
  "inputs": {"image": {"shape": [28, 28, 1], "dtype": "float32"}},
  "layers": [
    {"type": "Dense", "units": 10, "rate": 2.5e-3, "bias": true, "init": null},\r
    {"type": "Dense", "units": -1, "tags": [], "extra": {}}
  ]
}"""


def error_of(text: str | bytes, **limits: int) -> Diagnostic:
    with pytest.raises(CompileError) as caught:
        read_text(text, "net.json", Limits(**limits))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.file == "net.json"
    return diagnostic


def position_of(text: str | bytes, **limits: int) -> str:
    diagnostic = error_of(text, **limits)
    return f"{diagnostic.code} {diagnostic.line}:{diagnostic.column}"


# Text, code and position, a part of the message or help. A1 to A20 number the kinds of input.
INVALID_TEXTS: dict[str, list[tuple[str | bytes, str, str]]] = {
    "A1 nothing": [
        ("", "empty-document 1:1", "empty"),
        (b"", "empty-document 1:1", "empty"),
        ("  \n\t ", "empty-document 1:1", "empty"),
        (b"\xef\xbb\xbf", "empty-document 1:1", "empty"),
    ],
    "A3 garbage after the document": [
        ("{} x", "invalid-json 1:4", "text after the document"),
        ("{}\nThis is the spec.", "invalid-json 2:1", "text after the document"),
        ("{}\n```", "invalid-json 2:1", "Markdown code fence"),
        ("{}\n{}", "invalid-json 2:1", "a second document"),
        ("{}}", "invalid-json 1:3", "a bracket that closes none"),
        ("[]]", "invalid-json 1:3", "a bracket that closes none"),
        ("1 2", "invalid-json 1:3", "found '2'"),
        ("{},", "invalid-json 1:3", "found ','"),
        ("{} // end", "invalid-json 1:4", "comment"),
        ("{}\0", "invalid-json 1:3", "U+0000"),
    ],
    "A4 text before the document": [
        ("```json\n{}\n```", "invalid-json 1:1", "Markdown code fence"),
        ("Here is the spec:\n\n{}", "invalid-json 1:1", "text before the document"),
        ("Here's the model\n{}", "invalid-json 1:1", "text before the document"),
        ("json\n{}", "invalid-json 1:1", "text before the document"),
        ("spec = {}", "invalid-json 1:1", "an assignment"),
        ("// a spec\n{}", "invalid-json 1:1", "a comment"),
    ],
    "A4 habits": [
        ('{"a": 1,}', "invalid-json 1:8", "trailing comma"),
        ('{"a": [1,\n 2,\n]}', "invalid-json 2:3", "trailing comma"),
        ('{\n  // note\n  "a": 1}', "invalid-json 2:3", "no comments"),
        ('{"a": 1 /* note */}', "invalid-json 1:9", "no comments"),
        ('{"a": # note\n1}', "invalid-json 1:7", "no comments"),
        ("{'a': 1}", "invalid-json 1:2", "double quotes"),
        ("{\"a\": 'b'}", "invalid-json 1:7", "double quotes"),
        ('{"a": “b”}', "invalid-json 1:7", "plain double quote"),
        ('{"a": True}', "invalid-json 1:7", "write true"),
        ('{"a": None}', "invalid-json 1:7", "'None'"),
        ('{"a": undefined}', "invalid-json 1:7", "'undefined'"),
        ('{"a": 0x1F}', "invalid-json 1:7", "hexadecimal"),
        ('{"a": 012}', "invalid-json 1:7", "leading zero"),
        ('{"a": -012.5}', "invalid-json 1:7", "leading zero"),
        ('{"a": +1}', "invalid-json 1:7", "plus sign"),
        ('{"a": .5}', "invalid-json 1:7", "point"),
        ('{"a": 5.}', "invalid-json 1:7", "point"),
        ('{"a": 1_000}', "invalid-json 1:7", "'1_000'"),
        ("{a: 1}", "invalid-json 1:2", "the key 'a' is not in double quotes"),
        ("{1: 1}", "invalid-json 1:2", "the key '1' is not in double quotes"),
        ('{"a": relu}', "invalid-json 1:7", "write text in double quotes"),
        ('{"a" = 1}', "invalid-json 1:6", "colon"),
        ('{"a": 1\n "b": 2}', "invalid-json 2:2", "a comma is missing"),
        ("[1 2]", "invalid-json 1:4", "a comma is missing"),
        ('{"a":\u00a01}', "invalid-json 1:6", "U+00A0"),
        ("[1,\u200b2]", "invalid-json 1:4", "U+200B"),
        ("[1]\ufeff", "invalid-json 1:4", "U+FEFF"),
    ],
    "A5, A6 duplicate keys": [
        ('{"units": 1,\n "units": 2}', "duplicate-key 2:2", "'units'"),
        ('{"units": 1, "\\u0075nits": 2}', "duplicate-key 1:14", "'units'"),
        ('{"": 1, "": 1}', "duplicate-key 1:9", "''"),
        ('{"a": [0, {"b": 1, "b": 1}]}', "duplicate-key 1:20", "'b'"),
    ],
    "A7, A8, A9, A10 numbers": [
        ("NaN", "invalid-number 1:1", "finite"),
        ("[Infinity]", "invalid-number 1:2", "finite"),
        ("[1, -Infinity]", "invalid-number 1:5", "finite"),
        ("[nan]", "invalid-number 1:2", "finite"),
        ("[inf]", "invalid-number 1:2", "finite"),
        ("[1e999]", "invalid-number 1:2", "out of range"),
        ("[-1E+999]", "invalid-number 1:2", "out of range"),
        ("[1e-999]", "invalid-number 1:2", "out of range"),
        ("[-0.0001e-400]", "invalid-number 1:2", "out of range"),
        ("1E400", "invalid-number 1:1", "out of range"),
        ("[" + "9" * 5000 + "]", "invalid-number 1:2", "5,000"),
        ("[0.1" + "0" * 700 + "]", "invalid-number 1:2", "703"),
    ],
    "A11 depth": [
        ("[" * 33, "too-deep 1:33", "32"),
        ("[" * 100_000, "too-deep 1:33", "32"),
        ('{"a":' * 10_000, "too-deep 1:161", "32"),
        ("[" * 33 + "]" * 33, "too-deep 1:33", "32"),
        ("[" * 32, "invalid-json 1:33", "the text ends"),
    ],
    "A13, A14 encodings": [
        (b'{"a": "\xff"}', "invalid-encoding 1:8", "byte offset 7 (0xff)"),
        (b'{\n "\xc3\xa9": "\xc0\xaf"}', "invalid-encoding 2:8", "byte offset 10 (0xc0)"),
        (b'["\x80"]', "invalid-encoding 1:3", "byte offset 2 (0x80)"),
        (b'["\xed\xa0\x80"]', "invalid-encoding 1:3", "byte offset 2 (0xed)"),
        (b'["\xf4\x90\x80\x80"]', "invalid-encoding 1:3", "byte offset 2 (0xf4)"),
        (b'\xef\xbb\xbf["\xe9"]', "invalid-encoding 1:3", "byte offset 5 (0xe9)"),
        (b'["\xe2\x82', "invalid-encoding 1:3", "byte offset 2 (0xe2)"),
        ('{"a": 1}'.encode("utf-16"), "invalid-encoding 1:1", "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "invalid-encoding 1:1", "UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "invalid-encoding 1:1", "UTF-16"),
        ('{"a": 1}'.encode("utf-32"), "invalid-encoding 1:1", "UTF-32"),
        ('{"a": 1}'.encode("utf-32-le"), "invalid-encoding 1:1", "UTF-32"),
        ('{"a": 1}'.encode("utf-32-be"), "invalid-encoding 1:1", "UTF-32"),
    ],
    "A15 surrogates": [
        ('{"a": "\\ud800"}', "invalid-encoding 1:8", "lone surrogate"),
        ('{"x\\udfaa": 1}', "invalid-encoding 1:4", "lone surrogate"),
        ('["\\ud83d\\u0041"]', "invalid-encoding 1:3", "lone surrogate"),
        ('["\\ud83d\\ud83d\\ude00"]', "invalid-encoding 1:3", "lone surrogate"),
        ('["\\ude00\\ud83d"]', "invalid-encoding 1:3", "lone surrogate"),
        ('["\ud800"]', "invalid-encoding 1:3", "byte offset 2"),
    ],
    "A16 characters that do not show": [
        ("[\u202etxt]", "invalid-json 1:2", "U+202E"),
        ("[1,\x00]", "invalid-json 1:4", "U+0000"),
        ("[a\u0430\u202e]", "invalid-json 1:2", "not a JSON value"),
        ('["\x00"]', "invalid-json 1:3", "U+0000"),
        ('["\x1f"]', "invalid-json 1:3", "U+001F"),
        ('{"a\u202e": 1, "a\u202e": 1}', "duplicate-key 1:11", "\\u202e"),
    ],
    "A17 lines": [
        ('{\r\n"a": x}', "invalid-json 2:6", "'x'"),
        ('{\r"a":\r x}', "invalid-json 3:2", "'x'"),
        ('{\n\r"a": x}', "invalid-json 3:6", "'x'"),
        ('{\t"a":\tx}', "invalid-json 1:8", "'x'"),
        ('["\u2028", "\u2029\x85", x]', "invalid-json 1:13", "'x'"),
        ('["\U0001f600e\u0301", x]', "invalid-json 1:9", "'x'"),
        ("\ufeff[x]", "invalid-json 1:2", "'x'"),
        ("\ufeff\n[x]", "invalid-json 2:2", "'x'"),
    ],
    "A18 strings": [
        ('["a', "invalid-json 1:4", "the text ends"),
        ('["a\nb"]', "invalid-json 1:4", "a line ends inside a string"),
        ('["a\r\nb"]', "invalid-json 1:4", "a line ends inside a string"),
        ('["a\tb"]', "invalid-json 1:4", "write a tab as \\t"),
        ('["C:\\data"]', "invalid-json 1:5", "write a backslash as"),
        ('["\\x41"]', "invalid-json 1:3", "not a JSON escape"),
        ("[\"\\'\"]", "invalid-json 1:3", "not a JSON escape"),
        ('["\\u12G4"]', "invalid-json 1:3", "four hexadecimal digits"),
        ('["\\u123"]', "invalid-json 1:3", "four hexadecimal digits"),
        ('["\\U0041"]', "invalid-json 1:3", "not a JSON escape"),
        ('["\\\n"]', "invalid-json 1:3", "not a JSON escape"),
        ('["\\', "invalid-json 1:3", ""),
        ('["\\"', "invalid-json 1:5", "the text ends"),
        ('"\\u00', "invalid-json 1:2", "four hexadecimal digits"),
        ("[\"\\\u00e9\"]", "invalid-json 1:3", "not a JSON escape"),
    ],
    "A18 numbers": [
        ("-", "invalid-json 1:1", ""),
        ("[-a]", "invalid-json 1:2", ""),
        ("[--1]", "invalid-json 1:2", ""),
        ("[- 1]", "invalid-json 1:2", ""),
        ("[1e]", "invalid-json 1:2", ""),
        ("[1e+]", "invalid-json 1:2", ""),
        ("[1.e5]", "invalid-json 1:2", "point"),
        ("[-.5]", "invalid-json 1:2", "point"),
        ("[1.2.3]", "invalid-json 1:2", ""),
        ("[1e5.2]", "invalid-json 1:2", ""),
        ("[1eE2]", "invalid-json 1:2", ""),
        ("[1+2]", "invalid-json 1:2", ""),
        ("[00]", "invalid-json 1:2", "leading zero"),
        ("[-00]", "invalid-json 1:2", "leading zero"),
        ("[0e]", "invalid-json 1:2", ""),
        ("[1a]", "invalid-json 1:2", ""),
        ("[0b1]", "invalid-json 1:2", ""),
        ("[\uff11]", "invalid-json 1:2", ""),
        ("[1\uff11]", "invalid-json 1:2", ""),
        ("[0.1\u0661]", "invalid-json 1:2", ""),
    ],
    "A18 structure": [
        ("{", "invalid-json 1:2", "the text ends"),
        ("[", "invalid-json 1:2", "the text ends"),
        ("]", "invalid-json 1:1", "found ']'"),
        (",", "invalid-json 1:1", "a comma without a value"),
        (":", "invalid-json 1:1", "found ':'"),
        ("[,1]", "invalid-json 1:2", "a comma without a value"),
        ("[1,,2]", "invalid-json 1:4", "a comma without a value"),
        ("[1}", "invalid-json 1:3", "found '}'"),
        ('{"a": 1]', "invalid-json 1:8", "found ']'"),
        ("{]", "invalid-json 1:2", "found ']'"),
        ("[}", "invalid-json 1:2", "found '}'"),
        ("{,}", "invalid-json 1:2", "a comma without a value"),
        ("{:1}", "invalid-json 1:2", "found ':'"),
        ('{"a"}', "invalid-json 1:5", "':'"),
        ('{"a":}', "invalid-json 1:6", "a value"),
        ('{"a"::1}', "invalid-json 1:6", "found ':'"),
        ('{"a" 1}', "invalid-json 1:6", "a colon is missing"),
        ('{"a", 1}', "invalid-json 1:5", "':'"),
        ('{"a": 1:2}', "invalid-json 1:8", "found ':'"),
        ('{"a": 1; "b": 2}', "invalid-json 1:8", "found ';'"),
        ('["a": 1]', "invalid-json 1:5", "found ':'"),
        ('{"\\u0061"; 1}', "invalid-json 1:10", "':'"),
        ("{null: 1}", "invalid-json 1:2", "double quotes"),
        ("{[]: 1}", "invalid-json 1:2", "a key in double quotes"),
        ("[1,", "invalid-json 1:4", "the text ends"),
        ('{"a"', "invalid-json 1:5", "the text ends"),
        ('{"a":', "invalid-json 1:6", "the text ends"),
        ("tru", "invalid-json 1:1", ""),
        ("truee", "invalid-json 1:1", ""),
        ("nul l", "invalid-json 1:1", ""),
        ("[true false]", "invalid-json 1:7", "a comma is missing"),
        ("<a>", "invalid-json 1:1", "found '<'"),
        ("[*]", "invalid-json 1:2", "found '*'"),
        ("a: 1", "invalid-json 1:1", ""),
        ("[\x0c1]", "invalid-json 1:2", "U+000C"),
        ("[\x0b1]", "invalid-json 1:2", "U+000B"),
        ("/", "invalid-json 1:1", "found '/'"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "position", "part"),
    [
        pytest.param(*case, id=f"{family}-{n}")
        for family, cases in INVALID_TEXTS.items()
        for n, case in enumerate(cases)
    ],
)
def test_an_invalid_text_is_rejected_at_the_position_of_the_error(text: str | bytes, position: str, part: str) -> None:
    diagnostic = error_of(text)
    assert f"{diagnostic.code} {diagnostic.line}:{diagnostic.column}" == position
    assert part in f"{diagnostic.message}; {diagnostic.help}"
    assert f"{diagnostic.message}{diagnostic.help}".isprintable()
    if isinstance(text, str) and "\ud800" not in text:
        assert position_of(text.encode()) == position


VALID_TEXTS = [
    "{}", "[]", "0", "-0", "-0.0", "1.0", "1E2", "1e+2", "0e-999", "0.0E999", "-1.5e-3", "1234567890123456789012345",
    "true", "false", "null", '""', '"a"', " [ ] ", "\t{\n}\r\n", "[1 , 2]", '{"a":{"b":[{}]}}', '{"":{"":""}}',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u0041\\u00e9\\u20ac\\uFFFF\\u0000"', '"\\ud83d\\ude00\\uDBFF\\uDFFF"', '"/"',
    '"\u2028\u2029\x7f\x85\ufeff\U0010ffff"', '"// no comment"', '{"a\\u0062": 1, "aB": 2}', "[[[[[[1]]]]]]", "5e-324",
    '[null, 1, "1", {}]', '"\\\\u0041"', '{"a" :1 , "b": [ 1,2 ] }', "2.2250738585072011e-308", '["\\\\"]', '"\\\\\\""',
    "1.7976931348623157e308", "[" * 32 + "]" * 32, "9" * 640, "0.1" + "0" * 400, SPEC,
]  # fmt: skip


@pytest.mark.parametrize("text", VALID_TEXTS, ids=lambda text: ascii(text[:20]))
def test_a_valid_text_is_read_as_by_the_standard_library(text: str) -> None:
    for value in (text, text.encode(), "\ufeff" + text, b"\xef\xbb\xbf" + text.encode()):
        source = read_text(value)
        assert repr(source.value) == repr(json.loads(text))
        assert (source.file, source.text) == (None, text)


def test_the_note_of_a_duplicate_key_points_to_the_first_key() -> None:
    diagnostic = error_of('{"layers": [{}, {\n"units": 1,\n  "units": 2}]}')
    (note,) = diagnostic.notes
    assert (diagnostic.path, note.path) == ("$.layers[1].units", "$.layers[1].units")
    assert (note.file, note.line, note.column) == ("net.json", 2, 1)


def test_a_note_points_to_the_innermost_open_bracket() -> None:
    assert [(note.line, note.column) for note in error_of('{\n "a": [1,\n  2').notes] == [(2, 7)]
    assert [(note.line, note.column) for note in error_of('{\n "a": [1}').notes] == [(2, 7)]
    assert [(note.line, note.column) for note in error_of('{\n "a": "\\n').notes] == [(2, 7)]


def test_a_truncated_text_is_rejected_at_or_before_the_cut() -> None:  # A2
    for cut in range(len(SPEC)):
        lines = SPEC[:cut].replace("\r\n", "\n").replace("\r", "\n").split("\n")
        diagnostic = error_of(SPEC[:cut])
        assert (diagnostic.line, diagnostic.column) <= (len(lines), len(lines[-1]) + 1), cut
    data = SPEC.encode()
    for cut in range(len(data)):
        error_of(data[:cut])


def walk(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    yield path, value
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        yield from walk(child, (*path, step))


def test_every_value_and_key_has_its_position() -> None:
    source = read_text(SPEC)
    starts = [0] + [at + 1 for at, char in enumerate(SPEC) if char == "\n"]
    decode = json.JSONDecoder().raw_decode
    for path, value in walk(source.value):
        line, column = source.locate(path) or (0, 0)
        assert decode(SPEC, starts[line - 1] + column - 1)[0] == value
        line, column = source.locate(path, True) or (0, 0)
        expected = path[-1] if path and isinstance(path[-1], str) else value
        assert decode(SPEC, starts[line - 1] + column - 1)[0] == expected


def test_a_missing_path_has_the_position_of_its_nearest_ancestor() -> None:
    source = read_text('{\n "a": [1,\n  {"b": 2}]}')
    for path in [("a", 1, "c"), ("a", 1, "c", 7), ("a", 1, 0)]:
        assert source.locate(path) == source.locate(path, True) == (3, 3)
    for path in [("a", 2), ("a", -1), ("a", "b"), ("a", 5, "x")]:
        assert source.locate(path) == (2, 7)
    assert source.locate(("a", 1, "b", "x"), True) == (3, 9)
    assert source.locate(("z",)) == source.locate(()) == (1, 1)
    assert from_value({"a": 1}).locate(("a",)) is None


def test_limits_are_exact() -> None:  # A9, A11, A12
    assert read_text("[1, 2]", limits=Limits(max_values=3)).value == [1, 2]
    assert position_of("[1, 2]", max_values=2) == "too-large 1:5"
    assert position_of("[[]]", max_depth=1) == "too-deep 1:2"
    assert read_text("-123", limits=Limits(max_digits=4)).value == -123
    assert position_of("[1234]", max_digits=3) == "invalid-number 1:2"
    assert position_of("9" * 5000, max_digits=10_000) == "invalid-number 1:1"
    assert read_text(b"[1]", limits=Limits(max_bytes=3)).value == [1]
    assert error_of(b"[1 ]", max_bytes=3).code == "too-large"
    assert error_of('"é"', max_bytes=3).code == "too-large"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n')
    return path


def test_a_file_and_standard_input_are_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (file, str(file)):
        source = read_file(name)
        assert (source.file, source.value, source.text) == (str(file), {"a": "é"}, '{"a": "é"}\r\n')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    source = read_file("-")
    assert (source.file, source.value) == ("<stdin>", {"a": "é"})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[" + b"0," * 100)))
    with pytest.raises(CompileError, match="too-large"):
        read_file("-", Limits(max_bytes=100))


def test_a_file_above_the_size_limit_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # A12
    os.truncate(file, 2**30)
    start_seconds = time.process_time()
    with pytest.raises(CompileError) as caught:
        read_file(file)
    assert time.process_time() - start_seconds < 3
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.file, diagnostic.line) == ("too-large", str(file), None)
    assert "1,073,741,824" in diagnostic.message


def read_error(name: str | os.PathLike[str]) -> str:
    with pytest.raises(UsageError) as caught:
        read_file(name)
    assert caught.value.diagnostic.code == "unreadable-file"
    assert caught.value.diagnostic.message.isprintable()
    return caught.value.diagnostic.message


def test_an_unreadable_file_is_rejected_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # A19
    monkeypatch.chdir(tmp_path)
    assert "directory" in read_error(tmp_path)
    assert "no such file" in read_error("missing.json")
    for name in ("a\0b", "a\ud800b", "x" * 5000, "a\nb", ""):
        read_error(name)
    Path("loop").symlink_to("loop")
    read_error("loop")
    for device in ("/dev/zero", "/dev/null", "/dev/tty", "/proc/self/mem", "/proc/self/environ"):
        read_error(device)
    if hasattr(os, "mkfifo"):
        os.mkfifo("fifo")
        assert "not a regular file" in read_error("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        read_error("socket")
    if os.geteuid() != 0:
        Path("secret").touch(mode=0)
        assert "Permission denied" in read_error("secret")
    monkeypatch.setattr(sys, "stdin", None)
    read_error("-")


@pytest.mark.parametrize("size", [5, 100])
def test_a_file_that_changes_during_reading_is_rejected(
    file: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:  # A20
    original_fstat = os.fstat

    def fstat_and_change(descriptor: int) -> os.stat_result:
        status = original_fstat(descriptor)
        os.truncate(file, size)
        return status

    monkeypatch.setattr(json_reader.os, "fstat", fstat_and_change)
    assert "changed" in read_error(file)


def test_no_descriptor_is_left_open(file: Path, tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read_file(file)
        read_error(tmp_path)
        read_error("/dev/zero")
    assert len(os.listdir("/proc/self/fd")) == before


class Mode(enum.StrEnum):
    SAME = "same"


class Number(enum.IntEnum):
    TWO = 2


class Fraction(float):
    pass


def test_from_value_copies_to_plain_types() -> None:
    shared: list[Any] = [1]
    value = OrderedDict(a=Mode.SAME, b=[True, None, Number.TWO, Fraction(0.5), 2**70], c=shared, d=shared)
    source = from_value(value)
    assert source.value == {"a": "same", "b": [True, None, 2, 0.5, 2**70], "c": [1], "d": [1]}
    assert {type(value) for _, value in walk(source.value)} == {dict, list, str, bool, type(None), int, float}
    shared.append(2)
    assert source.value["c"] == [1]  # type: ignore[index, call-overload]
    assert (source.file, source.text) == (None, "")


CYCLE: dict[str, Any] = {"a": [1]}
CYCLE["a"].append({"b": CYCLE["a"]})
DEEP: list[Any] = []
for _ in range(32):
    DEEP = [DEEP]
WIDE: list[Any] = [1]
for _ in range(28):
    WIDE = [WIDE, WIDE]


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        ({"a": [1, float("nan")]}, "invalid-number", "$.a[1]"),
        ({"a": float("-inf")}, "invalid-number", "$.a"),
        ({"a": -(10**640)}, "invalid-number", "$.a"),
        ({"a": (1, 2)}, "invalid-json", "$.a"),
        ({"a": b"x"}, "invalid-json", "$.a"),
        ({"a": {1: 2}}, "invalid-json", "$.a"),
        ({"a": {None: 2}}, "invalid-json", "$.a"),
        ({"a": "\ud800"}, "invalid-encoding", "$.a"),
        ({"a": {"\ud800": 1}}, "invalid-encoding", "$.a"),
        (CYCLE, "invalid-json", "$.a[1].b"),
        ({"a": DEEP}, "too-deep", "$.a" + "[0]" * 31),
    ],
)
def test_a_value_that_is_not_json_is_rejected_at_its_path(value: Any, code: str, path: str) -> None:
    with pytest.raises(CompileError) as caught:
        from_value(value)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.path, diagnostic.line) == (code, path, None)


def test_a_function_in_a_spec_gets_the_layer_that_serves() -> None:
    with pytest.raises(CompileError) as error:
        from_value({"training": {"loss": lambda y, predicted: y}})
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.path) == ("invalid-json", "$.training.loss")
    assert "AddLoss" in str(diagnostic.help)


def test_a_value_that_shares_lists_exponentially_is_rejected() -> None:
    with pytest.raises(CompileError, match="too-large"):
        from_value({"a": WIDE}, Limits(max_values=10_000))


class Strict:
    """The standard library's JSON reader, as strict as possible."""

    @staticmethod
    def pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    @staticmethod
    def constant(text: str) -> Any:
        raise ValueError(text)

    @classmethod
    def read(cls, text: str) -> Any:
        return json.loads(text, object_pairs_hook=cls.pairs, parse_constant=cls.constant)


def test_mutated_texts_are_read_as_by_the_standard_library_or_rejected() -> None:
    rng = random.Random(20)
    pool = [*'{}[]:,"\\ \n\r\t0123456789.-+eEntful/#é\0', "true", "null", "1e5", "\\u00e9", "\\ud83d", '"a":', "'"]
    accepted = 0
    for _ in range(6000):
        text = SPEC
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            at, to = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
            kind = rng.randrange(4)
            middle = rng.choice(pool) if kind < 2 else text[at : at + 8] * 2 if kind == 2 else text[to : to + 5]
            text = text[:at] + middle + text[at + (kind != 1) :]
        try:
            expected = Strict.read(text)
        except ValueError:
            error_of(text)
            continue
        try:
            source = read_text(text)
        except CompileError:
            assert error_of(text).code in {"invalid-encoding", "invalid-number"}
        else:
            accepted += 1
            assert repr(source.value) == repr(expected)
    assert accepted > 300


def test_reading_takes_linear_time() -> None:
    layer = {"type": "Dense", "name": "dense", "units": 10, "rate": 0.5, "bias": True, "shape": [28, 28, 1]}
    text = json.dumps({"layers": [layer] * 1600}, indent=1)
    assert len(text) > 200_000
    for hostile in ("[" * 100_000, "9" * 100_000, "[" + " " * 300_000, '"' + "\\n" * 30_000, "-" * 300_000, text):
        start_seconds = time.process_time()
        with contextlib.suppress(CompileError):
            read_text(hostile)
        assert time.process_time() - start_seconds < 3


def test_the_reader_does_not_import_numpy_onnx_or_onnxruntime() -> None:
    code = "import sys, jsonnx.frontend.json.json_reader; print(*{'numpy', 'onnx', 'onnxruntime'} & set(sys.modules))"
    package_root = Path(json_reader.__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(package_root)}, capture_output=True, text=True
    )
    assert (process.stdout.strip(), process.stderr) == ("", "")
