"""The data files that a user names: one file, folder or pattern, or one for each input and output by its name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence

from ..diagnostics import UsageError
from .file_patterns import is_pattern
from .files import MissingFile
from .spec_folders import expand_user_path

UserFiles = str | Mapping[str, str]
"""A file, a folder or a pattern, or those of several inputs and outputs by name."""

_NAMED_FILE = re.compile(r"(?P<name>[^=/\\]+)=(?P<file>.+)", re.DOTALL)


def parse_user_files(texts: Sequence[str], option: str) -> UserFiles | None:
    """The files of an option that may be repeated: one FILE, or one NAME=FILE for each input and output; None without
    any. A text that is the path of a file, or a pattern of files that are there, is a FILE. Raises UsageError."""
    named: dict[str, str] = {}
    for text in texts:
        match = _NAMED_FILE.fullmatch(text)
        if match is None or _names_files(text):
            if len(texts) > 1:
                help = f"give one FILE, a pattern in quotes, or {option} NAME=FILE for each input and output"
                raise UsageError("bad-option", f"{option} is given {len(texts)} times, once as {text!r}", help)
            return text
        if match["name"] in named:
            help = f"a pattern in quotes names several files: {option} '{match['name']}=part-*.npy'"
            raise UsageError("bad-option", f"{option} names two files of {match['name']!r}", help)
        named[match["name"]] = match["file"]
    return named or None


def _names_files(text: str) -> bool:
    """Whether a text is the path of a file, or a pattern that matches some."""
    if not is_pattern(text):
        return os.path.lexists(text)
    try:
        return bool(expand_user_path(text))
    except MissingFile:
        return False


def file_names(files: UserFiles | None) -> list[str]:
    """The files, folders and patterns."""
    if files is None:
        return []
    return [files] if isinstance(files, str) else [*files.values()]


def expand_user_files(files: UserFiles | None) -> list[str]:
    """All files and folders, without patterns. Raises UsageError."""
    return [path for name in file_names(files) for path in expand_user_path(name)]


def with_paths(files: UserFiles, convert: Callable[[str], str]) -> UserFiles:
    """The files with other paths."""
    return convert(files) if isinstance(files, str) else {name: convert(path) for name, path in files.items()}


def files_text(files: UserFiles) -> str:
    """The files in words."""
    return ", ".join(file_names(files))
