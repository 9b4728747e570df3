"""Differences between the spec that a run was started with and the spec that it is resumed with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NamedTuple

from ...core.diagnostics import CompileError, Diagnostic, JsonPath, Note, UsageError, path_text
from ...frontend.schema.phrases import short_repr
from ..check.check import CheckedSpec, check_spec, read_spec
from ..train.plan_training import fixed_parts

MAX_CHANGES = 10
"""Changes that are listed one by one; the others are counted."""
MAX_ALIGNED_ITEMS = 2000
"""Items of a list in which added and removed ones are looked for; the time grows with their square."""


class _Absent:
    """Stands for a value that is not there."""


ABSENT = _Absent()


class SpecChange(NamedTuple):
    """A value of the spec that differs. `old` and `new` are JSON values, or ABSENT."""

    path: JsonPath
    old: Any
    new: Any

    def text(self) -> str:
        name = f"`{path_text(self.path).removeprefix('$.')}`"
        if self.old is ABSENT:
            return f"{name} is new: {short_repr(self.new)}"
        if self.new is ABSENT:
            return f"{name} is removed: {short_repr(self.old)}"
        return f"{name} changes from {short_repr(self.old)} to {short_repr(self.new)}"


def value_changes(old: Any, new: Any, path: JsonPath = ()) -> Iterator[SpecChange]:
    """The innermost values that differ between two JSON values, in the order of the new one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*new, *old]):
            yield from value_changes(old.get(key, ABSENT), new.get(key, ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_changes(old, new, path)
    elif type(old) is not type(new) or old != new:
        yield SpecChange(path, old, new)


def _list_changes(old: list[Any], new: list[Any], path: JsonPath) -> Iterator[SpecChange]:
    """Items that were added or removed, and changes within the others. Paths count the items of the new list."""
    if max(len(old), len(new)) > MAX_ALIGNED_ITEMS:
        blocks = [(0, len(old), 0, len(new))]
    else:
        old_texts, new_texts = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
        blocks = [block[1:] for block in SequenceMatcher(None, old_texts, new_texts, autojunk=False).get_opcodes()]
    for old_start, old_end, new_start, new_end in blocks:
        for offset in range(max(old_end - old_start, new_end - new_start)):
            before = old[old_start + offset] if old_start + offset < old_end else ABSENT
            after = new[new_start + offset] if new_start + offset < new_end else ABSENT
            yield from value_changes(before, after, (*path, new_start + offset))


def change_texts(run_spec: Path, checked: CheckedSpec) -> list[str]:
    """The values of a spec that differ from the spec in a RUN folder; none if that one is damaged."""
    try:
        before = read_spec(run_spec).value
    except (CompileError, UsageError):
        return []
    texts = [change.text() for change in value_changes(before, checked.source.value)]
    hidden = len(texts) - MAX_CHANGES
    return [*texts[:MAX_CHANGES], *([f"and {hidden:,} more changes"] if hidden > 0 else [])]


def with_change_notes(diagnostics: list[Diagnostic], run_spec: Path, checked: CheckedSpec) -> list[Diagnostic]:
    """The diagnostics of a checkpoint of another spec, each with notes on the values that differ.

    `run_spec` is the spec in the RUN folder; without it, or if it is damaged, the diagnostics stay as they are.
    """
    try:
        before = fixed_parts(check_spec(run_spec).network.flat_document)
    except (CompileError, UsageError):
        return diagnostics
    after = fixed_parts(checked.network.flat_document)
    shown = 0
    noted = []
    for diagnostic in diagnostics:
        part = next((key for key in {**after, **before} if f"`{key}` of the spec" in diagnostic.message), None)
        changes = [] if part is None else _part_changes(before, after, part)
        listed = changes[: MAX_CHANGES - shown]
        notes = [_note(change, checked) for change in listed]
        if len(listed) < len(changes):
            notes.append(Note(f"and {len(changes) - len(listed):,} more changes"))
        shown += len(listed)
        noted.append(replace(diagnostic, notes=(*diagnostic.notes, *notes)))
    return noted


def _part_changes(before: dict[str, Any], after: dict[str, Any], part: str) -> list[SpecChange]:
    return [*value_changes(before.get(part, ABSENT), after.get(part, ABSENT), tuple(part.split(".")))]


def _note(change: SpecChange, checked: CheckedSpec) -> Note:
    if change.new is ABSENT:
        return Note(change.text())
    line, column = checked.locate(change.path) or (None, None)
    return Note(change.text(), path_text(change.path), checked.source.file, line, column)
