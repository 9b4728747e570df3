"""Detects other processes on the machine, since a turn during which they run is disturbed, and measures memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
MAX_FOREIGN_SHARE = 0.04
"""The share of a processor that other processes may use in an undisturbed turn.

It is small, since one preempted thread makes all threads wait at the next barrier; on an idle machine about half of it
is used.
"""

REST_SECONDS = 0.02
"""Seconds without work after which a process is at rest."""
MAX_REST_SECONDS = 10.0
"""Longest time to wait for a process to come to rest."""


class Watch:
    """Detects whether other processes used the processors of a process since the watch was created.

    Only Linux has the statistics; elsewhere no other process is detected.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.processors = os.sched_getaffinity(pid) if hasattr(os, "sched_getaffinity") else set()
        self._start, self._start_idle, self._start_work = perf_counter(), self._total_idle(), self._total_work()

    def shared(self) -> bool:
        wall = perf_counter() - self._start
        busy = len(self.processors) * wall - (self._total_idle() - self._start_idle)
        return busy - self.worked() > MAX_FOREIGN_SHARE * wall + 1 / TICK

    def worked(self) -> float:
        """Returns the processor time of the process since the watch was created."""
        return self._total_work() - self._start_work

    def runnable(self) -> bool:
        """Tells whether a thread of the process runs or waits for a processor."""
        for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with suppress(OSError):  # the thread may have ended
                if stat.read_text().rpartition(")")[2].split()[0] == "R":
                    return True
        return False

    def _total_idle(self) -> float:
        """Returns the idle time of the processors since the start of the system."""
        try:
            lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        except OSError:
            return perf_counter() * len(self.processors)
        names = {f"cpu{number}" for number in self.processors}
        return sum(int(line[4]) + int(line[5]) for line in lines if line[0] in names) / TICK

    def _total_work(self) -> float:
        """Returns the processor time of all live threads of the process."""
        total = 0
        for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # the thread may have ended
                total += int(thread.read_text().split()[0])
        return total / 1e9


def rest(pid: int) -> None:
    """Waits until a process is idle.

    Threads of runtimes spin for a while after their work, which would take processors from the next contestant.
    """
    end = perf_counter() + MAX_REST_SECONDS
    while perf_counter() < end:
        watch = Watch(pid)
        sleep(REST_SECONDS)
        if watch.worked() < REST_SECONDS / 10 and not watch.runnable():
            return


def peak_memory() -> float:
    """Returns the peak memory of this process in MB."""
    try:
        return _status("VmHWM")
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reset_peak_memory() -> None:
    """Lets `peak_memory` count from here; without an effect where the system cannot do it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory() -> float:
    """Returns the current memory of this process in MB."""
    try:
        return _status("VmRSS")
    except (OSError, StopIteration):
        return peak_memory()


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key + ":")).split()[1]) / 1024
