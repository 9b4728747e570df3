"""A stretch of an open file, read without moving the file's position."""

from __future__ import annotations

import os
from typing import NamedTuple


class Window(NamedTuple):
    """`length` bytes of an open file from `start` on; its own offsets begin at 0."""

    handle: int
    start: int
    length: int

    def read_into(self, buffer: memoryview, offset: int) -> bool:
        """Fill a buffer of bytes; False where the window, or the file, ends before."""
        if offset < 0 or offset + len(buffer) > self.length:
            return False
        filled = 0
        while filled < len(buffer):
            count = _read_at(self.handle, buffer[filled:], self.start + offset + filled)
            if not count:
                return False
            filled += count
        return True

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes, fewer at the end of the window."""
        buffer = bytearray(max(0, min(count, self.length - offset)))
        return bytes(buffer) if self.read_into(memoryview(buffer), offset) else b""


def _read_at(handle: int, buffer: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(handle, [buffer], offset)
    os.lseek(handle, offset, os.SEEK_SET)
    data = os.read(handle, len(buffer))
    buffer[: len(data)] = data
    return len(data)
