"""The syntax of rows of separated values: where rows end and where fields begin, which DuckDB does not tell.

A field that begins with a quotation mark, perhaps behind spaces, ends with the next single one; all else ends at the
next separator or line end. Offsets are those of bytes. In the plain form of rows, letters stand in place of quoted
fields, so that all separators and line ends divide fields and rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_ROW = re.compile(rb"[^\r\n]+")
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_SPACE = ord(" ")
_LINE_END = re.compile(rb"\r\n?|\n")


class PlainRows(NamedTuple):
    """The plain form of rows."""

    text: bytes
    unclosed: int | None
    """The offset of a quotation mark that opens a field and is never closed."""

    def unclosed_row_start(self) -> int:
        """The offset of the row whose quotation mark is never closed."""
        return max(self.text.rfind(b"\n", 0, self.unclosed), self.text.rfind(b"\r", 0, self.unclosed)) + 1


class RowSyntax:
    """Finds rows in the bytes of a table, which begin with a row."""

    def __init__(self, separator: str) -> None:
        self.separator = separator.encode()
        self._starts = {*b"\r\n", *self.separator}
        self._field_end = re.compile(rb" *(?:\Z|[\r\n]|%s)" % re.escape(self.separator))

    def plain(self, data: bytes) -> PlainRows:
        """The plain form of rows, of the same length."""
        parts, done, unclosed = [], 0, None
        for start, end in self._quoted_fields(data):
            if end is None:
                unclosed = start
            else:
                parts += [data[done:start], b"x" * (end - start)]
                done = end
        return PlainRows(b"".join([*parts, data[done:]]) if parts else data, unclosed)

    def _quoted_fields(self, data: bytes) -> Iterator[tuple[int, int | None]]:
        """The offset of each quoted field, and the offset behind it; None if it is not closed."""
        quote = data.find(b'"')
        while quote >= 0:
            before, end = quote - 1, quote + 1
            while before >= 0 and data[before] == _SPACE and self.separator != b" ":
                before -= 1
            if before < 0 or data[before] in self._starts:
                field = _QUOTED.match(data, quote)
                yield quote, field and field.end()
                if field is None:
                    return
                end = field.end()
            quote = data.find(b'"', end)

    def misplaced_quote(self, data: bytes) -> int | None:
        """The offset of a quoted field that goes on behind its closing quotation mark; None if there is none."""
        fields = self._quoted_fields(data)
        return next((start for start, end in fields if end and not self._field_end.match(data, end)), None)

    def with_line_feeds(self, data: bytes, keeps_empty_lines: bool) -> bytes:
        """The rows, each of which ends with a line feed whatever its line end was."""
        if b"\r" not in data and (keeps_empty_lines or (b"\n\n" not in data and not data.startswith(b"\n"))):
            return data
        if b'"' not in data and keeps_empty_lines and data.count(b"\r") == data.count(b"\r\n"):
            return data.replace(b"\r\n", b"\n")
        return b"".join(data[slice(*row.span())] + b"\n" for row in _ROW.finditer(self.plain(data).text))


def complete_rows(plain: PlainRows) -> bytes:
    """The rows in plain form that end within the bytes."""
    text, stop = plain.text, len(plain.text) if plain.unclosed is None else plain.unclosed
    # "\r" at the end may be the first half of "\r\n"
    return text[: text.rfind(b"\n", 0, stop) + 1 or text.rfind(b"\r", 0, min(stop, len(text) - 1)) + 1]


def first_row_end(plain: bytes) -> int:
    """The offset behind the first row and its line end."""
    row = _ROW.search(plain)
    end = _LINE_END.match(plain, row.end()) if row else None
    return len(plain) if end is None else end.end()


class RowScan(NamedTuple):
    """Rows in numbers."""

    row_count: int
    """Rows, which exclude empty lines."""
    longest_row: int
    """Bytes of the longest row."""
    has_surplus_separators: bool
    """Whether rows end with a separator behind the last column, which DuckDB ignores, if all others have as many
    values as there are columns."""


def scan_rows(plain: bytes, separator: bytes, column_count: int) -> RowScan:
    """The numbers of rows that are given in plain form."""
    text = plain.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in plain else plain
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    if text and not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    lengths = np.diff(ends, prepend=-1) - 1
    ends = ends[lengths > 0]
    has_trailing_separators = bool((codes[ends - 1] == ord(separator)).any())
    has_surplus = has_trailing_separators and text.count(separator) > len(ends) * (column_count - 1)
    return RowScan(len(ends), int(lengths.max(initial=0)), has_surplus)


def count_lines(data: bytes, stop: int | None = None) -> int:
    """The number of line ends before an offset, those in quoted fields included."""
    stop = len(data) if stop is None else stop
    return len(_LINE_END.findall(data, 0, stop)) if b"\r" in data else data.count(b"\n", 0, stop)


class LocatedRows:
    """The rows of a part of a table, with the places of their fields."""

    def __init__(self, data: bytes, first_line: int, syntax: RowSyntax) -> None:
        self.data, self._first_line, self._separator = data, first_line, syntax.separator
        self._plain = syntax.plain(data).text
        self.spans = [row.span() for row in _ROW.finditer(self._plain)]

    def line(self, row: int) -> int:
        """The line, from 1, on which a row begins."""
        return self.position(row, 0)[0]

    def position(self, row: int, field: int) -> tuple[int, int]:
        """The line and the column, from 1, of a field of a row; both are counted from 0."""
        offset = self._field_start(row, field)
        line_start = max(self.data.rfind(b"\n", 0, offset), self.data.rfind(b"\r", 0, offset)) + 1
        column = len(self.data[line_start:offset].decode(errors="replace")) + 1
        return self._first_line + count_lines(self.data, offset), column

    def field_source(self, row: int, field: int) -> str:
        """A field of a row as it is in the file."""
        start, stop = self._field_start(row, field), self.spans[row][1]
        end = self._plain.find(self._separator, start, stop)
        return self.data[start : stop if end < 0 else end].decode(errors="replace")

    def _field_start(self, row: int, field: int) -> int:
        offset, stop = self.spans[row]
        for _ in range(field):
            offset = self._plain.find(self._separator, offset, stop) + len(self._separator)
        return offset

    def count_values(self, row: int) -> int:
        """The number of fields of a row."""
        return self._plain.count(self._separator, *self.spans[row]) + 1

    def row_at(self, offset: int) -> int:
        """The row that has a byte, or begins behind it."""
        return next(row for row, (_, stop) in enumerate(self.spans) if stop > offset)

    def has_long_field(self, row: int, max_characters: int) -> bool:
        """Whether a field of a row has more characters."""
        start, stop = self.spans[row]
        if stop - start <= max_characters:
            return False
        for field in self._plain[start:stop].split(self._separator):
            if len(self.data[start : start + len(field)].decode(errors="replace")) > max_characters:
                return True
            start += len(field) + len(self._separator)
        return False

    def text(self, row: int) -> str:
        """A row as it is in the file."""
        return self.data[slice(*self.spans[row])].decode(errors="replace")
