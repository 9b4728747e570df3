"""What the workers of a training tell of their nodes before it starts, and what must be equal on all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.diagnostics import UsageError
from ..core.system.cpu_count import thread_count

SHARED_FILES_HELP = "put it on storage that all nodes share, or copy it to the same path on each node"

Address = tuple[str, int]


@dataclass(frozen=True)
class NodeChecks:
    """What each worker looks at. `files` are the files that a training reads, by absolute paths, with their sizes on
    the machine that has started it: None for those that it has not."""

    files: tuple[tuple[str, int | None], ...]
    version: str

    def run(self) -> str | None:
        """What this node lacks, as a clause; None if it has everything."""
        from ..backend import package_version

        if package_version() != self.version:
            return f"it has jsonnx {package_version()}, and the machine that has started the training {self.version}"
        for path, size in self.files:
            here = file_size(path)
            if here is None:
                return f"it has no file {path!r}"
            if size is not None and here != size:
                return f"its file {path!r} has {here:,} bytes instead of {size:,}"
        return None


@dataclass(frozen=True)
class WorkerPlace:
    """The node of a worker."""

    node: str
    """The address of the node."""
    missing: str | None
    listener: Address
    """Where it waits for the other workers."""


def file_size(path: str) -> int | None:
    """The size of a file, 0 for a folder; None if there is none."""
    try:
        return os.stat(path).st_size if not Path(path).is_dir() else 0
    except OSError:
        return None


def missing_error(places: Sequence[WorkerPlace]) -> UsageError | None:
    """The error of the first node that lacks something."""
    for place in places:
        if place.missing is not None:
            return UsageError("ray-node", f"node {place.node}: {place.missing}", SHARED_FILES_HELP)
    return None


def bind_cpus(first: int, count: int, workers_here: int) -> None:
    """Binds this process to its part of the CPUs, if the workers of a training take all CPUs of this node."""
    if sys.platform != "linux":
        return
    usable = sorted(os.sched_getaffinity(0))
    if workers_here > 1 and count * workers_here == len(usable) == thread_count():
        os.sched_setaffinity(0, usable[first * count : (first + 1) * count])
