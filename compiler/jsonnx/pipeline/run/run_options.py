"""How a training run starts, and how it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...core.diagnostics import Diagnostic
from ...runtime.providers.provider_options import ProviderOptions
from ..train.run_data import SPEC_FILES, DataFiles
from .lock_file import LockedRun

Warn = Callable[[list[Diagnostic]], None]
"""Called with warnings."""


def no_warning(diagnostics: list[Diagnostic]) -> None:
    """Ignores warnings."""


@dataclass(frozen=True)
class RunOptions:
    """How a run starts, and how it saves: the options of `jsonnx train`."""

    provider: str = "cpu"
    seed: int | None = None
    weights: str | None = None
    partial: bool = False
    resume: bool = False
    force: bool = False
    exact: bool = False
    """Whether a run that cannot be resumed bit for bit is an error."""
    continue_on_save_error: bool = False
    """Whether the run goes on if a checkpoint cannot be written. The last one must be."""
    verify: bool = True
    """Whether initial weights must be those that their digest tells."""
    data: DataFiles = SPEC_FILES
    """Files that replace the spec's training and validation data."""
    data_roots: tuple[str, ...] = ()
    """Folders whose files the spec may name as data, besides its own folder."""
    scale: str | None = None
    changes: tuple[str, ...] = ()
    """The scale and the changes that the spec was checked with, for `run.json`."""
    provider_options: ProviderOptions | None = None

    strict: bool = False
    """Whether it is an error if large nodes run on the CPU instead of the provider."""

    threads: int | None = None
    """The number of threads; all that this process may use if None."""
    lock: LockedRun | None = None
    """The run of a lock file that must be reproduced."""
    trackers: tuple[str, ...] = ()
    """The names of trackers besides those of the spec."""

    @property
    def may_overwrite(self) -> bool:
        return self.resume or self.force


DEFAULT_OPTIONS = RunOptions()
