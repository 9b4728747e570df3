"""How busy the machine is, and with whom: a turn that was shared with somebody else is no measurement."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
COARSE = 3
"""Ticks that are nobody's: the system counts by samples."""


class Watch:
    """The share of one processor that others than one process (and what waits) took since it was made.

    Where the system does not tell, 0.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._start = perf_counter()
        self._all, self._own = _all_ticks(), _own_ticks(pid)

    def foreign(self) -> float:
        wall = perf_counter() - self._start
        others = (_all_ticks() - self._all) - (_own_ticks(self.pid) - self._own) - COARSE
        return max(0.0, others / TICK / wall)


def _all_ticks() -> int:
    """Time that all processors worked, and that the hypervisor gave to others."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return 0
    user, nice, system, _idle, _waiting, irq, soft, steal = fields
    return user + nice + system + irq + soft + steal


def _own_ticks(pid: int) -> int:
    """Time that one process worked."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def peak_memory() -> float:
    """The most memory, in MB, that this process had."""
    try:
        return _status("VmHWM")
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory() -> float:
    """The memory, in MB, that this process has now."""
    try:
        return _status("VmRSS")
    except (OSError, StopIteration):
        return peak_memory()


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key + ":")).split()[1]) / 1024
