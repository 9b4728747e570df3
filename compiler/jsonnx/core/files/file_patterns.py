"""Patterns of file names: `*`, `?`, `[...]`, and `**` for any number of folders. No symbolic link is followed."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

from ..diagnostics import CompileError, Diagnostic
from ..limits import MAX_DATA_FILES
from .files import LinkInFolder, MissingFile, list_beneath, safe_path_parts

_MARKS = re.compile(r"[*?\[]")
ANY_FOLDERS = "**"


def is_pattern(name: str) -> bool:
    """Whether a name has characters that make it a pattern."""
    return _MARKS.search(name) is not None


def expand_pattern(folder: Path, pattern: str) -> list[str]:
    """The paths beneath a folder that match a pattern, sorted. Only a part that begins with a dot matches hidden files.

    Raises UnsafePath if the pattern leads out of the folder (LinkInFolder if it matches a symbolic link), CompileError
    `too-large`.
    """
    paths = [""]
    for part in safe_path_parts(pattern):
        if part == ANY_FOLDERS:
            paths = [found for path in paths for found in _folders_below(folder, path)]
        elif is_pattern(part):
            paths = [found for path in paths for found in _matches(folder, path, part)]
        else:
            paths = [joined for path in paths if os.path.lexists(folder / (joined := os.path.join(path, part)))]
        require_file_count(len(paths), pattern)
    return sorted({*paths} - {""})


def require_file_count(count: int, name: str) -> None:
    """Raises CompileError if a folder or a pattern has too many files."""
    if count > MAX_DATA_FILES:
        message = f"{name!r} has more than {MAX_DATA_FILES:,} files, the limit"
        raise CompileError([Diagnostic("too-large", message)])


def _matches(folder: Path, path: str, part: str) -> list[str]:
    """The entries of a folder that match a part of a pattern."""
    try:
        entries = list_beneath(folder, path)
    except MissingFile:  # a file, of which the pattern makes a folder
        return []
    matching = [
        e for e in entries if fnmatchcase(e.name, part) and (part.startswith(".") or not e.name.startswith("."))
    ]
    if link := next((entry for entry in matching if entry.is_link), None):
        raise LinkInFolder(os.path.join(path, link.name))
    return [os.path.join(path, entry.name) for entry in matching]


def _folders_below(folder: Path, path: str) -> list[str]:
    """A folder and all folders below it, without hidden ones."""
    try:
        entries = list_beneath(folder, path)
    except MissingFile:
        return []
    below = [os.path.join(path, e.name) for e in entries if e.is_folder and not e.name.startswith(".")]
    return [path, *(found for inner in below for found in _folders_below(folder, inner))]
