"""The process of a trial on the node where Ray has placed it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from ..core.diagnostics import UsageError
from ..hyperparameter_search.trials import FAILED, Curve, reasons_of
from ..pipeline.run_folder.run_info import INTERRUPTED
from ..pipeline.run_folder.run_lock import is_locked
from ..pipeline.sweep.trial_process import TrialProcess
from ..pipeline.sweep.trial_run import TrialJob, TrialResult

MAX_LOCK_SECONDS = 60.0
"""Seconds to wait for the end of the process that holds the lock of a RUN folder."""


class TrialStatus(NamedTuple):
    """What an actor reports of its run."""

    node: str
    """The address of the node."""
    curve: Curve
    result: TrialResult | None


class TrialActor:
    """Starts the process of a run and reports on it: an actor of Ray, which ends with the search.

    The process ends when the actor does, however that happens, since its standard input is closed then.
    """

    def __init__(self, number: int, job: TrialJob, folder: str, log_file: Path) -> None:
        """`folder` is the working directory of the search, which relative paths in the job refer to."""
        import ray.util

        self._number, self._job, self._folder, self._log_file = number, job, folder, log_file
        self._node: str = ray.util.get_node_ip_address()
        self._deadline = time.monotonic() + MAX_LOCK_SECONDS
        self._process: TrialProcess | None = None
        self._result: TrialResult | None = None

    def __repr__(self) -> str:
        return f"trial {self._number}"

    def status(self) -> TrialStatus:
        """Starts the run if no other process is writing to its folder, as that of a node that was lost may."""
        if self._process is None and self._result is None:
            self._start()
        if self._process is not None and self._result is None:
            self._result = self._process.poll()
        curve = self._process.curve() if self._process is not None else []
        return TrialStatus(self._node, curve, self._result)

    def tell_to_end(self) -> None:
        if self._process is not None:
            self._process.tell_to_end()
        else:
            self._result = self._result or TrialResult(INTERRUPTED)

    def end(self) -> None:
        """Ends the process at once."""
        if self._process is not None and self._result is None:
            self._process.kill()

    def _start(self) -> None:
        try:
            os.chdir(self._folder)
            if not self._log_file.parent.is_dir():
                raise FileNotFoundError(f"there is no folder {str(self._log_file.parent)!r}")
            if not is_locked(Path(self._job.folder)) or time.monotonic() > self._deadline:
                self._process = TrialProcess(self._job, self._log_file)
        except OSError as error:
            self._result = TrialResult(FAILED, reasons=[f"ray-node: node {self._node}: {error}"])
        except UsageError as error:
            self._result = TrialResult(FAILED, reasons=reasons_of([error.diagnostic]))
