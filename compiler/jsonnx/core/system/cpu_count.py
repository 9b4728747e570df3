"""The number of CPUs that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from operator import index
from pathlib import Path

MAX_THREADS = 256
"""Threads that a program may ask for, or twice the number of the machine's CPUs if that is more."""


def checked_thread_count(threads: int | None) -> int:
    """The number of threads that a program asks for; None stands for `thread_count()`. Raises TypeError, ValueError."""
    if threads is None:
        return thread_count()
    try:
        number = index(threads)
    except TypeError:
        raise TypeError(f"threads must be an integer, got {threads!r}") from None
    limit = max(MAX_THREADS, 2 * (os.cpu_count() or 1))
    if not 1 <= number <= limit:
        raise ValueError(f"threads must be from 1 to {limit}, got {number}")
    return number


def thread_count() -> int:
    """The number of CPUs in the affinity mask of this process, limited by the CPU quota of its control groups; at least
    1.

    onnxruntime would by default count the CPUs of the whole machine.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([usable, *(ceil(quota) for quota in _cpu_quotas())]))


def _cpu_quotas(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Iterator[float]:
    """The CPU quotas, in CPUs, of the control groups that contain this process."""
    for group in {root, *cgroup_folders(root, membership, "cpu")}:
        try:  # version 2: "200000 100000" or "max 100000"
            quota, period = (group / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        except (OSError, ValueError):
            pass
        try:  # version 1: -1 stands for no limit
            cpus = int((group / "cpu.cfs_quota_us").read_text()) / int((group / "cpu.cfs_period_us").read_text())
            if cpus > 0:
                yield cpus
        except (OSError, ValueError, ZeroDivisionError):
            pass


def cgroup_folders(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """The folders of this process' control group of a controller and of all groups above it."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controller if controllers else root
        path = base / name.lstrip("/")
        yield path
        yield from (parent for parent in path.parents if parent.is_relative_to(root))
