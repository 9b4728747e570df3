"""Compares specs with the specs of a Git revision: which signatures and weights a change breaks."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import MissingFile
from ...diff.revisions import RevisionComparison, SpecChange
from ...frontend.json.json_reader import STDIN_NAME
from ..check.check import CheckedSpec
from ..git.git_files import GIT_PREFIX, GitPath, GitRepository, GitRevision
from .compare_specs import compare_checked_specs, load_checked_spec
from .spec_at_revision import checked_at, named_revision

MAX_RENAME_CANDIDATES, MAX_CANDIDATE_BYTES = 500, 1 << 20
MIN_SIMILARITY = 0.5
"""Minimum share of equal lines of a renamed file, as in Git."""


def compare_with_revision(specs: Sequence[str], against: str) -> RevisionComparison:
    """Compares each spec with the file of its path at a revision, or with one file at a revision or on the disk.

    Raises UsageError for a revision that cannot be read. Errors of specs are part of the result.
    """
    if not against.startswith(GIT_PREFIX):
        _require_one(specs, against)
        if against != "-" and not os.path.exists(against):
            help = f"for a revision, write --against {GIT_PREFIX}{against}"
            raise UsageError("unreadable-file", f"there is no file or RUN folder {against!r}", help)
        return compare_pair(against, specs[0])
    named = GitPath.parse(against)
    if named.path is not None:
        _require_one(specs, against)
        revision, path = named_revision(named)
        revision.read(path)  # the user named the file: that it is missing is an error
        return RevisionComparison(against, revision.commit, [_compare_at(specs[0], revision, path)])
    revisions: dict[Path | None, GitRevision] = {}
    repository_of = cache(GitRepository.containing)
    changes = []
    for spec in dict.fromkeys(specs):
        if spec == "-" or os.path.isdir(spec):
            subject = STDIN_NAME if spec == "-" else f"the folder {spec!r}"
            message, help = f"{subject} has no version at {against!r}", "name the old file: --against git:REF:PATH"
            raise UsageError("bad-option", message, help)
        repository = repository_of(Path(spec).absolute().parent)
        if repository.root not in revisions:
            revisions[repository.root] = repository.revision(named.reference)
        revision = revisions[repository.root]
        changes.append(_compare_at(spec, revision, revision.repository.path_of(Path(spec).absolute())))
    commits = {revision.commit for revision in revisions.values()}
    return RevisionComparison(against, commits.pop() if len(commits) == 1 else None, changes)


def _require_one(specs: Sequence[str], against: str) -> None:
    if len(specs) != 1:
        message = f"{len(specs) or 'no'} specs cannot be compared with the one file {against!r}"
        raise UsageError("bad-option", message, "name one spec, or a revision without a file: --against git:REF")


def compare_pair(old: str, new: str) -> RevisionComparison:
    """Compares two files. Raises CompileError, UsageError."""
    comparison = compare_checked_specs(load_checked_spec(old), load_checked_spec(new))
    change = SpecChange(new, old, "unchanged" if comparison.is_empty else "changed", comparison)
    return RevisionComparison(old, None, [change])


def _compare_at(spec: str, revision: GitRevision, path: str) -> SpecChange:
    """Compares a spec with the file of a path at a revision, or with the one that was renamed since."""
    is_there, old_path = os.path.lexists(spec), path
    renamed = None
    if is_there and not revision.has(path):
        renamed = _former_path(spec, revision)
        old_path = renamed or path
    change = SpecChange(spec, revision.name_of(old_path), "unchanged", renamed=renamed is not None)
    try:
        old = checked_at(revision, old_path)
        old.require()
    except MissingFile as error:
        return _with_new_version(replace(change, old_file=None), None, error)
    except CompileError as error:
        return _with_new_version(replace(change, state="invalid-before", diagnostics=tuple(error.diagnostics)), None)
    except UsageError as error:
        diagnostic = replace(error.diagnostic, file=change.old_file)
        return _with_new_version(replace(change, state="invalid-before", diagnostics=(diagnostic,)), None)
    return _with_new_version(change, old)


def _with_new_version(change: SpecChange, old: CheckedSpec | None, missing: UsageError | None = None) -> SpecChange:
    """The change to the version on the disk; `missing` is the error of a file that is not at the revision."""
    if not os.path.lexists(change.file) and change.file != "-":
        if missing is not None:
            message = f"there is no file {change.file!r}, neither here nor at the revision"
            help = "check the spelling of the file's name"
            diagnostic = Diagnostic("unreadable-file", message, file=change.file, help=help)
            return replace(change, state="invalid", diagnostics=(diagnostic,), is_missing=True)
        return replace(change, state="deleted", diagnostics=())
    try:
        new = load_checked_spec(change.file)
        new.require()
        if old is None:
            return change if missing is None else replace(change, state="new")
        if json.dumps(old.source.value) == json.dumps(new.source.value):  # the order of keys may matter, as of inputs
            return change
        comparison = compare_checked_specs(old, new)
    except CompileError as error:
        return replace(change, state="invalid", diagnostics=tuple(error.diagnostics))
    except UsageError as error:
        diagnostic = replace(error.diagnostic, file=change.file)
        return replace(change, state="invalid", diagnostics=(diagnostic,), is_missing=True)
    return replace(change, state="unchanged" if comparison.is_empty else "changed", comparison=comparison)


def _former_path(spec: str, revision: GitRevision) -> str | None:
    """The path at a revision of a spec that has since been renamed: the removed JSON file with the most lines in
    common."""
    root = revision.repository.root
    if root is None or os.path.isdir(spec) or os.path.getsize(spec) > MAX_CANDIDATE_BYTES:
        return None
    gone = [
        entry
        for entry in revision.files(".json")
        if entry.size <= MAX_CANDIDATE_BYTES and not os.path.lexists(root / entry.path)
    ]
    lines = _line_counts(Path(spec).read_bytes())
    best, best_similarity = None, MIN_SIMILARITY
    for entry in gone[:MAX_RENAME_CANDIDATES]:
        similarity = _similarity(lines, _line_counts(revision.read_object(entry)))
        if similarity > best_similarity or (similarity == best_similarity and best is None):
            best, best_similarity = entry.path, similarity
    return best


def _line_counts(text: bytes) -> Counter[bytes]:
    return Counter(line.strip() for line in text.splitlines() if line.strip())


def _similarity(first: Counter[bytes], second: Counter[bytes]) -> float:
    """The share of lines that two texts have in common."""
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 0.0
