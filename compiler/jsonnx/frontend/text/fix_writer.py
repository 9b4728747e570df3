"""Fixes of a document as fixes of the file that the user wrote."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ...core.diagnostics import CompileError, JsonPath, SourceMap, identity_source_map
from ...core.fixes import ANY_VALUE, Edit, Fix
from ..json.json_reader import Json, Source
from .text_edits import EditError, text_edits

MAX_PARSED_CHARACTERS = 1_000_000
"""Characters that are parsed for fixes of several edits, all of a document together; further fixes are left out."""


@dataclass(eq=False)
class _ParseBudget:
    characters_left: int = MAX_PARSED_CHARACTERS

    def spend(self, characters: int) -> bool:
        """Takes characters from the budget; returns whether there were enough."""
        if characters > self.characters_left:
            return False
        self.characters_left -= characters
        return True


@dataclass(frozen=True, eq=False)
class FixWriter:
    """Maps the edits of a fix to the source, and adds the edits of its text.

    There is no fix if an edit would change what the file does not contain as such: a value that an expression, an
    option or a block of the library has given.
    """

    source: Source
    document: Json
    """The edited document: the source's, or one that was derived from it."""
    source_map: SourceMap = identity_source_map
    _parse_budget: _ParseBudget = field(default_factory=_ParseBudget)

    def __call__(self, fix: Fix) -> Fix | None:
        """The fix of the file. The paths of several edits refer to the document before all of them."""
        reparsed = (len(fix.edits) - 1) * len(self.source.text)  # the text is parsed again before each further edit
        if not self._parse_budget.spend(reparsed):
            return None
        try:
            edits = tuple(self._in_source(edit) for edit in fix.edits)
            return replace(fix, edits=edits, text_edits=text_edits(self.source, edits))
        except (EditError, CompileError):
            return None

    def derived(self, document: Any, source_map: SourceMap) -> FixWriter:
        return replace(self, document=document, source_map=source_map)

    def _in_source(self, edit: Edit) -> Edit:
        """An edit with the path in the source. Raises EditError."""
        if edit.op == "replace":
            path = self.source_map(edit.path, False).path
            old = value_at(self.document, edit.path) if edit.old is ANY_VALUE else edit.old
            if not _is_same(self._written_value(path), old):
                raise EditError("the file does not contain the value")
            return replace(edit, path=path)
        *outer, step = edit.path
        container = value_at(self.document, tuple(outer))
        if isinstance(step, int) and isinstance(container, list) and container:
            index = min(step, len(container) - 1)
            path = self.source_map((*outer, index), True).path
            if not path or not isinstance(path[-1], int):
                raise EditError("the file has no such list")
            return replace(edit, path=(*path[:-1], path[-1] + step - index))
        path = self.source_map(tuple(outer), True).path
        if type(self._written_value(path)) is not type(container):
            raise EditError("the file does not contain the object or list")
        return replace(edit, path=(*path, step))

    def _written_value(self, path: JsonPath) -> Any:
        """The value at a path of the file, before any option changed it."""
        return value_at(self.source.written_value, path)


def value_at(value: Any, path: JsonPath) -> Any:
    """The part of a value at a path. Raises EditError if there is none."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise EditError("the document has no such path") from None
    return value


def _is_same(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON value: `1`, `1.0` and `true` are three."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_is_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return bool(left == right)
