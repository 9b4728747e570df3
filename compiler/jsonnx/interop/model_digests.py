"""Verifies the digests that a model file records about its contents.

`jsonnx.digest` covers every field of the model but metadata of other programs, so that they may be added. A tensor
counts with its fields and then its data, wherever they lie: storing weights in a file of their own changes no digest.
The lengths of the graph and of its tensors are not covered, since they depend on that.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from ..core.diagnostics import CompileError, Diagnostic
from ..core.files.digests import DIGEST_KEYS, ContentDigests, digest_errors, records_digests
from ..core.files.file_kinds import ONNX, other_kind_error
from ..core.files.files import UnsafePath, open_beneath
from .external_weights import weights_folder
from .protobuf_reader import BufferedFile, DecodeError, Message
from .read_budget import damaged_file_error

GRAPH_FIELD, METADATA_FIELD = 7, 14
INITIALIZER_FIELD, NAME_FIELD = 5, 8
RAW_DATA_FIELD, EXTERNAL_DATA_FIELD, DATA_LOCATION_FIELD = 9, 13, 14
"""Field numbers of ModelProto, of GraphProto and TensorProto, and of the data of a TensorProto."""

METADATA_PREFIX = "jsonnx."
_BLOCK_BYTES = 1 << 20


def model_digest_errors(file: IO[bytes], name: str) -> list[Diagnostic]:
    """Errors if an ONNX file differs from its recorded digests; none if it records no digests.

    Reads files with weights that the model names, beneath its folder. Raises CompileError `damaged-file` if the file is
    not an ONNX model, `unsafe-path` for a file outside of the folder, UsageError for one that cannot be read.
    """
    try:
        data = BufferedFile(file)
        model = Message(data, 0, data.size)
        metadata = dict(_metadata_entry(value) for number, value in model.fields() if number == METADATA_FIELD)
        if not records_digests(metadata):
            return []
        actual = _ModelDigester(weights_folder(name)).digests(model)
    except DecodeError as error:
        damage = damaged_file_error(name, f"not a readable model: {error}")
        raise other_kind_error(file, name, "an ONNX model or a RUN folder", (ONNX,)) or damage from error
    except UnsafePath as error:
        raise CompileError([Diagnostic("unsafe-path", f"its weights: {error}", file=name)]) from error
    return digest_errors(metadata, actual, name, "its graph or its metadata")


def _metadata_entry(value: int | Message) -> tuple[str, str]:
    fields = dict(value.fields()) if isinstance(value, Message) else {}
    key, text = (fields.get(number) for number in (1, 2))
    return _text(key), _text(text)


def _text(value: int | Message | None) -> str:
    return value.text() if isinstance(value, Message) else ""


class _ModelDigester:
    """Computes the digests of a model's contents, without loading it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, str] = {}

    def digests(self, model: Message) -> ContentDigests:
        contents, start = sha256(), model.start
        for number, value, end in model.fields_with_ends():
            if number == GRAPH_FIELD and isinstance(value, Message):
                contents.update(self._graph_digest(value))
            elif number != METADATA_FIELD or _is_covered(value):
                _update(contents, Message(model.file, start, end))
            start = end
        return ContentDigests(contents.hexdigest(), self._tensors)

    def _graph_digest(self, graph: Message) -> bytes:
        digest, start = sha256(), graph.start
        for number, value, end in graph.fields_with_ends():
            if number == INITIALIZER_FIELD and isinstance(value, Message):
                digest.update(self._tensor_digest(value))
            else:
                _update(digest, Message(graph.file, start, end))
            start = end
        return digest.digest()

    def _tensor_digest(self, tensor: Message) -> bytes:
        fields = list(tensor.fields_with_ends())
        is_external = any(number == DATA_LOCATION_FIELD and value == 1 for number, value, _ in fields)
        skipped = {EXTERNAL_DATA_FIELD, DATA_LOCATION_FIELD} if is_external else set()
        digest, start, name = sha256(), tensor.start, ""
        for number, value, end in fields:
            if number == NAME_FIELD:
                name = _text(value)
            if number not in skipped and not (number == RAW_DATA_FIELD and isinstance(value, Message)):
                _update(digest, Message(tensor.file, start, end))
            start = end
        for number, value, _ in fields:
            if number == RAW_DATA_FIELD and isinstance(value, Message):
                _update(digest, value)
        if is_external:
            self._update_with_file(digest, dict(_metadata_entry(v) for n, v, _ in fields if n == EXTERNAL_DATA_FIELD))
        self._tensors[name] = digest.hexdigest()
        return digest.digest()

    def _update_with_file(self, digest: Any, entries: dict[str, str]) -> None:
        """Adds the data of a tensor in a file of its own. Raises DecodeError, UnsafePath, UsageError."""
        with open_beneath(self._folder, entries.get("location", "")) as file:
            numbers = [entries[key] for key in ("offset", "length") if key in entries]
            if not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
                raise DecodeError("a tensor does not state where its data is")
            start = int(entries.get("offset", 0))
            end = start + int(entries["length"]) if "length" in entries else os.fstat(file.fileno()).st_size
            _update(digest, Message(BufferedFile(file), start, end))


def _is_covered(value: int | Message) -> bool:
    key, _ = _metadata_entry(value)
    return key.startswith(METADATA_PREFIX) and key not in DIGEST_KEYS


def _update(digest: Any, part: Message) -> None:
    """Adds the bytes of a part of a file, in blocks."""
    for start in range(part.start, part.end, _BLOCK_BYTES):
        digest.update(part.file.read(start, min(start + _BLOCK_BYTES, part.end)))
