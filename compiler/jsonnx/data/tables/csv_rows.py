"""The syntax of rows of separated values: where rows end and where fields begin, which DuckDB does not tell.

A field that begins with a quotation mark, perhaps behind spaces, ends with the next single one; all else ends at the
next separator or line end. Offsets are those of bytes. In the plain form of rows, letters stand in place of quoted
fields, so that all separators and line ends divide fields and rows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

_ROW = re.compile(rb"[^\r\n]+")
_LINE_END = re.compile(rb"\r\n?|\n")


class RowSyntax:
    """Finds rows in the bytes of a table, which begin with a row."""

    def __init__(self, separator: str) -> None:
        self.separator = separator.encode()
        spaces = b"" if separator == " " else b" *"
        start = rb"(\A|[\r\n]|%s)%s" % (re.escape(self.separator), spaces)
        self._quoted_field = re.compile(start + rb'"[^"]*+(?:""[^"]*+)*+"')
        self._unclosed_field = re.compile(start + rb'"')
        self._field_end = re.compile(rb" *(?:\Z|[\r\n]|%s)" % re.escape(self.separator))

    def plain(self, data: bytes) -> bytes:
        """The plain form of rows, of the same length."""
        if b'"' not in data:
            return data
        return self._quoted_field.sub(lambda match: match[1] + b"x" * (len(match[0]) - len(match[1])), data)

    def unclosed_field(self, plain: bytes) -> int | None:
        """The offset of a quotation mark that opens a field and is never closed; None if there is none."""
        match = self._unclosed_field.search(plain) if b'"' in plain else None
        return None if match is None else match.end() - 1

    def misplaced_quote(self, data: bytes) -> int | None:
        """The offset of a quoted field that goes on behind its closing quotation mark; None if there is none."""
        fields = self._quoted_field.finditer(data)
        return next((field.start() for field in fields if not self._field_end.match(data, field.end())), None)

    def complete_rows(self, data: bytes) -> bytes:
        """The plain form of the rows that end within the bytes."""
        plain = self.plain(data)
        unclosed = self.unclosed_field(plain)
        stop = len(plain) if unclosed is None else unclosed
        # "\r" at the end may be the first half of "\r\n"
        end = plain.rfind(b"\n", 0, stop) + 1 or plain.rfind(b"\r", 0, min(stop, len(plain) - 1)) + 1
        return plain[:end]

    def with_line_feeds(self, data: bytes, keeps_empty_lines: bool) -> bytes:
        """The rows, each of which ends with a line feed whatever its line end was."""
        if b"\r" not in data and (keeps_empty_lines or (b"\n\n" not in data and not data.startswith(b"\n"))):
            return data
        if b'"' not in data and keeps_empty_lines and data.count(b"\r") == data.count(b"\r\n"):
            return data.replace(b"\r\n", b"\n")
        return b"".join(data[slice(*row.span())] + b"\n" for row in _ROW.finditer(self.plain(data)))


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
        self._plain = syntax.plain(data)
        self.spans = [row.span() for row in _ROW.finditer(self._plain)]

    def line(self, row: int) -> int:
        """The line, from 1, on which a row begins."""
        return self.position(row, 0)[0]

    def position(self, row: int, field: int) -> tuple[int, int]:
        """The line and the column, from 1, of a field of a row; both are counted from 0."""
        offset, stop = self.spans[row]
        for _ in range(field):
            offset = self._plain.find(self._separator, offset, stop) + len(self._separator)
        line_start = max(self.data.rfind(b"\n", 0, offset), self.data.rfind(b"\r", 0, offset)) + 1
        column = len(self.data[line_start:offset].decode(errors="replace")) + 1
        return self._first_line + count_lines(self.data, offset), column

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
