"""Runs `jsonnx` commands in forked processes, whose system calls on one folder may fail: no start-up for each command.

`python -m campaigns.fault_injection.server`, started by `Forks` with `system_calls.c` preloaded, reads a job from each
line of standard input, and writes the process' number and later its exit status to standard output.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns.fault_injection.workload import SOURCE, Result, Violation, Workload

NO_HEARTBEAT_SECONDS = 1e6
"""A time between heartbeats that no run reaches: they would be system calls whose number depends on the time."""

ACTIONS = ("pass", "fail", "short", "kill before", "kill after")
LIBRARY_SOURCE = Path(__file__).with_name("system_calls.c")


@dataclass(frozen=True)
class Fault:
    """What happens to the system call of this number, counted from 1 over all calls on files of the run."""

    number: int
    action: str = "fail"
    error: str = "EIO"
    """The error's name; it is meaningless if the process is killed."""
    repeated: bool = False
    """Whether later calls of the same kind fail, too."""


def can_inject() -> bool:
    """Whether this machine can preload a library: Linux with a C compiler."""
    return sys.platform == "linux" and shutil.which("cc") is not None


def build_library(folder: Path) -> Path:
    """Compiles the library that is preloaded."""
    library = folder / "system_calls.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(LIBRARY_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Forks:
    """A process that forks for every command. To be closed. Where `can_inject()` is false, it ignores faults."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(SOURCE), str(Path(__file__).parents[2])])
        environment = {**os.environ, "PYTHONPATH": path}
        if can_inject():
            environment["LD_PRELOAD"] = str(build_library(folder))
        self._files = (folder / "output.txt", folder / "calls.txt")
        pipe = subprocess.PIPE
        arguments = [sys.executable, "-m", "campaigns.fault_injection.server"]
        self._process = subprocess.Popen(arguments, env=environment, stdin=pipe, stdout=pipe, text=True)

    def close(self) -> None:
        self._process.communicate()

    def train(self, workload: Workload, run: str, fault: Fault | None = None, *options: str) -> Result:
        """Runs a command of the workload; a fault concerns the files of the run."""
        return self._run(workload, run, fault, options, "")

    def record(self, workload: Workload, run: str) -> bytes:
        """Runs a command, and returns the changes of the workload's folder as `system_calls.c` records them.

        Raises Violation if the command fails.
        """
        result = self._run(workload, run, None, (), str(self._files[0].with_name("changes.bin")))
        if result.status:
            raise Violation(f"the recorded run failed: {result.output}")
        return self._files[0].with_name("changes.bin").read_bytes()

    def _run(self, workload: Workload, run: str, fault: Fault | None, options: Sequence[str], record: str) -> Result:
        job = {
            "arguments": workload.command(run, *options)[4:],
            "folder": str(workload.home if record else workload.home / run),
            "record": record,
            "fault": vars(fault) if fault else None,
            "files": [str(path) for path in self._files],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Result(status, self._files[0].read_text())

    def calls(self) -> list[str]:
        """The kinds of the system calls of the last command."""
        return [line.split()[0] for line in self._files[1].read_text().splitlines()]


# -- in the server -----------------------------------------------------------------------------------------------------


def main() -> None:
    import jsonnx.runtime.fit.trainer
    import onnxruntime  # noqa: F401 (imported before forking, like everything that a command needs)
    from jsonnx.cli import main as jsonnx_main
    from jsonnx.pipeline.run import checkpoint_schedule
    from jsonnx.pipeline.run_folder import run_lock

    del jsonnx.runtime.fit.trainer
    checkpoint_schedule.EPOCH_CHECKPOINT_SECONDS = 0.0
    run_lock.HEARTBEAT_SECONDS = NO_HEARTBEAT_SECONDS
    run_lock.TIMEOUT_SECONDS = run_lock.POLL_SECONDS = 0.01
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_job(job, jsonnx_main)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run_job(job: dict[str, Any], jsonnx_main: Any) -> None:
    output, calls = (os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in job["files"])
    os.dup2(output, 1)
    os.dup2(output, 2)
    if "LD_PRELOAD" in os.environ:
        inject(job["folder"], Fault(**job["fault"]) if job["fault"] else Fault(0, "pass"), calls)
        if job["record"]:
            record_changes(job["record"])
    status = run_command(job["arguments"], jsonnx_main)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run_command(arguments: Sequence[str], jsonnx_main: Any) -> int:
    try:
        jsonnx_main(list(arguments), prog_name="jsonnx")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    return 0


def inject(folder: str, fault: Fault, calls: int) -> None:
    configure = ctypes.CDLL(None).fault_configure
    action, number = ACTIONS.index(fault.action), getattr(errno, fault.error)
    configure(folder.encode(), ctypes.c_long(fault.number), action, number, int(fault.repeated), calls)


def record_changes(path: str) -> None:
    """Records all changes in a file, and that a file is complete when it has been written atomically."""
    from jsonnx.pipeline.run_folder import checkpoint_manifest, run_folder
    from jsonnx.runtime.fit import checkpoint

    library = ctypes.CDLL(None)

    def marking(write_atomically: Callable[..., None]) -> Callable[..., None]:
        def write(path: str | os.PathLike[str], data: Any, **options: bool) -> None:
            write_atomically(path, data, **options)
            library.fault_mark(os.fsencode(path))

        return write

    for module in (checkpoint, checkpoint_manifest, run_folder):
        vars(module)["write_atomically"] = marking(module.write_atomically)
    library.fault_record(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))


if __name__ == "__main__":
    main()
