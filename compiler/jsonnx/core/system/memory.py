"""The memory that this process may use, and the check that a task fits into it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from ..diagnostics import CompileError, Diagnostic
from ..limits import bytes_text
from .cpu_count import cgroup_folders

DEFAULT_MEMORY_BYTES = 4 << 30
"""The memory of a machine that does not tell how much it has, in bytes."""

MIN_CHECKED_BYTES = 1 << 30
"""Minimum size of a task, in bytes, that is compared with the available memory: smaller ones just begin."""

MEMORY_HELP = "end other programs, use a machine with more memory, or a smaller network"

_LIMIT_FILES = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""The files of a control group with the limit and the use of memory, in versions 2 and 1."""


def memory_limit() -> int:
    """The machine's memory, limited by the control groups of this process, in bytes."""
    return min([_physical_bytes(), *(limit for _, limit in _cgroup_limits())])


def available_memory() -> int:
    """The memory that this process can still get without swapping, in bytes."""
    groups = (_group_available(file, limit) for file, limit in _cgroup_limits())
    return min([_machine_available(), *groups, *_address_space_left()])


def require_memory(
    subject: str, needed_bytes: Mapping[str, int], file: str | None = None, help: str = MEMORY_HELP
) -> None:
    """Raises CompileError `too-large` if a task needs more memory than there is. `needed_bytes` has the parts of its
    need by their names, such as `weights`; the subject is what needs them."""
    total = sum(needed_bytes.values())
    if total < MIN_CHECKED_BYTES or total <= (available := available_memory()):
        return
    parts = ", ".join(f"{name} {bytes_text(size)}" for name, size in needed_bytes.items() if size)
    message = f"{subject} needs {bytes_text(total)} of memory ({parts}), and this machine has {bytes_text(available)}"
    raise CompileError([Diagnostic("too-large", f"{message} available", file=file, help=help)])


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return DEFAULT_MEMORY_BYTES


def _machine_available() -> int:
    """The free memory and what the system can free, such as cached files, in bytes; all memory where that is not
    told."""
    entry = status_entry(Path("/proc/meminfo"), "MemAvailable:")
    return _physical_bytes() if entry is None else entry << 10


def _group_available(file: Path, limit: int) -> int:
    """What the limit of a control group leaves, in bytes: cached files count as free."""
    try:
        used = int(file.with_name(_LIMIT_FILES[file.name]).read_text())
    except (OSError, ValueError):
        return limit
    cached = sum(status_entry(file.with_name("memory.stat"), name) or 0 for name in ("inactive_file", "active_file"))
    return max(0, limit - max(0, used - cached))


def _address_space_left() -> Iterator[int]:
    """What the limit of this process' address space leaves, in bytes, if it has one."""
    if find_spec("resource") is None:  # Windows
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = status_entry(Path("/proc/self/status"), "VmSize:")
    if limit != resource.RLIM_INFINITY and used is not None:
        yield max(0, limit - (used << 10))


def status_entry(file: Path, name: str) -> int | None:
    """The number behind a name in a file with a name and a number in each line."""
    try:
        lines = (line.split() for line in file.read_text().splitlines())
        return next((int(fields[1]) for fields in lines if fields[:1] == [name]), None)
    except (OSError, ValueError, IndexError):
        return None


def _cgroup_limits(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> Iterator[tuple[Path, int]]:
    """The memory limits of the control groups that contain this process, in bytes, with their files."""
    for group in {root, root / "memory", *cgroup_folders(root, membership, "memory")}:
        for file in _LIMIT_FILES:
            try:
                limit = int((group / file).read_text())  # "max" stands for no limit
            except (OSError, ValueError):
                continue
            if limit > 0:
                yield group / file, limit
