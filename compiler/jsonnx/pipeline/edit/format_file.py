"""Formats spec files."""

from __future__ import annotations

import os

from ...frontend.json.json_reader import STDIN_NAME, read_bytes, read_text
from ...frontend.text.formatter import format_document, with_number_literals, without_nulls
from .edited_file import EditedFile


def format_file(path: str | os.PathLike[str], *, drops_nulls: bool = False) -> EditedFile:
    """Formats a file; `-` is standard input. With `drops_nulls`, keys whose value is null are left out.

    Raises CompileError if it is not JSON, UsageError if it cannot be read.
    """
    name = os.fspath(path)
    before = read_bytes(name)
    source = read_text(before, STDIN_NAME if name == "-" else name)
    document = with_number_literals(source).value
    return EditedFile(name, before, format_document(without_nulls(document) if drops_nulls else document).encode())
