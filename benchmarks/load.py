"""How busy the machine is, and with whom: a turn that was shared with somebody else is no measurement."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
FOREIGN = 0.04
"""The share of a processor that others may have taken. It is small, since a thread that is pushed aside has all others
wait at their next barrier; on an idle machine it is half of that."""

REST = 0.02
"""Seconds without work after which a process rests."""
RESTLESS = 1.0
"""Seconds after which this is waited for no longer."""


class Watch:
    """Whether somebody else used a process's processors since it was made. Where the system does not tell (other than
    Linux), nobody did."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.processors = os.sched_getaffinity(pid) if hasattr(os, "sched_getaffinity") else set()
        self._start, self._idle, self._own = perf_counter(), self._idled(), self._worked()

    def shared(self) -> bool:
        wall = perf_counter() - self._start
        busy = len(self.processors) * wall - (self._idled() - self._idle)
        return busy - self.worked() > FOREIGN * wall + 1 / TICK

    def worked(self) -> float:
        """Seconds that the process's threads worked since then."""
        return self._worked() - self._own

    def _idled(self) -> float:
        """Seconds that its processors had nothing to do."""
        try:
            lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        except OSError:
            return perf_counter() * len(self.processors)
        wanted = {f"cpu{number}" for number in self.processors}
        return sum(int(line[4]) + int(line[5]) for line in lines if line[0] in wanted) / TICK

    def _worked(self) -> float:
        """Seconds that its threads worked at all."""
        total = 0
        for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # it may have ended
                total += int(thread.read_text().split()[0])
        return total / 1e9


def rest(pid: int) -> None:
    """Wait until a process does nothing: threads spin on for a while, waiting for more work (onnxruntime's a tenth of
    a second on a slow machine), and whoever comes next would have a processor less."""
    end = perf_counter() + RESTLESS
    while perf_counter() < end:
        watch = Watch(pid)
        sleep(REST)
        if watch.worked() < REST / 10:
            return


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
