"""Trainings that a client has started: processes that can be asked and ended, and that end with the server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.diagnostics import UsageError, suggestion
from .command_line import CommandFolders, command_environment, command_line

MAX_RUNNING_JOBS = 4
MAX_KEPT_JOBS = 100
"""Jobs that can be asked for; the oldest that have ended are forgotten first."""

MAX_LOG_BYTES = 32_000
"""The last bytes of what a job printed that a status contains."""

STOP_SECONDS = 15
"""Time that a job has to write a checkpoint after SIGTERM; then it is killed."""


@dataclass
class Job:
    """A training in a process of its own, which prints to a temporary file."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    log: Path
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    """The duration, once the job has ended."""
    is_cancelled: bool = False

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed` or `cancelled`."""
        status = self.process.poll()
        if status is None:
            return "running"
        if self.seconds is None:
            self.seconds = time.monotonic() - self.started
        return "cancelled" if self.is_cancelled else "failed" if status else "finished"

    def status(self, lines: int) -> dict[str, Any]:
        """The state, the exit status, the duration in seconds and the last lines that the job printed."""
        state = self.state
        seconds = time.monotonic() - self.started if self.seconds is None else self.seconds
        return {
            "job": self.name,
            "state": state,
            "exit_status": self.process.returncode,
            "seconds": round(seconds, 1),
            "command": self.command,
            "log": self.last_lines(lines),
        }

    def last_lines(self, count: int) -> list[str]:
        with open(self.log, "rb") as file:
            file.seek(max(0, self.log.stat().st_size - MAX_LOG_BYTES))
            text = file.read(MAX_LOG_BYTES).decode("utf-8", "replace")
        return text.replace("\r", "\n").splitlines()[-count:] if count else []

    def ask_to_stop(self) -> None:
        """Sends SIGTERM, after which a training writes a checkpoint and ends."""
        if self.process.poll() is None:
            self.is_cancelled = True
            self.process.terminate()

    def kill(self) -> None:
        """Ends the job and the processes that it started."""
        if self.process.poll() is None:
            self.is_cancelled = True
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self.process.kill()
            self.process.wait()


class Jobs:
    """The jobs of a server, by name."""

    def __init__(self, folders: CommandFolders) -> None:
        self.folders = folders
        self._jobs: dict[str, Job] = {}
        self._count = 0

    def start(self, arguments: Sequence[str]) -> Job:
        """Starts a command. Raises UsageError `too-many-jobs` if as many run as may."""
        running = [job.name for job in self._jobs.values() if job.state == "running"]
        if len(running) >= MAX_RUNNING_JOBS:
            help = f"wait for one of {', '.join(running)}, or end one with `cancel`"
            raise UsageError("too-many-jobs", f"{len(running)} jobs are running, the limit is {MAX_RUNNING_JOBS}", help)
        self._count += 1
        name = f"job-{self._count}"
        line, log = command_line(arguments), self.folders.temporary / name
        with open(log, "wb") as output:
            process = subprocess.Popen(
                line,
                cwd=self.folders.root,
                env=command_environment(self.folders),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._jobs[name] = Job(name, ["jsonnx", *arguments], process, log)
        self._forget_old_jobs()
        return self._jobs[name]

    def find(self, name: str) -> Job:
        """The job of a name. Raises UsageError `unknown-job`."""
        if name not in self._jobs:
            help = suggestion(name, [*self._jobs]) or "`status` without a job lists all"
            raise UsageError("unknown-job", f"there is no job {name!r}", help)
        return self._jobs[name]

    def all(self) -> list[Job]:
        return [*self._jobs.values()]

    def close(self) -> None:
        """Ends all jobs. Running ones may write a checkpoint first."""
        for job in self._jobs.values():
            job.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for job in self._jobs.values():
            with suppress(subprocess.TimeoutExpired):
                job.process.wait(max(0, deadline - time.monotonic()))
            job.kill()

    def _forget_old_jobs(self) -> None:
        ended = [job for job in self._jobs.values() if job.state != "running"]
        for job in ended[: max(0, len(self._jobs) - MAX_KEPT_JOBS)]:
            del self._jobs[job.name]
            job.log.unlink(missing_ok=True)
