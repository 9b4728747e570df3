"""Positions in a document: by keys and indexes, and by lines and columns of its text."""

from __future__ import annotations

from typing import NamedTuple

JsonPath = tuple[str | int, ...]
"""The keys and indexes that lead from the document's root to a value."""


class Position(NamedTuple):
    """A position in a text: line and column, both counted from 1. Columns count Unicode code points."""

    line: int
    column: int


def json_pointer(path: JsonPath) -> str:
    """A path as a JSON Pointer (RFC 6901): `/layers/2/units` for `('layers', 2, 'units')`."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
