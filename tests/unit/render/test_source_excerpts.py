"""Excerpts of source files: positions as the JSON reader counts them, and bounded reading."""

from __future__ import annotations

import io
import random

import pytest
from jsonnx.core.diagnostics import Diagnostic, Position
from jsonnx.render.diagnostics.diagnostics import render
from jsonnx.render.diagnostics.source_excerpts import MAX_SOURCE_LINE_WIDTH, Excerpt, read_excerpts

LONG_LINE_BYTES = 64 << 20


def excerpt(data: bytes, line: int, column: int) -> Excerpt | None:
    position = Position(line, column)
    return read_excerpts(io.BytesIO(data), [position]).get(position)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_editors_count_them(end: str) -> None:
    assert excerpt(f"a{end}{end}b\u2028c{end}d".encode(), 3, 2) == Excerpt("b\u2028c")


def test_a_byte_order_mark_is_not_part_of_the_line() -> None:
    assert excerpt(b"\xef\xbb\xbf{}", 1, 1) == Excerpt("{}")


def test_no_excerpt_behind_the_end_nor_of_a_binary_file() -> None:
    assert excerpt(b"a\nb", 3, 1) is None
    assert excerpt(b"\x93NUMPY\x01\x00" + bytes(100), 1, 1) is None
    assert read_excerpts(io.BytesIO(b"a"), []) == {}


def test_excerpts_equal_the_lines_of_random_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    for _ in range(300):
        monkeypatch.setattr("jsonnx.render.diagnostics.source_excerpts._BLOCK_CHARACTERS", rng.randint(1, 300))
        text = "".join(rng.choice(["a", "ä", "層", "\n", "\n", "x" * 250]) for _ in range(rng.randint(1, 40)))
        lines = text.split("\n")
        numbers = [rng.randrange(len(lines)) for _ in range(5)]
        positions = [Position(n + 1, rng.randint(1, len(lines[n]))) for n in numbers if lines[n]]
        found = read_excerpts(io.BytesIO(text.encode()), positions)
        for position in positions:
            line, start = lines[position.line - 1], max(0, position.column - 1 - MAX_SOURCE_LINE_WIDTH)
            assert found[position] == Excerpt(line[start : position.column + MAX_SOURCE_LINE_WIDTH], start)


@pytest.mark.parametrize(("column", "shown"), [(1, "{aaaa"), (5000, "...aaaa"), (9999, "...aaaa")])
def test_a_long_line_is_shown_in_a_window_around_the_column(column: int, shown: str) -> None:
    data = b"{" + b"a" * 9998 + b"]"
    diagnostic = Diagnostic("cycle", "here", file="f", line=1, column=column)
    position = Position(1, column)
    text = render([diagnostic], "text", excerpts={"f": read_excerpts(io.BytesIO(data), [position])})
    line = text.splitlines()[3].removeprefix("1 | ")
    assert line.startswith(shown)
    assert line.endswith("]" if column == 9999 else "...")
    assert len(line.strip(".")) == MAX_SOURCE_LINE_WIDTH


def test_reading_stops_behind_the_last_position() -> None:
    file = io.BytesIO(b"a\n" * (LONG_LINE_BYTES // 2))
    reads: list[int] = []
    original = file.read1
    file.read1 = lambda size=-1: reads.append(size) or original(size)  # type: ignore[assignment, func-returns-value]
    assert read_excerpts(file, [Position(2, 1)]) == {Position(2, 1): Excerpt("a")}
    assert 0 < sum(reads) < 1 << 20
