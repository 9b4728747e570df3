"""Vocabulary files that a spec names: replaces the names of the files by their tokens.

All later stages, the model's metadata and the spec of a RUN folder then need no other file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, SourceMap
from ...core.limits import MAX_VOCABULARY_BYTES, MAX_VOCABULARY_TOKENS
from ...layers import LAYERS
from ..expansion.expressions import escape_expressions
from ..schema.phrases import short_repr

FileOpener = Callable[[str, JsonPath], "IO[bytes] | None"]
"""Opens a file that the spec names at a path; returns None after it has reported an error."""


def vocabulary_files(document: Json) -> dict[int, str]:
    """The names of vocabulary files by the index of their layer in a flat document."""
    layers = document.get("layers") if isinstance(document, Mapping) else None
    files = {}
    for index, entry in enumerate(layers if isinstance(layers, list) else ()):
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        layer = LAYERS.by_name.get(kind) if isinstance(kind, str) else None
        if layer is not None and "vocabulary" in layer.attributes and isinstance(entry.get("vocabulary"), str):
            files[index] = entry["vocabulary"]
    return files


def inline_vocabularies(document: Json, open_file: FileOpener, report: Report) -> Json:
    """The flat document with the tokens of the files, one per line, in place of the files' names."""
    layers = list(document["layers"]) if vocabulary_files(document) else []
    bytes_left, tokens_left = int(MAX_VOCABULARY_BYTES), int(MAX_VOCABULARY_TOKENS)
    for index, name in vocabulary_files(document).items():
        path = ("layers", index, "vocabulary")
        file = open_file(name, path)
        if file is not None:
            with file:
                data = file.read(bytes_left + 1)
            bytes_left -= len(data)
            tokens_left -= 1 + data.count(b"\n")
            if bytes_left < 0 or tokens_left < 0:
                limit = f"{MAX_VOCABULARY_TOKENS:,} tokens" if bytes_left >= 0 else f"{MAX_VOCABULARY_BYTES:,} bytes"
                message = f"with {short_repr(name)} the vocabulary files have more than {limit}"
                report.add("too-large", path, message)
                break
            tokens = _parse_tokens(data, layers[index]["type"] == "IntegerLookup", name, path, report)
            layers[index] = {**layers[index], "vocabulary": tokens}
    return {**document, "layers": layers} if layers else document


def write_back_tokens(raw: Json, document: Json, indexes: Iterable[int], source_map: SourceMap, report: Report) -> Json:
    """The source document with tokens in place of the files' names.

    `raw` is the source document, `document` the flat one with tokens, and `indexes` the indexes of the layers with a
    file.
    """
    tokens_by_path: dict[JsonPath, list[Any]] = {}
    for index in indexes:
        path: JsonPath = ("layers", index, "vocabulary")
        tokens, source_path = document["layers"][index]["vocabulary"], source_map(path, False).path
        if not isinstance(tokens, list):
            continue  # the file could not be read, which has been reported
        if tokens_by_path.setdefault(source_path, tokens) != tokens:
            message = "this expression names several files, but a model can store only one list of tokens in its place"
            report.add("unsupported-argument", path, message, help="pass the file's name as an argument of each use")
            continue
        raw = _replaced_at(raw, source_path, escape_expressions(tokens))
    return raw


def _replaced_at(container: Any, path: JsonPath, value: Json) -> Json:
    """A copy of a container with the value at a path, which must exist, replaced."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    copy = container.copy()
    copy[step] = _replaced_at(container[step], rest, value)
    return copy


def _parse_tokens(data: bytes, integers: bool, name: str, path: JsonPath, report: Report) -> list[Any] | str:
    """The tokens of a file, or the file's name after an error was reported."""
    try:
        text = data.decode("utf-8-sig")
        lines = text.removesuffix("\n").split("\n") if text else []
        tokens = [line.removesuffix("\r") for line in lines]
        return [int(token) for token in tokens] if integers else tokens
    except ValueError as error:  # not UTF-8, or not an integer
        help = "write one integer per line" if integers else "write one token per line, in UTF-8"
        report.add("bad-data-file", path, f"the vocabulary {short_repr(name)} cannot be read: {error}", help=help)
        return name
