"""What a run of the benchmarks is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .referee import Turns


@dataclass(frozen=True)
class Options:
    """The same for every part."""

    turns: Turns
    threads: int
    only: tuple[str, ...]
    """Names of workloads, or what names begin with; all where empty."""
    contestants: tuple[str, ...]
    """All where empty."""
    quick: bool
    folder: Path
    """For whatever is in the way later."""
    tell: Callable[[str], None]
    """Says what is being done."""

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

    def among(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the names that shall take part."""
        return tuple(name for name in names if not self.contestants or name in self.contestants)
