"""What is trained: every workload is one spec of ours, from which all contestants get the same network."""

from __future__ import annotations

from . import classic, others
from .workload import Workload

WORKLOADS: dict[str, Workload] = {w.name: w for w in (*classic.ALL, *others.ALL)}

__all__ = ["WORKLOADS", "Workload"]
