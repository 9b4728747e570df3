"""Protocol buffers as bytes on disk: fields one by one, nothing copied that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

BUFFER_BYTES = 1 << 16
"""Bytes read at once: of a large field no more than its head is read."""

MAX_FIELDS = 2_000_000
"""Fields of one file. A model that keeps its weights as bytes has some tens for each of its operators."""


class DecodeError(ValueError):
    """The bytes are not what they should be; the message says in what way."""


class BufferedFile:
    """A file that is read here and there, with a budget."""

    def __init__(self, file: IO[bytes], max_fields: int = MAX_FIELDS) -> None:
        self._file, self._fields_left = file, max_fields
        self._buffer_start, self._buffer = 0, b""
        self.size = file.seek(0, 2)

    def read(self, start: int, end: int) -> bytes:
        if not self._buffer_start <= start <= end <= self._buffer_start + len(self._buffer):
            self._file.seek(start)
            self._buffer_start, self._buffer = start, self._file.read(max(BUFFER_BYTES, end - start))
        found = self._buffer[start - self._buffer_start : end - self._buffer_start]
        if len(found) < end - start:
            raise DecodeError("the file ends too early")
        return found

    def byte(self, offset: int) -> int:
        index = offset - self._buffer_start
        return self._buffer[index] if 0 <= index < len(self._buffer) else self.read(offset, offset + 1)[0]

    def count_field(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise DecodeError(f"it has more than {MAX_FIELDS:,} fields")


@dataclass(frozen=True)
class Message:
    """A part of a file that holds fields."""

    file: BufferedFile
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """Number and value: an integer, or what has a length (or a fixed one) as a message. Raises Damaged."""
        at = self.start
        while at < self.end:
            self.file.count_field()
            key, at = self._read_varint(at)
            number, wire = key >> 3, key & 7
            if number == 0 or wire not in (0, 1, 2, 5):
                raise DecodeError(f"at byte {at:,} no field begins")
            if wire == 0:
                value, at = self._read_varint(at)
                yield number, value
                continue
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, at = self._read_varint(at)
            if at + length > self.end:
                raise DecodeError(f"at byte {at:,} a field of {length:,} bytes begins where {self.end - at:,} are left")
            yield number, Message(self.file, at, at + length)
            at += length

    def integers(self) -> Iterator[int]:
        """The integers that stand in it one after the other."""
        at = self.start
        while at < self.end:
            self.file.count_field()
            value, at = self._read_varint(at)
            yield to_signed_int64(value)

    def text(self) -> str:
        return self.file.read(self.start, self.end).decode(errors="replace")

    def _read_varint(self, offset: int) -> tuple[int, int]:
        """The integer at a place, and the place after it; most are of one byte."""
        if offset < self.end and (first := self.file.byte(offset)) < 0x80:
            return first, offset + 1
        value = 0
        for index, byte in enumerate(self.file.read(offset, min(offset + 10, self.end))):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & (1 << 64) - 1, offset + index + 1
        raise DecodeError(f"at byte {offset:,} an integer does not end")


def to_signed_int64(value: int) -> int:
    """A 64-bit integer in two's complement."""
    return value - (1 << 64) if value >> 63 else value
