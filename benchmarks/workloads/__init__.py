"""What is measured: every workload is one spec of ours, from which all contestants get the same network."""

from __future__ import annotations

from . import classic, deployed, others, wider
from .workload import Workload

CLASSIC = tuple(w.name for w in classic.ALL)
TRAINING: dict[str, Workload] = {w.name: w for w in (*classic.ALL, *others.ALL)}
WIDER: dict[str, Workload] = {w.name: w for w in wider.ALL}
INFERENCE: dict[str, Workload] = {w.name: w for w in deployed.ALL}

__all__ = ["CLASSIC", "INFERENCE", "TRAINING", "WIDER", "Workload"]
