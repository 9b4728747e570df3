"""Formats spec files."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.files import write_atomically
from ..frontend.formatter import format_document, with_number_literals, without_nulls
from ..frontend.json_reader import STDIN_NAME, read_bytes, read_text


@dataclass(frozen=True)
class FormattedFile:
    """A spec file's text before and after formatting."""

    path: str
    before: bytes
    after: bytes

    @property
    def file(self) -> str:
        """The file name to show."""
        return STDIN_NAME if self.path == "-" else self.path

    @property
    def differs(self) -> bool:
        return self.before != self.after

    def save(self) -> None:
        """Writes the file if formatting changes it. Raises UsageError if it cannot be written."""
        if self.differs:
            write_atomically(self.path, self.after)


def format_file(path: str | os.PathLike[str], *, drops_nulls: bool = False) -> FormattedFile:
    """Formats a file; `-` is standard input. With `drops_nulls`, keys whose value is null are left out.

    Raises CompileError if it is not JSON, UsageError if it cannot be read.
    """
    name = os.fspath(path)
    before = read_bytes(name)
    source = read_text(before, STDIN_NAME if name == "-" else name)
    document = with_number_literals(source).value
    return FormattedFile(name, before, format_document(without_nulls(document) if drops_nulls else document).encode())
