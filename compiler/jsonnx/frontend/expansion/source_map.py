"""From a place in the flat document back to what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath, SourceLocation
from ..schema.phrases import short_name
from .expressions import Expression, ExpressionError, parse_text
from .template import BlockUse, block_use_notes

MAX_HOPS = 200
"""How often a value is handed on before we stop asking where it came from."""


class ScopedPath(NamedTuple):
    """Where a layer of the flat document was written, and in which use of a block."""

    path: JsonPath
    block_use: BlockUse | None = None


class ExpansionSourceMap:
    """Leads from paths of the flat document to paths of the written one."""

    def __init__(self, document: Mapping[str, Json], layer_paths: Sequence[ScopedPath]) -> None:
        self.document, self.layer_paths = document, layer_paths

    def __call__(self, path: JsonPath, key: bool = False) -> SourceLocation:
        """The origin of a value; of one that is handed on whole, as in `"units": "${width}"`, where it was given."""
        place, rest, part = ScopedPath(()), path, None
        if len(path) > 1 and path[0] == "layers" and isinstance(path[1], int) and path[1] < len(self.layer_paths):
            place, rest, part = self.layer_paths[path[1]], path[2:], path[1]
        where, value, rest = self._descend(place.path, rest)
        notes: list[tuple[JsonPath, str]] = []
        frame = place.block_use
        for _ in range(0 if key and not rest else MAX_HOPS):
            name = _sole_name(value)
            given = self._argument_path(name, frame) if name else None
            if given is None:
                break
            notes.append((where, f"{short_name(str(name))} is used here"))
            frame = given.block_use
            where, value, rest = self._descend(given.path, rest)
        return SourceLocation(where, (*notes[:1], *block_use_notes(place.block_use)), part)

    def _descend(self, path: JsonPath, rest: JsonPath) -> tuple[JsonPath, Json, JsonPath]:
        """The deepest place on a way that is written, its value, and what is left of the way."""
        value: Json = self.document
        for step in path:
            value = value[step]
        for number, step in enumerate(rest):
            inside = isinstance(step, int) and isinstance(value, list) and 0 <= step < len(value)
            if not inside and not (isinstance(value, dict) and step in value):
                return (*path, *rest[:number]), value, rest[number:]
            value = value[step]
        return (*path, *rest), value, ()

    def _argument_path(self, name: str, block_use: BlockUse | None) -> ScopedPath | None:
        """Where a parameter got its value."""
        if block_use is None:
            known = self.document.get("parameters")
            return ScopedPath(("parameters", name)) if isinstance(known, Mapping) and name in known else None
        if name not in block_use.block.parameters:
            return None
        _, entry, _ = self._descend(block_use.arguments_path, ())
        if block_use.name and name in entry:
            return ScopedPath((*block_use.arguments_path, name), block_use.outer)
        return ScopedPath((*block_use.block.path, "parameters", name), block_use)


def _sole_name(value: Json) -> str | None:
    """The name that is the whole of an expression that is the whole of a value."""
    if not isinstance(value, str):
        return None
    try:
        found = parse_text(value)
    except ExpressionError:
        return None
    return found[0].sole_name if len(found) == 1 and isinstance(found[0], Expression) else None
