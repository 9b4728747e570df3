"""Where the runs of trials are carried out: the search is the same on this machine and on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ...hyperparameter_search.trials import Curve
from .trial_run import TrialJob, TrialResult


class StartedRun(Protocol):
    """A run of a trial that a host has started."""

    def curve(self) -> Curve:
        """The metric of each epoch so far."""

    def poll(self) -> TrialResult | None:
        """The result; None while the run goes on. Not called again after a result."""

    def tell_to_end(self) -> None:
        """Asks the run to write a checkpoint and to end."""

    def kill(self) -> None:
        """Ends the run at once, and returns when it writes no more. Its RUN folder stays as after a crash."""


class TrialHost(Protocol):
    """Starts the runs of trials, each in a process of its own."""

    def threads_per_trial(self, jobs: int) -> int:
        """The threads of a trial for which the user asks none, if so many trials run at the same time."""

    def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
        """Checks before the first trial that runs can be carried out; `job` has the spec's own values, and the SWEEP
        folder as its folder. `on_status` is called with lines for the user. Raises UsageError, CompileError."""

    def start(self, number: int, job: TrialJob, log_file: Path) -> StartedRun:
        """Starts or continues a run of the trial with a number; what it prints is written to `log_file`."""

    def close(self) -> None:
        """Called at the end of the search."""
