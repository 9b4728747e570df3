"""Vocabularies that a spec keeps in files: their tokens take the place of the files' names.

So all that comes after sees one document that needs no other file: the model's metadata and a run's spec too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from ..core.components import Json
from ..core.diagnostics import JsonPath, Report, SourceMap
from ..layers import LAYERS
from .expansion.expressions import escape_expressions
from .schema.phrases import short_repr

MAX_VOCABULARY_BYTES = 64 << 20
"""Bytes of a file."""

FileOpener = Callable[[str, JsonPath], "IO[bytes] | None"]
"""Opens a file that the spec names at a path; None where that is reported as a fault."""


def vocabulary_files(document: Json) -> dict[int, str]:
    """The names of files by the index of the layer whose vocabulary they hold."""
    layers = document.get("layers") if isinstance(document, Mapping) else None
    found = {}
    for index, entry in enumerate(layers if isinstance(layers, list) else ()):
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        layer = LAYERS.by_name.get(kind) if isinstance(kind, str) else None
        if layer is not None and "vocabulary" in layer.attributes and isinstance(entry.get("vocabulary"), str):
            found[index] = entry["vocabulary"]
    return found


def inline_vocabularies(document: Json, open_file: FileOpener, report: Report) -> Json:
    """The document with tokens for names of files, one a line; faults are reported where the name stands."""
    layers = list(document["layers"]) if vocabulary_files(document) else []
    for index, name in vocabulary_files(document).items():
        path = ("layers", index, "vocabulary")
        file = open_file(name, path)
        if file is not None:
            with file:
                data = file.read(MAX_VOCABULARY_BYTES + 1)
            tokens = _parse_tokens(data, layers[index]["type"] == "IntegerLookup", name, path, report)
            layers[index] = {**layers[index], "vocabulary": tokens}
    return {**document, "layers": layers} if layers else document


def write_back_tokens(raw: Json, document: Json, indexes: Iterable[int], source_map: SourceMap, report: Report) -> Json:
    """What was written, with the tokens of some layers of the flat document in the places of the files' names."""
    given: dict[JsonPath, list[Any]] = {}
    for index in indexes:
        path: JsonPath = ("layers", index, "vocabulary")
        tokens, place = document["layers"][index]["vocabulary"], source_map(path, False).path
        if not isinstance(tokens, list):
            continue  # could not be read, which is reported
        if given.setdefault(place, tokens) != tokens:
            message = "this names several files, and a model has their tokens in the place of one name"
            report.add("unsupported-argument", path, message, help="let each use give the name as an argument")
            continue
        raw = _with_value_at(raw, place, escape_expressions(tokens))
    return raw


def _with_value_at(container: Any, path: JsonPath, value: Json) -> Json:
    """A copy with one value replaced."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    copy = container.copy()
    copy[step] = _with_value_at(container[step], rest, value)
    return copy


def _parse_tokens(data: bytes, integers: bool, name: str, path: JsonPath, report: Report) -> list[Any] | str:
    if len(data) > MAX_VOCABULARY_BYTES:
        report.add("too-large", path, f"the vocabulary {short_repr(name)} has more than {MAX_VOCABULARY_BYTES:,} bytes")
        return name
    try:
        text = data.decode("utf-8-sig")
        lines = text.removesuffix("\n").split("\n") if text else []
        tokens = [line.removesuffix("\r") for line in lines]
        return [int(token) for token in tokens] if integers else tokens
    except ValueError as error:  # not UTF-8, or no integer
        help = "one integer a line" if integers else "one token a line, in UTF-8"
        report.add("bad-data-file", path, f"the vocabulary {short_repr(name)} cannot be read: {error}", help=help)
        return name
