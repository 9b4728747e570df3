"""Tables of text, fitted to the width of a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rich.cells import cell_len

from ...core.invisible_characters import escape_output


@dataclass
class TextTable:
    """Titles and rows of text, whose invisible characters are escaped; a cell may have several lines. `right` are the
    columns that are aligned to the right."""

    titles: Sequence[str]
    right: Sequence[int] = ()
    rows: list[Sequence[str]] = field(default_factory=list)
    unbroken: Sequence[int] = ()
    """The columns whose cells are not wrapped, such as paths, which are copied."""

    def add_row(self, *cells: str) -> None:
        self.rows.append(cells)

    def text(self, color: bool = False, width: int | None = None) -> str:
        """The table with ASCII rules, which every terminal can show; with `color`, its titles are bold.

        If it is wider than `width`, cells are wrapped between words.
        """
        titles, *rows = ([*map(escape_output, row)] for row in (self.titles, *self.rows))
        columns = list(zip(titles, *rows, strict=True))
        widths = [max(map(_cell_width, column)) for column in columns]
        if width is not None and _total_width(widths) > width:
            for words in (WORDS, PARTS_OF_NAMES):
                minimums = [
                    widths[index] if index in self.unbroken else max(_longest_word(cell, words) for cell in column)
                    for index, column in enumerate(columns)
                ]
                if _total_width(minimums) <= width:
                    break
            widths = _narrowed(widths, minimums, width)
            titles = _wrap_row(titles, widths, words)
            rows = [_wrap_row(row, widths, words) for row in rows]
        title_lines = _aligned_lines(titles, widths, self.right)
        rule = " ".join("-" * (size + (index < len(widths) - 1)) for index, size in enumerate(widths))
        lines = (line for row in rows for line in _aligned_lines(row, widths, self.right))
        return "\n".join([*(f"\x1b[1m{line}\x1b[0m" if color else line for line in title_lines), rule, *lines])


WORDS = re.compile(r"\S+?(?:(?<=[a-z])-(?=[a-z])|\s+|$)")
"""The parts of a line between which it may be broken, each with the spaces behind it; `multiply-adds` has two."""
PARTS_OF_NAMES = re.compile(r"\S+?(?:(?<=[a-z])-(?=[a-z])|(?<=[\w)][_/])(?=\w)|\s+|$)")
"""Smaller parts, for a narrow terminal: a name is also broken behind `_` and `/`."""

COLUMN_GAP = 2
"""Spaces between two columns."""


def _total_width(widths: Sequence[int]) -> int:
    return sum(widths) + COLUMN_GAP * (len(widths) - 1)


def _narrowed(widths: Sequence[int], minimums: Sequence[int], width: int) -> list[int]:
    """The widths of columns in a table of a total width: the widest columns are narrowed first, none below its minimum.

    If the minimums do not fit, the table is wider, since a broken word could not be searched for or copied.
    """
    widths = list(widths)
    while _total_width(widths) > width:
        index = max(range(len(widths)), key=lambda index: (widths[index] > minimums[index], widths[index]))
        if widths[index] <= minimums[index]:
            break
        widths[index] -= 1
    return widths


def _longest_word(cell: str, words: re.Pattern[str]) -> int:
    indent = max((len(line) - len(line.lstrip()) for line in cell.split("\n")), default=0)
    return indent + max((_cell_width(word.rstrip()) for word in words.findall(cell)), default=0)


def _wrap_row(cells: Sequence[str], widths: Sequence[int], words: re.Pattern[str]) -> list[str]:
    return [_wrap(cell, width, words) for cell, width in zip(cells, widths, strict=True)]


def _wrap(cell: str, width: int, words: re.Pattern[str]) -> str:
    """The cell with line feeds between words, so that no line is wider unless a word is."""
    if _cell_width(cell) <= width:
        return cell
    lines: list[str] = []
    for text in cell.split("\n"):
        indent = text[: len(text) - len(text.lstrip())]
        line = indent
        for word in words.findall(text.lstrip()):
            if line.strip() and _cell_width(line + word.rstrip()) > width:
                lines.append(line.rstrip())
                line = indent
            line += word
        lines.append(line.rstrip())
    return "\n".join(lines)


def _cell_width(cell: str) -> int:
    """The width of a cell in columns of a terminal, where some characters take two."""
    return max(map(len, cell.split("\n"))) if cell.isascii() else max(map(cell_len, cell.split("\n")))


def aligned_rows(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """The lines of a table without titles."""
    rows = [[*map(escape_output, row)] for row in rows]
    widths = [max(map(_cell_width, column)) for column in zip(*rows, strict=True)]
    return [line for row in rows for line in _aligned_lines(row, widths, right)]


def _aligned_lines(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> Iterator[str]:
    """The lines of one row."""
    for parts in zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""):
        padded = []
        for index, (part, width) in enumerate(zip(parts, widths, strict=True)):
            padding = " " * (width - _cell_width(part))
            padded.append(padding + part if index in right else part + padding)
        yield "  ".join(padded).rstrip()
