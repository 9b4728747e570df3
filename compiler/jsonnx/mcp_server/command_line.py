"""How the server starts jsonnx commands: in processes that are confined to a folder and end with the server."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.diagnostics import UsageError
from ..core.files.boundary import ROOT_VARIABLE
from ..frontend.schema.phrases import short_repr

MAX_ARGUMENT_BYTES, MAX_COMMAND_BYTES = 100_000, 500_000
"""Maximum lengths of an argument and of all arguments together; Linux starts no process with more than 131,072 and
about 2 million."""


class CommandFolders(NamedTuple):
    """The folders of a command: nothing lies outside of them that it may read, list or change."""

    root: Path
    """The served folder, which is the current one."""
    temporary: Path


def command_line(arguments: Sequence[str]) -> list[str]:
    """The command line of a process that ends when this process does. Raises UsageError for arguments that no process
    can get.

    `-P` keeps the current folder, which belongs to the client, out of the paths that Python imports modules from.
    """
    _check_arguments(arguments)
    return [sys.executable, "-P", "-m", "jsonnx.cli.supervised_command", str(os.getpid()), *arguments]


def _check_arguments(arguments: Sequence[str]) -> None:
    size = 0
    for argument in arguments:
        try:
            length = len(os.fsencode(argument))
        except UnicodeEncodeError:
            raise UsageError("bad-option", f"{short_repr(argument)} is not valid Unicode") from None
        if "\0" in argument:
            raise UsageError("bad-option", f"{short_repr(argument)} contains the character NUL")
        size += length
        if length > MAX_ARGUMENT_BYTES or size > MAX_COMMAND_BYTES:
            message = f"an argument has more than {MAX_ARGUMENT_BYTES:,} bytes, or all have more than "
            help = "write a long spec to a file, with `fmt`, and name the file"
            raise UsageError("too-large", f"{message}{MAX_COMMAND_BYTES:,}", help)


def command_environment(folders: CommandFolders) -> dict[str, str]:
    """The environment of a confined command: this one, with the folders in PYTHONPATH as absolute paths, and without
    colors."""
    paths = os.environ.get("PYTHONPATH", "")
    absolute = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    confinement = {ROOT_VARIABLE: str(folders.root), "TMPDIR": str(folders.temporary)}
    environment = {**os.environ, **confinement, "NO_COLOR": "1", "PYTHONPATH": absolute}
    if not absolute:
        del environment["PYTHONPATH"]
    return environment
