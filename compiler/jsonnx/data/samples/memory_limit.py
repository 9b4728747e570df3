"""The memory that this process may use, and the maximum size of data that are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ...core.system.cpu_count import cgroup_folders

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


def memory_limit() -> int:
    """The machine's memory, limited by the control groups of this process, in bytes."""
    return min([_physical_bytes(), *_cgroup_limits()])


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return MAX_LOADED_BYTES * MAX_LOADED_SHARE


def _cgroup_limits(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """The memory limits of the control groups that contain this process, in bytes."""
    for group in {root, root / "memory", *cgroup_folders(root, membership, "memory")}:
        for file in ("memory.max", "memory.limit_in_bytes"):  # versions 2 and 1
            try:
                limit = int((group / file).read_text())  # "max" stands for no limit
            except (OSError, ValueError):
                continue
            if limit > 0:
                yield limit
