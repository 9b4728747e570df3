"""Protocol buffers as bytes on disk: fields one by one, nothing copied that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

WINDOW = 1 << 16
"""Bytes read at once: of a large field no more than its head is read."""

FIELDS = 2_000_000
"""Fields of one file. A model that keeps its weights as bytes has some tens for each of its operators."""


class Damaged(ValueError):
    """The bytes are not what they should be; the message says in what way."""


class Bytes:
    """A file that is read here and there, with a budget."""

    def __init__(self, file: IO[bytes], fields: int = FIELDS) -> None:
        self._file, self._left = file, fields
        self._start, self._window = 0, b""
        self.size = file.seek(0, 2)

    def read(self, start: int, end: int) -> bytes:
        if not self._start <= start <= end <= self._start + len(self._window):
            self._file.seek(start)
            self._start, self._window = start, self._file.read(max(WINDOW, end - start))
        found = self._window[start - self._start : end - self._start]
        if len(found) < end - start:
            raise Damaged("the file ends too early")
        return found

    def byte(self, at: int) -> int:
        index = at - self._start
        return self._window[index] if 0 <= index < len(self._window) else self.read(at, at + 1)[0]

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Damaged(f"it has more than {FIELDS:,} fields")


@dataclass(frozen=True)
class Message:
    """A part of a file that holds fields."""

    bytes: Bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """Number and value: an integer, or what has a length (or a fixed one) as a message. Raises Damaged."""
        at = self.start
        while at < self.end:
            self.bytes.spend()
            key, at = self._varint(at)
            number, wire = key >> 3, key & 7
            if number == 0 or wire not in (0, 1, 2, 5):
                raise Damaged(f"at byte {at:,} no field begins")
            if wire == 0:
                value, at = self._varint(at)
                yield number, value
                continue
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, at = self._varint(at)
            if at + length > self.end:
                raise Damaged(f"at byte {at:,} a field of {length:,} bytes begins where {self.end - at:,} are left")
            yield number, Message(self.bytes, at, at + length)
            at += length

    def integers(self) -> Iterator[int]:
        """The integers that stand in it one after the other."""
        at = self.start
        while at < self.end:
            self.bytes.spend()
            value, at = self._varint(at)
            yield signed(value)

    def text(self) -> str:
        return self.bytes.read(self.start, self.end).decode(errors="replace")

    def _varint(self, at: int) -> tuple[int, int]:
        """The integer at a place, and the place after it; most are of one byte."""
        if at < self.end and (first := self.bytes.byte(at)) < 0x80:
            return first, at + 1
        value = 0
        for index, byte in enumerate(self.bytes.read(at, min(at + 10, self.end))):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & (1 << 64) - 1, at + index + 1
        raise Damaged(f"at byte {at:,} an integer does not end")


def signed(value: int) -> int:
    """A 64-bit integer in two's complement."""
    return value - (1 << 64) if value >> 63 else value
