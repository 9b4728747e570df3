"""The workloads: each is a spec of jsonnx, from which the networks of all contestants are derived."""

from __future__ import annotations

from . import classic, deployed, others, wider
from .workload import Workload

CLASSIC = tuple(w.name for w in classic.ALL)
TRAINING: dict[str, Workload] = {w.name: w for w in (*classic.ALL, *others.ALL)}
WIDER: dict[str, Workload] = {w.name: w for w in wider.ALL}
INFERENCE: dict[str, Workload] = {w.name: w for w in deployed.ALL}

__all__ = ["CLASSIC", "INFERENCE", "TRAINING", "WIDER", "Workload"]
