"""The parts of a text file that diagnostics show: a bounded window of each line, read without loading the file."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from ...core.diagnostics import Position

MAX_SOURCE_LINE_WIDTH = 100
"""Characters of a source line that the text shows."""

_BLOCK_CHARACTERS = 1 << 16


class Excerpt(NamedTuple):
    """The characters of a line around a position: all of them, or `MAX_SOURCE_LINE_WIDTH` on either side."""

    text: str
    offset: int = 0
    """Characters of the line before `text`."""


def read_excerpts(file: IO[bytes], positions: Iterable[Position]) -> dict[Position, Excerpt]:
    """The excerpts at positions of an open UTF-8 file, which is read up to the last position and then closed.

    A line ends with LF, CRLF or CR; a byte order mark is not part of the text. There is no excerpt for a position
    behind the end of the file, and none for a binary file, which is recognized by a NUL near its start.
    """
    columns_by_line: dict[int, set[int]] = defaultdict(set)
    for position in positions:
        columns_by_line[position.line].add(position.column)
    if not columns_by_line:
        return {}
    last_line = max(columns_by_line)
    last_column = max(columns_by_line[last_line]) + MAX_SOURCE_LINE_WIDTH
    texts: dict[Position, str] = defaultdict(str)
    for line, column, text in _line_pieces(file, columns_by_line.keys()):
        if line > last_line:
            break
        for wanted in columns_by_line.get(line, ()):
            first, end = (max(1, wanted + side * MAX_SOURCE_LINE_WIDTH) for side in (-1, 1))
            texts[Position(line, wanted)] += text[max(0, first - column) : max(0, end + 1 - column)]
        if line == last_line and column + len(text) > last_column:
            break
    return {
        position: Excerpt(text, max(0, position.column - 1 - MAX_SOURCE_LINE_WIDTH))
        for position, text in texts.items()
        if text
    }


def _line_pieces(file: IO[bytes], lines: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Line number, first column and text of pieces of lines, in order; blocks without any of `lines` are skipped."""
    wanted_lines = sorted(lines)
    line, column = 1, 1
    with io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline=None) as stream:
        for number, block in enumerate(iter(lambda: stream.read(_BLOCK_CHARACTERS), "")):
            if number == 0 and "\0" in block:
                return
            line_ends = block.count("\n")
            if any(line <= wanted <= line + line_ends for wanted in wanted_lines):
                for index, text in enumerate(block.split("\n")):
                    yield line + index, 1 if index else column, text
            elif line > wanted_lines[-1]:
                return
            column = len(block) - block.rfind("\n") if line_ends else column + len(block)
            line += line_ends
