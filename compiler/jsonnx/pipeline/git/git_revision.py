"""The commit that a folder of a Git repository is at, read without Git."""

from __future__ import annotations

import re
from pathlib import Path

_REVISION = re.compile(r"[0-9a-f]{40,64}")
_MAX_REDIRECTIONS = 5


def git_revision(folder: Path) -> str | None:
    """The hash of the commit that is checked out; None if it is missing or unreadable. Files may differ from that
    commit.
    """
    try:
        for parent in (folder.resolve(), *folder.resolve().parents):
            if (parent / ".git").exists():
                return _head(parent / ".git")
    except (OSError, ValueError):
        pass
    return None


def _head(git: Path) -> str | None:
    if git.is_file():  # the folder of a worktree or a submodule is elsewhere
        git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    shared = git
    if (git / "commondir").exists():
        shared = (git / (git / "commondir").read_text().strip()).resolve()
    text = (git / "HEAD").read_text().strip()
    for _ in range(_MAX_REDIRECTIONS):
        if not text.startswith("ref: "):
            return text if _REVISION.fullmatch(text) else None
        text = _reference(git, shared, text.removeprefix("ref: "))
    return None


def _reference(git: Path, shared: Path, name: str) -> str:
    for folder in (git, shared):
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    for line in (shared / "packed-refs").read_text().splitlines():
        revision, _, packed_name = line.partition(" ")
        if packed_name == name:
            return revision
    return ""
