"""The files of Tokenizer layers: reads them, and writes their digests into the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import IO, Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, UsageError
from ...core.files.tokenizer_file import TOKENIZER_HELP, TOKENIZER_SUFFIX, TokenizerFile, read_tokenizer
from ...frontend.expansion.flat_writer import FlatDocument
from ...frontend.names.vocabulary_files import replaced_at
from ...frontend.networks.token_inputs import TOKENIZER

FILE_KEY, DIGEST_KEY = "file", "sha256"

OpenNamed = Callable[[str, JsonPath], "IO[bytes] | None"]
"""Opens a file that the spec names at a path; returns None after it has reported an error."""


def tokenizer_entries(document: Json) -> dict[int, Mapping[str, Any]]:
    """The layers of a flat document that name a tokenizer, by their index."""
    layers = document.get("layers") if isinstance(document, Mapping) else None
    return {
        index: entry
        for index, entry in enumerate(layers if isinstance(layers, list) else ())
        if isinstance(entry, Mapping) and entry.get("type") == TOKENIZER and isinstance(entry.get(FILE_KEY), str)
    }


def read_tokenizers(flat: FlatDocument, open_file: OpenNamed, report: Report) -> dict[int, TokenizerFile]:
    """The tokenizers of the layers that name them, by the index of their layer."""
    files: dict[int, TokenizerFile] = {}
    read: dict[str, TokenizerFile | None] = {}
    for index, entry in tokenizer_entries(flat.document).items():
        name, path = entry[FILE_KEY], ("layers", index, FILE_KEY)
        if name not in read:
            read[name] = _read(name, path, open_file, report)
        file = read[name]
        if file is not None and entry.get(DIGEST_KEY) in (None, file.sha256):
            files[index] = file
        elif file is not None:
            message = f"{name!r} is another tokenizer than the one that the spec was trained with"
            help = f"its SHA-256 is {file.sha256}: restore the file, or remove the key `sha256`"
            report.add("digest-mismatch", (*path[:-1], DIGEST_KEY), message, help=help)
    return files


def _read(name: str, path: JsonPath, open_file: OpenNamed, report: Report) -> TokenizerFile | None:
    if not name.endswith(TOKENIZER_SUFFIX):
        message = f"the name of a tokenizer ends with {TOKENIZER_SUFFIX!r}, got {name!r}"
        report.add("invalid-name", path, message, help=f"rename the file; {TOKENIZER_HELP}")
        return None
    opened = open_file(name, path)
    if opened is None:
        return None
    try:
        with opened as content:
            file = read_tokenizer(content, name)
        if find_spec("tokenizers") is not None:  # without it, texts cannot be read, but a spec can be checked
            from ...data.texts.text_tokenizer import load_tokenizer

            load_tokenizer(file, name)
    except UsageError as error:
        report.add(error.diagnostic.code, path, error.diagnostic.message, help=error.diagnostic.help)
        return None
    return file


def with_digests(
    value: Json, flat: FlatDocument, files: Mapping[int, TokenizerFile], report: Report
) -> tuple[Json, Json]:
    """The source document and the flat one with the digests of the files, beside their names."""
    document = {**flat.document, "layers": list(flat.document["layers"])}
    for index, file in files.items():
        path: JsonPath = ("layers", index, FILE_KEY)
        document["layers"][index] = {**document["layers"][index], DIGEST_KEY: file.sha256}
        *steps, _ = flat.source_map(path, True).path
        entry: Any = value
        for step in steps:
            entry = entry[step]
        if entry.get(DIGEST_KEY, file.sha256) != file.sha256:
            message = "this expression names several tokenizers, but a model can store only one digest in its place"
            report.add("unsupported-argument", path, message, help="write the layer once for each file")
        value = replaced_at(value, tuple(steps), {**entry, DIGEST_KEY: file.sha256})
    return value, document
