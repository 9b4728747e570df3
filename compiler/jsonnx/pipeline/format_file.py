"""Specs brought to their canonical text, where they stand."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.files import write_atomically
from ..frontend.formatter import format_source
from ..frontend.json_reader import read_bytes, read_text
from .check import STDIN_NAME


@dataclass(frozen=True)
class FormattedFile:
    """A spec as it is and as it should be."""

    path: str
    before: bytes
    after: bytes

    @property
    def file(self) -> str:
        """What the file is called to the user."""
        return STDIN_NAME if self.path == "-" else self.path

    @property
    def differs(self) -> bool:
        return self.before != self.after

    def save(self) -> None:
        """Write the file, if it is to change. Raises UsageError where that cannot be done."""
        if self.differs:
            write_atomically(self.path, self.after)


def format_file(path: str | os.PathLike[str]) -> FormattedFile:
    """A file, or standard input for `-`. Raises CompileError where it is no JSON, UsageError where there is none."""
    name = os.fspath(path)
    before = read_bytes(name)
    source = read_text(before, STDIN_NAME if name == "-" else name)
    return FormattedFile(name, before, format_source(source).encode())
