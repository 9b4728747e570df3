"""Blocks of lines of a file: the bytes of each, and the rows that it has.

A block ends where a row ends, so that each is parsed by itself. The blocks of a file depend on its contents alone.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from threading import Lock
from typing import IO, Any, NamedTuple

import numpy as np

from ...core.diagnostics import UsageError

BLOCK_BYTES = 1 << 20
"""Bytes of a block, which ends with the row that reaches them."""
FIRST_BLOCK_BYTES = 1 << 14
"""Bytes of the first block of a table of separated values, from which the columns are known: the header and a row."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextBlock(NamedTuple):
    """Some lines of a file."""

    start: int
    """The offset of its first byte."""
    stop: int
    first_line: int
    """The number of its first line, from 1."""
    first_row: int
    row_count: int
    is_damaged: bool = False
    """Whether it begins with a row that cannot be read."""


class BlockFile:
    """Reads blocks of an open file, which may be closed afterwards."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self._lock = name, Lock()
        self._file = os.fdopen(os.dup(file.fileno()), "rb", buffering=0)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes of a block. Raises UsageError if the file was shortened."""
        parts, missing = [], stop - start
        with self._lock:  # other threads move the same position
            self._file.seek(start)
            while missing and (part := self._file.read(missing)):
                parts.append(part)
                missing -= len(part)
        if missing:
            message = f"cannot read {self.name!r}: the file was shortened while it was in use"
            raise UsageError("unreadable-file", message, "write a changed file under another name, then rename it")
        return b"".join(parts)


def csv_blocks(file: IO[bytes], size: int, separator: str) -> Iterator[TextBlock]:
    """The blocks of a table of separated values of `size` bytes; the first one has the header, which is no row.

    A row that cannot be read begins the last block, whose parser finds the fault.
    """
    file.seek(0)
    start = len(BYTE_ORDER_MARK) if file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK else 0
    line, row = 1, -1  # the header
    while start < size:
        file.seek(start)
        is_first = row < 0
        wanted_bytes, wanted_rows = (min(BLOCK_BYTES, FIRST_BLOCK_BYTES), 2) if is_first else (BLOCK_BYTES, 1)
        data = file.read(wanted_bytes)
        end = len(data) if start + len(data) >= size else data.rfind(b"\n") + 1
        data = data[:end]
        plain_lines = _plain_line_count(data)
        if plain_lines >= wanted_rows:
            stop, line_count, row_count, is_damaged = start + end, plain_lines, plain_lines, False
        else:
            stop, line_count, row_count, is_damaged = _parsed_rows(file, start, wanted_bytes, wanted_rows, separator)
            if is_damaged and row + row_count <= 0:  # with the header
                stop = min(start + BLOCK_BYTES, size)
        first_row = max(row, 0)
        yield TextBlock(start, stop, line, first_row, row + row_count - first_row)
        if is_damaged:
            if stop < size:
                rest = min(stop + BLOCK_BYTES, size)
                yield TextBlock(stop, rest, line + line_count, row + row_count, 1, is_damaged=True)
            return
        start, line, row = stop, line + line_count, row + row_count


def _plain_line_count(data: bytes) -> int:
    """The number of lines if each is a row: none is empty, and none is a part of a quoted text; else 0."""
    if not data or b'"' in data or data.startswith((b"\n", b"\r")):
        return 0
    if b"\r" in data and (data.count(b"\r") != data.count(b"\r\n") or b"\r\n\r\n" in data):
        return 0
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    return 0 if (np.diff(ends) == 1).any() else len(ends) + (not data.endswith(b"\n"))


def _parsed_rows(
    file: IO[bytes], start: int, wanted_bytes: int, wanted_rows: int, separator: str
) -> tuple[int, int, int, bool]:
    """The end of a block of rows that begins at an offset and has at least the wanted size, its lines and its rows, and
    whether the next row cannot be read."""
    file.seek(start)
    text = io.TextIOWrapper(io.BufferedReader(_Unclosed(file)), "utf-8", newline="")
    stop, rows = start, 0
    end, lines = start, 0

    def counted() -> Iterator[str]:
        nonlocal end, lines
        for line in text:
            end, lines = end + (len(line) if line.isascii() else len(line.encode())), lines + 1
            yield line

    counted_lines = 0
    try:
        for fields in csv.reader(counted(), delimiter=separator, strict=True):
            stop, counted_lines, rows = end, lines, rows + bool(fields)
            if stop - start >= wanted_bytes and rows >= wanted_rows:
                break
    except (csv.Error, UnicodeDecodeError):
        return stop, counted_lines, rows, True
    return stop, counted_lines, rows, False


class _Unclosed(io.RawIOBase):
    """A file that is read through a buffer and stays open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._source = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def json_blocks(file: IO[bytes], size: int, names: dict[str, None]) -> Iterator[TextBlock]:
    """The blocks of a file with one object a line. Adds the keys of all objects to `names`, in their order.

    A line that cannot be read ends the blocks: its parser finds the fault.
    """
    file.seek(0)
    start = len(BYTE_ORDER_MARK) if file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK else 0
    file.seek(start)
    stop, first_line, line, first_row, row = start, 1, 1, 0, 0
    for text in file:
        stop, line = stop + len(text), line + 1
        if not text.isspace():
            row += 1
            try:
                names.update(dict.fromkeys(json.loads(text)))
            except (ValueError, TypeError, RecursionError):
                break
        if stop - start >= BLOCK_BYTES:
            yield TextBlock(start, stop, first_line, first_row, row - first_row)
            start, first_line, first_row = stop, line, row
    if stop > start:
        yield TextBlock(start, stop, first_line, first_row, row - first_row)
