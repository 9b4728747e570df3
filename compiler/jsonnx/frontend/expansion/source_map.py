"""From a place in the flat document back to what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath, Origin
from ..schema.phrases import quoted
from .expressions import Expression, ExpressionError, parts
from .template import Frame, notes_of

HOPS = 200
"""How often a value is handed on before we stop asking where it came from."""


class Place(NamedTuple):
    """Where a layer of the flat document was written, and in which use of a block."""

    path: JsonPath
    frame: Frame | None = None


class Origins:
    """Leads from paths of the flat document to paths of the written one."""

    def __init__(self, document: Mapping[str, Json], places: Sequence[Place]) -> None:
        self.document, self.places = document, places

    def __call__(self, path: JsonPath, key: bool = False) -> Origin:
        """The origin of a value; of one that is handed on whole, as in `"units": "${width}"`, where it was given."""
        place, rest, part = Place(()), path, None
        if len(path) > 1 and path[0] == "layers" and isinstance(path[1], int) and path[1] < len(self.places):
            place, rest, part = self.places[path[1]], path[2:], path[1]
        where, value, rest = self._found(place.path, rest)
        notes: list[tuple[JsonPath, str]] = []
        frame = place.frame
        for _ in range(0 if key and not rest else HOPS):
            name = _name(value)
            given = self._given(name, frame) if name else None
            if given is None:
                break
            notes.append((where, f"{quoted(str(name))} is used here"))
            frame = given.frame
            where, value, rest = self._found(given.path, rest)
        return Origin(where, (*notes[:1], *notes_of(place.frame)), part)

    def _found(self, path: JsonPath, rest: JsonPath) -> tuple[JsonPath, Json, JsonPath]:
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

    def _given(self, name: str, frame: Frame | None) -> Place | None:
        """Where a parameter got its value."""
        if frame is None:
            known = self.document.get("parameters")
            return Place(("parameters", name)) if isinstance(known, Mapping) and name in known else None
        if name not in frame.block.parameters:
            return None
        _, entry, _ = self._found(frame.given, ())
        if frame.name and name in entry:
            return Place((*frame.given, name), frame.around)
        return Place((*frame.block.path, "parameters", name), frame)


def _name(value: Json) -> str | None:
    """The name that is the whole of an expression that is the whole of a value."""
    if not isinstance(value, str):
        return None
    try:
        found = parts(value)
    except ExpressionError:
        return None
    return found[0].name if len(found) == 1 and isinstance(found[0], Expression) else None
