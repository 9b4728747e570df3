"""Vocabulary files that a spec names: replaces the names of the files by their tokens.

All later stages, the model's metadata and the spec of a RUN folder then need no other file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, SourceMap
from ...core.files.word_vectors import MalformedVectors, VectorFile
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
    """The flat document with the tokens of the files in place of the files' names: the lines, or the tokens of word
    vectors."""
    layers = list(document["layers"]) if vocabulary_files(document) else []
    bytes_left, tokens_left = int(MAX_VOCABULARY_BYTES), int(MAX_VOCABULARY_TOKENS)
    for index, name in vocabulary_files(document).items():
        path = ("layers", index, "vocabulary")
        file = open_file(name, path)
        if file is None:
            continue
        with file:
            data = _vector_tokens(file, name, layers, index, tokens_left, report)
            if data is None:
                data = file.read(bytes_left + 1)
        bytes_left -= len(data)
        tokens_left -= 1 + data.count(b"\n")
        if bytes_left < 0 or tokens_left < 0:
            limit = f"{MAX_VOCABULARY_TOKENS:,} tokens" if bytes_left >= 0 else f"{MAX_VOCABULARY_BYTES:,} bytes"
            message = f"with {short_repr(name)} the vocabulary files have more than {limit}"
            report.add("too-large", path, message, help="`max_tokens` takes the first tokens of a file of word vectors")
            break
        tokens = _parse_tokens(data, layers[index]["type"] == "IntegerLookup", name, path, report)
        layers[index] = {**layers[index], "vocabulary": tokens}
    return {**document, "layers": layers} if layers else document


def _vector_tokens(
    file: IO[bytes], name: str, layers: list[Any], index: int, max_count: int, report: Report
) -> bytes | None:
    """The tokens of a file of word vectors as lines; None for another file. After an error was reported, no lines."""
    layer = layers[index]
    is_named = any(isinstance(entry, Mapping) and entry.get("vectors") == name for entry in layers)
    try:
        vectors = VectorFile(file)
        if not is_named and not vectors.is_recognised():
            file.seek(0)
            return None
        special = 2 if layer["type"] == "TextVectorization" else _special_count(layer)
        max_tokens = layer.get("max_tokens")
        limit = max_tokens - special if isinstance(max_tokens, int) and max_tokens > special else max_count + 1
        return "\n".join(vectors.tokens(limit)).encode()
    except (MalformedVectors, OSError) as error:
        if not is_named:
            file.seek(0)
            return None
        line = f", line {error.line:,}" if isinstance(error, MalformedVectors) and error.line else ""
        report.add("bad-data-file", ("layers", index, "vocabulary"), f"{short_repr(name)}{line}: {error}")
        return b""


def _special_count(layer: Mapping[str, Any]) -> int:
    """The indices of a lookup before those of its tokens."""
    unknown = layer.get("num_oov_indices", 1)
    return (unknown if isinstance(unknown, int) else 1) + (layer.get("mask_token") is not None)


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
        raw = replaced_at(raw, source_path, escape_expressions(tokens))
    return raw


def replaced_at(container: Any, path: JsonPath, value: Json) -> Json:
    """A copy of a container with the value at a path, which must exist, replaced."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    copy = container.copy()
    copy[step] = replaced_at(container[step], rest, value)
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
