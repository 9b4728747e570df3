"""The commit that a folder of a Git repository is at, read without Git."""

from __future__ import annotations

import re
from pathlib import Path

from ...core.diagnostics import UsageError
from ...core.files.files import open_file

_REVISION = re.compile(r"[0-9a-f]{40,64}")
_MAX_REDIRECTIONS = 5
_MAX_FILE_BYTES = 64 << 20
"""Maximum bytes of a file of a repository that are read; `packed-refs` has some 60 a branch or tag."""


def git_revision(folder: Path) -> str | None:
    """The hash of the commit that is checked out; None if it is missing or unreadable. Files may differ from that
    commit.
    """
    try:
        for parent in (folder.resolve(), *folder.resolve().parents):
            if (parent / ".git").exists():
                return _head(parent / ".git")
    except (OSError, ValueError, UsageError):
        pass
    return None


def _head(git: Path) -> str | None:
    if git.is_file():  # the folder of a worktree or a submodule is elsewhere
        git = (git.parent / _text(git).removeprefix("gitdir:").strip()).resolve()
    shared = git
    if (git / "commondir").exists():
        shared = (git / _text(git / "commondir")).resolve()
    text = _text(git / "HEAD")
    for _ in range(_MAX_REDIRECTIONS):
        if not text.startswith("ref: "):
            return text if _REVISION.fullmatch(text) else None
        text = _reference(git, shared, text.removeprefix("ref: "))
    return None


def _reference(git: Path, shared: Path, name: str) -> str:
    for folder in (git, shared):
        if (folder / name).is_file():
            return _text(folder / name)
    for line in _text(shared / "packed-refs").splitlines():
        revision, _, packed_name = line.partition(" ")
        if packed_name == name:
            return revision
    return ""


def _text(path: Path) -> str:
    """The text of a file without the spaces around it. Someone else may have made the repository: a pipe or a device is
    not read. Raises UsageError, OSError, ValueError."""
    with open_file(path) as file:
        return file.read(_MAX_FILE_BYTES).decode().strip()
