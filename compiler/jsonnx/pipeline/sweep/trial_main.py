"""The main module of a process that runs a trial.

It reads the job from the first line of standard input and prints the result as a line of JSON. It ends as soon as its
standard input is closed, which the operating system does when the process of the sweep ends, however that happens. So
it watches standard input before it imports what takes time.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trial_run import Train

ORPHANED_STATUS = 75
"""The exit status of a process whose sweep has ended."""
MAX_READ_BYTES = 1 << 16


def _read_line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(0, MAX_READ_BYTES)
        if not part:
            os._exit(ORPHANED_STATUS)
        line += part
    return bytes(line)


def _end_with_sweep() -> None:
    """Ends this process when standard input is closed. The RUN folder stays as after a crash: it can be resumed."""
    while os.read(0, MAX_READ_BYTES):
        pass
    os._exit(ORPHANED_STATUS)


def main(make_train: Callable[[], Train] | None = None) -> None:
    """`make_train` returns the function that trains, by default in this process."""
    line = _read_line()
    threading.Thread(target=_end_with_sweep, daemon=True).start()
    from ...core.files.boundary import enforce_from_environment

    enforce_from_environment()
    from .trial_run import TrialJob, result_line, run_trial

    job = TrialJob(**json.loads(line))
    result = run_trial(job) if make_train is None else run_trial(job, make_train())
    print(result_line(result), flush=True)


if __name__ == "__main__":
    main()
