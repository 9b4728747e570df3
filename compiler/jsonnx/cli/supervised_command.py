"""Runs a jsonnx command as a child of a server: `python -m jsonnx.cli.supervised_command PID COMMAND ...`.

The command ends soon after the process PID, its parent, has ended in any way. It is confined to the folder that the
environment names.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

POLL_SECONDS = 0.5
GRACE_SECONDS = 10
"""Time that a training has to write a checkpoint when its server has ended."""


def end_with(parent: int) -> None:
    """Waits until `parent` is no longer the parent of this process, and ends it: first by SIGTERM."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def main() -> None:
    from ..core.files.boundary import enforce_from_environment

    enforce_from_environment()
    from . import main as commands

    parent, *arguments = sys.argv[1:]
    if hasattr(os, "getppid") and os.name != "nt":  # on Windows, a process keeps the number of a parent that has ended
        threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    commands(arguments, prog_name="jsonnx")


if __name__ == "__main__":
    main()
