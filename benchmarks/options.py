"""Options of a benchmark run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .referee import Turns


@dataclass(frozen=True)
class Options:
    """The options, which are the same for all parts."""

    turns: Turns
    threads: int
    only: tuple[str, ...]
    """Names of the workloads to measure; all if empty."""
    contestants: tuple[str, ...]
    """Names of the contestants; all if empty."""
    quick: bool
    folder: Path
    """A temporary folder."""
    tell: Callable[[str], None]
    """Prints a progress message."""

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

    def among(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the names of the selected contestants."""
        return tuple(name for name in names if not self.contestants or name in self.contestants)
