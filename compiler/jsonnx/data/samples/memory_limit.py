"""The maximum size of data that are loaded into memory."""

from __future__ import annotations

from functools import cache

from ...core.system.memory import memory_limit

MAX_LOADED_BYTES = 1 << 30
"""Bytes of data that are loaded into memory unless the spec says otherwise."""
MAX_LOADED_SHARE = 4
"""Data are loaded if they take at most this part of the memory: a quarter."""


def streams(memory: str, size: int) -> bool:
    """Whether data of a size in bytes stay in their files, by the setting `memory` of the spec."""
    return memory == "stream" or (memory == "auto" and size > auto_stream_bytes())


@cache
def auto_stream_bytes() -> int:
    """The minimum size, in bytes, of data that are read batch by batch if the spec's `memory` is `auto`."""
    return min(MAX_LOADED_BYTES, memory_limit() // MAX_LOADED_SHARE)
