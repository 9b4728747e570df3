"""How much of the machine this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path


def thread_count() -> int:
    """The processors this process may run on, no more than its control group's share of time; at least 1.

    Always told to onnxruntime: left to itself it counts those of the whole machine.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([usable, *(ceil(quota) for quota in _cpu_quotas())]))


def _cpu_quotas(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[float]:
    """Processors' worth of time that the control groups around this process allow."""
    for group in {root, *_cgroup_folders(root, own)}:
        try:  # version 2: "200000 100000" or "max 100000"
            quota, period = (group / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        except (OSError, ValueError):
            pass
        try:  # version 1: -1 where there is no limit
            allowed = int((group / "cpu.cfs_quota_us").read_text()) / int((group / "cpu.cfs_period_us").read_text())
            if allowed > 0:
                yield allowed
        except (OSError, ValueError, ZeroDivisionError):
            pass


def _cgroup_folders(root: Path, own: Path) -> Iterator[Path]:
    """The group of this process and all above it."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        path = base / name.lstrip("/")
        yield path
        yield from (parent for parent in path.parents if parent.is_relative_to(root))
