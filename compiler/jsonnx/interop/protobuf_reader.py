"""Reads the fields of a protocol buffer directly from the file; large fields are not loaded unless requested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from ..core.limits import MAX_ONNX_FIELDS

BUFFER_BYTES = 1 << 16
"""Bytes read at once."""


class DecodeError(ValueError):
    """The bytes are malformed; the message is the reason."""


class BufferedFile:
    """A file with random access through a buffer, and a limit on the number of fields."""

    def __init__(self, file: IO[bytes], max_fields: int = MAX_ONNX_FIELDS) -> None:
        self._file, self._fields_left = file, max_fields
        self._buffer_start, self._buffer = 0, b""
        self.size = file.seek(0, 2)

    def read(self, start: int, end: int) -> bytes:
        if not self._buffer_start <= start <= end <= self._buffer_start + len(self._buffer):
            self._file.seek(start)
            self._buffer_start, self._buffer = start, self._file.read(max(BUFFER_BYTES, end - start))
        data = self._buffer[start - self._buffer_start : end - self._buffer_start]
        if len(data) < end - start:
            raise DecodeError("the file ends too early")
        return data

    def byte(self, offset: int) -> int:
        index = offset - self._buffer_start
        return self._buffer[index] if 0 <= index < len(self._buffer) else self.read(offset, offset + 1)[0]

    def count_field(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise DecodeError(f"it has more than {MAX_ONNX_FIELDS:,} fields")


@dataclass(frozen=True)
class Message:
    """A part of a file that contains fields."""

    file: BufferedFile
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """Yields number and value of each field: an integer, or a message for any other type. Raises DecodeError."""
        return ((number, value) for number, value, _ in self.fields_with_ends())

    def fields_with_ends(self) -> Iterator[tuple[int, int | Message, int]]:
        """As `fields`, with the offset after each field, where the next one starts."""
        offset = self.start
        while offset < self.end:
            self.file.count_field()
            key, offset = self._read_varint(offset)
            number, wire_type = key >> 3, key & 7
            if number == 0 or wire_type not in (0, 1, 2, 5):
                raise DecodeError(f"there is no field at byte {offset:,}")
            if wire_type == 0:
                value, offset = self._read_varint(offset)
                yield number, value, offset
                continue
            length = {1: 8, 5: 4}.get(wire_type, 0)
            if wire_type == 2:
                length, offset = self._read_varint(offset)
            if offset + length > self.end:
                bytes_left = self.end - offset
                raise DecodeError(
                    f"the field at byte {offset:,} has {length:,} bytes, but only {bytes_left:,} are left"
                )
            yield number, Message(self.file, offset, offset + length), offset + length
            offset += length

    def integers(self) -> Iterator[int]:
        """Yields the values of a packed field of integers."""
        offset = self.start
        while offset < self.end:
            self.file.count_field()
            value, offset = self._read_varint(offset)
            yield to_signed_int64(value)

    def text(self) -> str:
        return self.file.read(self.start, self.end).decode(errors="replace")

    def _read_varint(self, offset: int) -> tuple[int, int]:
        """The integer at an offset and the offset after it. Most integers have one byte."""
        if offset < self.end and (first := self.file.byte(offset)) < 0x80:
            return first, offset + 1
        value = 0
        for index, byte in enumerate(self.file.read(offset, min(offset + 10, self.end))):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & (1 << 64) - 1, offset + index + 1
        raise DecodeError(f"the integer at byte {offset:,} does not end")


def to_signed_int64(value: int) -> int:
    """Interprets an unsigned 64-bit integer as two's complement."""
    return value - (1 << 64) if value >> 63 else value
