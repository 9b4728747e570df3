"""Vocabularies that a spec keeps in files: their tokens take the place of the files' names.

So all that comes after sees one document that needs no other file: the model's metadata and a run's spec too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from ..core.components import Json
from ..core.diagnostics import JsonPath, Report, Trace
from ..layers import LAYERS
from .expansion.expressions import escaped
from .schema.phrases import shown

LIMIT = 64 << 20
"""Bytes of a file."""

Open = Callable[[str, JsonPath], "IO[bytes] | None"]
"""Opens a file that the spec names at a path; None where that is reported as a fault."""


def named_files(document: Json) -> dict[int, str]:
    """The names of files by the index of the layer whose vocabulary they hold."""
    layers = document.get("layers") if isinstance(document, Mapping) else None
    found = {}
    for index, entry in enumerate(layers if isinstance(layers, list) else ()):
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        layer = LAYERS.names.get(kind) if isinstance(kind, str) else None
        if layer is not None and "vocabulary" in layer.attributes and isinstance(entry.get("vocabulary"), str):
            found[index] = entry["vocabulary"]
    return found


def with_vocabularies(document: Json, open: Open, report: Report) -> Json:
    """The document with tokens for names of files, one a line; faults are reported where the name stands."""
    layers = list(document["layers"]) if named_files(document) else []
    for index, name in named_files(document).items():
        path = ("layers", index, "vocabulary")
        file = open(name, path)
        if file is not None:
            with file:
                data = file.read(LIMIT + 1)
            tokens = _tokens(data, layers[index]["type"] == "IntegerLookup", name, path, report)
            layers[index] = {**layers[index], "vocabulary": tokens}
    return {**document, "layers": layers} if layers else document


def written_back(written: Json, document: Json, indexes: Iterable[int], trace: Trace, report: Report) -> Json:
    """What was written, with the tokens of some layers of the flat document in the places of the files' names."""
    given: dict[JsonPath, list[Any]] = {}
    for index in indexes:
        path: JsonPath = ("layers", index, "vocabulary")
        tokens, place = document["layers"][index]["vocabulary"], trace(path, False).path
        if not isinstance(tokens, list):
            continue  # could not be read, which is reported
        if given.setdefault(place, tokens) != tokens:
            message = "this names several files, and a model has their tokens in the place of one name"
            report.add("unsupported-argument", path, message, help="let each use give the name as an argument")
            continue
        written = _with(written, place, escaped(tokens))
    return written


def _with(inside: Any, path: JsonPath, value: Json) -> Json:
    """A copy with one value replaced."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    copy = inside.copy()
    copy[step] = _with(inside[step], rest, value)
    return copy


def _tokens(data: bytes, integers: bool, name: str, path: JsonPath, report: Report) -> list[Any] | str:
    if len(data) > LIMIT:
        report.add("too-large", path, f"the vocabulary {shown(name)} has more than {LIMIT:,} bytes")
        return name
    try:
        text = data.decode("utf-8-sig")
        lines = text.removesuffix("\n").split("\n") if text else []
        tokens = [line.removesuffix("\r") for line in lines]
        return [int(token) for token in tokens] if integers else tokens
    except ValueError as error:  # not UTF-8, or no integer
        help = "one integer a line" if integers else "one token a line, in UTF-8"
        report.add("bad-data-file", path, f"the vocabulary {shown(name)} cannot be read: {error}", help=help)
        return name
