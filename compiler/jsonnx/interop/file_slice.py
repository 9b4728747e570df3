"""A part of an open file, read without moving the file's position."""

from __future__ import annotations

import mmap
import os
from typing import NamedTuple

MIN_MAPPED_BYTES = 1 << 26
"""Size of a file from which on it is mapped, in bytes: smaller ones are read, so that they may be overwritten."""


class FileSlice(NamedTuple):
    """The `length` bytes of an open file from `start` on; offsets are relative to `start`."""

    file_descriptor: int
    start: int
    length: int

    def read_into(self, buffer: memoryview, offset: int) -> bool:
        """Fills a buffer; returns False if the slice or the file ends before."""
        if offset < 0 or offset + len(buffer) > self.length:
            return False
        filled = 0
        while filled < len(buffer):
            count = _read_at(self.file_descriptor, buffer[filled:], self.start + offset + filled)
            if not count:
                return False
            filled += count
        return True

    def mapped(self) -> memoryview:
        """A read-only mapping of the slice. Raises OSError or ValueError if the file ends before."""
        mapping = mmap.mmap(self.file_descriptor, self.start + self.length, access=mmap.ACCESS_READ)
        return memoryview(mapping)[self.start :]

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes, fewer at the end of the slice."""
        buffer = bytearray(max(0, min(count, self.length - offset)))
        return bytes(buffer) if self.read_into(memoryview(buffer), offset) else b""


def _read_at(file_descriptor: int, buffer: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(file_descriptor, [buffer], offset)
    os.lseek(file_descriptor, offset, os.SEEK_SET)
    data = os.read(file_descriptor, len(buffer))
    buffer[: len(data)] = data
    return len(data)
