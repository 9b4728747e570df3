"""What a tracker gets: a run when it starts, its metrics, and how it ends."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.files.files import read_without_links, write_atomically
from ..core.invisible_characters import escape_json

Parameter = str | int | float | bool | None


@dataclass(frozen=True)
class TrackedRun:
    """A run that starts, or continues after `step` steps."""

    folder: Path
    is_resumed: bool
    step: int
    parameters: Mapping[str, Parameter]
    """Values of the spec and of the command, by their paths in the spec. As in the tags, invisible characters are
    escaped."""
    tags: Mapping[str, str]
    spec_file: Path

    def __post_init__(self) -> None:
        for name in ("parameters", "tags"):
            object.__setattr__(self, name, escape_json(dict(getattr(self, name))))

    @property
    def name(self) -> str:
        return self.folder.resolve().name


class RunTracker(ABC):
    """Shows the metrics of one run. Any exception of a method ends the tracking of the run, not its training."""

    @abstractmethod
    def start(self, run: TrackedRun) -> None:
        """Starts a run of the tracker, or continues a resumed run's."""

    @abstractmethod
    def figures(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Takes metrics after a number of steps since the start of the run; `epoch` counts from 0."""

    @abstractmethod
    def end(self, state: str) -> None:
        """Ends the run as `finished`, `interrupted`, `diverged` or `failed`."""


def read_run_key(path: Path) -> dict[str, str]:
    """The key of the tracker's run, from a file that `write_run_key` wrote; empty without a readable one."""
    try:
        key = json.loads(read_without_links(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return key if isinstance(key, dict) else {}


def write_run_key(path: Path, **key: str) -> None:
    write_atomically(path, (json.dumps(key, indent=2) + "\n").encode(), follows_links=False)
