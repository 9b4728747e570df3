"""Memory that processes of one host share: anonymous files (`memfd`), which have no name and end with their last user.

Another process of the same user opens such a file by its owner's process and descriptor. Unlike files in `/dev/shm`,
nothing is left when a process is killed, and the size that containers give `/dev/shm` (64 MB in Docker) is no limit.
"""

from __future__ import annotations

import mmap
import os
import secrets
import stat
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

FILE_NAME = "jsonnx-collective"
PAGE_BYTES = 4096
"""The part of a segment before its data, which begins with the segment's key."""


class SegmentKey(NamedTuple):
    """What another process needs to open a segment. The secret tells it from what else may be open there."""

    process_id: int
    descriptor: int
    size: int
    secret: bytes


NO_SEGMENT = SegmentKey(0, 0, 0, bytes(16))
KEY = struct.Struct("<IIQ16s")


class Segment:
    """A segment of this process."""

    def __init__(self, size: int) -> None:
        self.size = size
        descriptor = os.memfd_create(FILE_NAME)
        try:
            os.ftruncate(descriptor, PAGE_BYTES + size)
            self._map = mmap.mmap(descriptor, PAGE_BYTES + size)
        except BaseException:
            os.close(descriptor)
            raise
        self.key = SegmentKey(os.getpid(), descriptor, size, secrets.token_bytes(16))
        self._map[: KEY.size] = KEY.pack(*self.key)
        self.data = np.frombuffer(self._map, np.uint8, size, PAGE_BYTES)

    def write(self, contents: Mapping[int, Sequence[np.ndarray]]) -> dict[int, int]:
        """Replaces all data; returns where each content begins."""
        offsets = {}
        end = 0
        for name, pieces in contents.items():
            offsets[name] = end
            for piece in pieces:
                self.data[end : end + len(piece)] = piece
                end += len(piece)
        return offsets

    def close(self) -> None:
        """Ends the access of other processes that have not opened it; the memory is freed with its last user."""
        os.close(self.key.descriptor)


def open_segment(key: SegmentKey) -> np.ndarray | None:
    """The data of a segment of another process, read-only; None if it cannot be opened from here."""
    path = f"/proc/{key.process_id}/fd/{key.descriptor}"
    try:
        if not os.readlink(path).startswith(f"/memfd:{FILE_NAME}"):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != PAGE_BYTES + key.size:
            return None
        mapped = mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return np.frombuffer(mapped, np.uint8, key.size, PAGE_BYTES) if mapped[: KEY.size] == KEY.pack(*key) else None


def can_share() -> bool:
    return hasattr(os, "memfd_create")
