"""How the server starts jsonnx commands: in processes that end with it, without modules from the served folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def command_line(arguments: Sequence[str]) -> list[str]:
    """The command line of a process that ends when this process does.

    `-P` keeps the current folder, which belongs to the client, out of the paths that Python imports modules from.
    """
    return [sys.executable, "-P", "-m", "jsonnx.cli.supervised_command", str(os.getpid()), *arguments]


def command_environment() -> dict[str, str]:
    """The environment of a command: this one, with the folders in PYTHONPATH as absolute paths, and without colors."""
    folders = os.environ.get("PYTHONPATH", "")
    absolute = os.pathsep.join(os.path.abspath(folder) for folder in folders.split(os.pathsep) if folder)
    environment = {**os.environ, "NO_COLOR": "1"} | ({"PYTHONPATH": absolute} if absolute else {})
    if not absolute:
        environment.pop("PYTHONPATH", None)
    return environment
