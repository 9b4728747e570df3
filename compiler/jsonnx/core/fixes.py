"""Fixes of diagnostics, as data: edits of a JSON value by path, and the same as edits of its text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .positions import JsonPath, Position, json_pointer

EditOperation = Literal["add", "remove", "replace", "move"]


class _AnyValue:
    """The type of `ANY_VALUE`."""

    def __repr__(self) -> str:
        return "ANY_VALUE"


ANY_VALUE = _AnyValue()


@dataclass(frozen=True)
class Edit:
    """One change of a JSON value.

    `add` adds a key at the end of an object, or inserts an item before an index of a list, whose length appends it.
    `remove` removes a key with its value, or an item. `replace` replaces a value. `move` gives the key at the path the
    name `new_key`; the key keeps its place.
    """

    op: EditOperation
    path: JsonPath
    value: Any = field(default=None, hash=False)
    """The JSON value that is added, or replaces another."""
    new_key: str | None = None
    old: Any = field(default=ANY_VALUE, hash=False)
    """The value that `replace` replaces. It must be written as such in the file, not as an expression that gives it; if
    omitted, the value of the document that the path is of."""


@dataclass(frozen=True)
class TextEdit:
    """The replacement of a part of a text: from `start` up to, but without, `end`.

    Offsets are counted from 0, lines and columns from 1, in Unicode code points; a byte order mark does not count.
    """

    start_offset: int
    end_offset: int
    start: Position
    end: Position
    text: str


@dataclass(frozen=True)
class Fix:
    """A change that corrects what a diagnostic reports.

    A fix is safe if what it writes is certainly what the author means. Others are applied on request only.
    """

    title: str
    """A description in the imperative, such as `Rename the key to 'units'`."""
    edits: tuple[Edit, ...] = ()
    """The edits, which apply one after another; none if the text is not JSON."""
    is_safe: bool = True
    text_edits: tuple[TextEdit, ...] = ()
    """The edits of the text: in its order, without overlap, with positions in the old text."""


class Suggestion(NamedTuple):
    """A help text that proposes what to write in place of a key or a value."""

    text: str
    old: Any
    replacements: tuple[Any, ...]
    is_safe: bool = True
    """Whether a single replacement is certainly what the author means."""

    def fix(self, path: JsonPath, at_key: bool) -> Fix | None:
        """The fix that writes the proposed key or value at a path; None if there are several proposals."""
        if len(self.replacements) != 1:
            return None
        new = self.replacements[0]
        return rename_key(path, new, self.is_safe) if at_key else replace_value(path, new, self.old, self.is_safe)


def rename_key(path: JsonPath, new_key: str, is_safe: bool = True) -> Fix:
    """A fix that renames the key at a path."""
    return Fix(f"Rename the key to {new_key!r}", (Edit("move", path, new_key=new_key),), is_safe)


def replace_value(path: JsonPath, value: Any, old: Any = ANY_VALUE, is_safe: bool = True) -> Fix:
    """A fix that replaces the value at a path."""
    return Fix(f"Write {json_text(value)}", (Edit("replace", path, value, old=old),), is_safe)


def remove_key(path: JsonPath, is_safe: bool = True) -> Fix:
    """A fix that removes the key or the item at a path."""
    noun = f"the key {path[-1]!r}" if isinstance(path[-1], str) else "the item"
    return Fix(f"Remove {noun}", (Edit("remove", path),), is_safe)


def json_text(value: Any, max_characters: int = 60) -> str:
    """A value as JSON text on one line, shortened if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= max_characters else f"{text[: max_characters - 3]}..."


def json_patch(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Edits as a JSON Patch (RFC 6902). It leaves the order of keys open, which the edits of the text keep."""
    operations = []
    for edit in edits:
        pointer = json_pointer(edit.path)
        if edit.op == "move":
            target = json_pointer((*edit.path[:-1], edit.new_key or ""))
            operations.append({"op": "move", "from": pointer, "path": target})
        elif edit.op == "remove":
            operations.append({"op": "remove", "path": pointer})
        else:
            operations.append({"op": edit.op, "path": pointer, "value": edit.value})
    return operations
