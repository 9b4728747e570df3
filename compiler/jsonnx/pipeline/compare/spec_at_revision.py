"""Checks a spec as it is at a Git revision, with the files that it names as they are there."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from ...core.diagnostics import UsageError
from ...frontend.json.json_reader import read_text
from ..check.check import CheckedSpec, check_source
from ..git.git_files import GitPath, GitRepository, GitRevision


def load_spec_at(name: str) -> CheckedSpec:
    """The spec of a file at a revision, `git:REF:PATH`. Raises UsageError, CompileError."""
    named = GitPath.parse(name)
    if named.path is None:
        help = f"add the path of a file: {name}:spec.json, or give the revision to --against"
        raise UsageError("bad-revision", f"{name!r} names no file", help)
    return checked_at(*named_revision(named))


def named_revision(named: GitPath) -> tuple[GitRevision, str]:
    """The revision and the path from the root of a named file."""
    repository = GitRepository.containing(Path.cwd())
    assert named.path is not None
    is_relative = named.path.startswith(("./", "../"))
    path = repository.path_of(Path(os.path.abspath(named.path))) if is_relative else named.path
    return repository.revision(named.reference), path


def checked_at(revision: GitRevision, path: str) -> CheckedSpec:
    folder = path.rpartition("/")[0]
    source = read_text(revision.read(path), revision.name_of(path))
    return check_source(source, open_named=partial(revision.open_beneath, folder))
