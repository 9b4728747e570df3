"""Processes that run trials: started, watched and ended by the process of the sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ...core.diagnostics import UsageError
from ...core.files.files import error_reason, open_without_links
from ...core.files.run_layout import RunPaths
from ...core.metric_values import finite_or_none
from ...core.system.cpu_count import thread_count
from ...hyperparameter_search.trials import FAILED, Curve
from ..run_folder.metric_files import metric_lines
from ..run_folder.run_info import INTERRUPTED
from .trial_run import TrialJob, TrialResult, job_line, result_from_line

MAX_LOG_CHARACTERS = 300
"""Characters at the end of what a killed process has printed that its reason quotes."""
TRIAL_MODULE = "jsonnx.pipeline.sweep.trial_main"
PACKAGE_PARENT = Path(__file__).parents[3]


class LocalHost:
    """Runs trials on this machine."""

    def threads_per_trial(self, jobs: int) -> int:
        """The usable CPUs, divided among the jobs."""
        return max(1, thread_count() // jobs)

    def prepare(self, job: TrialJob, on_status: Callable[[str], None]) -> None:
        """The search has checked the spec and its data on this machine."""

    def start(self, number: int, job: TrialJob, log_file: Path) -> TrialProcess:
        return TrialProcess(job, log_file)

    def close(self) -> None:
        """Each process is ended by the search."""


class TrialProcess:
    """A process that runs a job. It ends with this process, even if that is killed: its standard input is then closed.

    It has a session of its own, so that Ctrl-C in a terminal reaches only the sweep, which tells its trials.
    """

    def __init__(self, job: TrialJob, log_file: Path, program: Sequence[str] = (TRIAL_MODULE,)) -> None:
        """`program` is the module that runs the job, and its arguments."""
        self._log_file = log_file
        self._metrics = _MetricsFile(RunPaths(Path(job.folder)).metrics, job.metric)
        self._is_told_to_end = False
        paths = [str(PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
        try:
            # A result has a number for each epoch, and a pipe that is read at the end would block after 64 KiB.
            self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (`_close` closes it)
            with open(log_file, "wb", opener=open_without_links) as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", *program],
                    stdin=subprocess.PIPE,
                    stdout=self._output,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                    start_new_session=True,
                )
        except OSError as error:
            raise UsageError("system-failure", f"cannot start a process: {error_reason(error)}") from error
        with suppress(BrokenPipeError):  # a process that has died already is noticed by `poll`
            self._stdin.write(job_line(job))
            self._stdin.flush()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def curve(self) -> Curve:
        """The metric of each epoch so far."""
        return self._metrics.curve()

    def poll(self) -> TrialResult | None:
        """The result; None while the process runs."""
        if self._process.poll() is None:
            return None
        self._output.seek(0)
        output = self._output.read().decode(errors="replace").rstrip().rpartition("\n")[2]
        self._close()
        result = result_from_line(output)
        if result is None:
            state = INTERRUPTED if self._is_told_to_end else FAILED
            result = TrialResult(state, curve=self.curve(), reasons=[self._reason()])
        with suppress(OSError):
            if result.state != FAILED or not self._log_file.stat().st_size:
                self._log_file.unlink()
        return result

    def tell_to_end(self) -> None:
        """Asks the process to write a checkpoint and to end."""
        self._is_told_to_end = True
        with suppress(OSError):
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Tells the process to end, and kills it if it has not in these seconds."""
        self.tell_to_end()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Ends the process at once. Its RUN folder stays as after a crash."""
        self._is_told_to_end = True
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._close()
        with suppress(OSError):
            self._log_file.unlink()

    def _close(self) -> None:
        for stream in (self._stdin, self._output):
            with suppress(OSError):
                stream.close()

    def _reason(self) -> str:
        """Why the process has ended without a result."""
        status = self._process.returncode
        if status < 0:
            name = signal.Signals(-status).name if -status in {*signal.Signals} else str(-status)
            text = f"the process was ended by the signal {name}"
            text += ", as the system does when memory runs out" if name == "SIGKILL" else ""
        else:
            text = f"the process ended with status {status}"
        try:
            printed = self._log_file.read_bytes().decode(errors="replace").strip()
        except OSError:
            printed = ""
        return f"{text}: ...{printed[-MAX_LOG_CHARACTERS:]}" if printed else text


class _MetricsFile:
    """Reads the metric of each epoch from the file that a run writes, when it has changed."""

    def __init__(self, path: Path, metric: str) -> None:
        self._path, self._metric = path, metric
        self._version: tuple[int, int] | None = None
        self._curve: Curve = []

    def curve(self) -> Curve:
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size)
            if version != self._version:
                lines = metric_lines(self._path.read_bytes())
                self._curve = [finite_or_none(metrics.get(self._metric)) for metrics in lines]
                self._version = version
        except OSError:
            return self._curve
        return self._curve
