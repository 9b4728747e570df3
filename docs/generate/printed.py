"""What the command line prints for the examples of the reference pages, run in this process in a temporary folder."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from click.testing import CliRunner
from jsonnx.cli import main

SETTINGS = ("JSONNX_DOCS_URL", "FORCE_COLOR", "JSONNX_DEBUG")
"""Environment variables of the user that would change what is printed."""

SHOWN_FOLDER = "/home/me/specs"
"""What the pages show in place of the temporary folder."""


class Printed(NamedTuple):
    """A command, what it prints, and its exit status."""

    command: str
    text: str
    status: int

    def console(self) -> list[str]:
        """The command with its output as lines of a block of a console."""
        return ["```console", f"$ {self.command}", *self.text.splitlines(), "```"]


@contextmanager
def example_folder(files: Mapping[str, str]) -> Iterator[None]:
    """Makes a temporary folder with these files the current one."""
    with TemporaryDirectory() as folder, chdir(folder):
        for name, content in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content, encoding="utf-8", newline="\n")
        yield


def printed(command: str) -> Printed:
    """Runs a command `jsonnx ...` in the current folder."""
    words = shlex.split(command, comments=True)[1:]
    environment: dict[str, str | None] = {name: None for name in SETTINGS if name in os.environ}
    environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(os.getcwd())  # a temporary folder is in no repository
    result = CliRunner().invoke(main, words, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Printed(command, result.output.replace(os.getcwd(), SHOWN_FOLDER).strip("\n"), result.exit_code)


def only_code(text: str, code: str) -> str:
    """The diagnostics of one code in what a command prints, with the excerpts and notes below their first lines."""
    return "\n\n".join(re.findall(rf"^\w+\[{code}\]: .*(?:\n(?: +\S|\d+ \|).*)*", text, re.MULTILINE))
