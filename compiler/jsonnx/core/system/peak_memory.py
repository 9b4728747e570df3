"""The memory that this process has, and the greatest that it has had."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from .memory import status_entry

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024

PROCESS_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int | None:
    """The greatest resident memory of the process so far, in bytes; None on systems that do not tell it."""
    peak = status_entry(PROCESS_STATUS, "VmHWM:")
    if peak is not None:  # `getrusage` counts the memory of the process that started this one, too
        return peak << 10
    if find_spec("resource") is None:  # Windows
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES


def resident_memory_bytes() -> int | None:
    """The resident memory of the process, in bytes; None on systems other than Linux."""
    resident = status_entry(PROCESS_STATUS, "VmRSS:")
    return None if resident is None else resident << 10
