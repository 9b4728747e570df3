"""Models beyond the size of a message in Protocol Buffers: their large tensors are external data, outside of the
model's bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import onnx

from ..core.diagnostics import UsageError
from ..core.files.loadable_model import MAX_MODEL_BYTES, LoadableModel
from ..core.limits import bytes_text
from .model_writer import ModelWriter

MIN_EXTERNAL_BYTES = 1 << 10
"""Minimum size of a tensor, in bytes, that is external data. Smaller ones may be the shapes that operators read."""
ALIGNMENT_BYTES = 1 << 12
"""The offsets of tensors in a file are multiples of a page, so that readers can map them into memory."""
MEMORY_LOCATION = "memory"
"""The location of tensors that a session is given as arrays."""


@dataclass(frozen=True, eq=False)
class SplitModel:
    """A model whose large tensors are external data, and the arrays of these by name, in the order of their file."""

    writer: ModelWriter
    arrays: Mapping[str, np.ndarray]


def needs_external_data(writer: ModelWriter) -> bool:
    """Whether a model is too large for one file."""
    return writer.size_bytes > MAX_MODEL_BYTES


def to_loadable(writer: ModelWriter) -> LoadableModel:
    """The model as onnxruntime loads it, without a copy of the tensors of a large one."""
    if not needs_external_data(writer):
        return LoadableModel(writer.to_bytes())
    split = split_model(writer, MEMORY_LOCATION)
    return LoadableModel(split.writer.to_bytes(), split.arrays)


def require_one_message(writer: ModelWriter) -> None:
    """Raises UsageError `too-large` if a model has no bytes without external data."""
    if needs_external_data(writer):
        size, limit = bytes_text(writer.size_bytes), bytes_text(MAX_MODEL_BYTES)
        message = f"the model has {size}, and a message of Protocol Buffers holds {limit}"
        raise UsageError("too-large", message, "save it to a file: its weights then lie in a second file beside it")


def split_model(writer: ModelWriter, location: str) -> SplitModel:
    """The model with its large tensors in a file of this name."""
    model = onnx.ModelProto()
    model.CopyFrom(writer.model)
    arrays: dict[str, np.ndarray] = {}
    offset = 0
    for tensor, array in zip(model.graph.initializer, writer.arrays, strict=True):
        if array is not None and array.nbytes >= MIN_EXTERNAL_BYTES:
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", offset), ("length", array.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            arrays[tensor.name] = array
            offset += array.nbytes + _padding_bytes(array)
    inline = [
        None if tensor.name in arrays else array
        for tensor, array in zip(model.graph.initializer, writer.arrays, strict=True)
    ]
    return SplitModel(ModelWriter(model, inline), arrays)


def data_parts(arrays: Mapping[str, np.ndarray]) -> Iterator[Any]:
    """The content of the file of some tensors, in parts: the arrays themselves, and the zeros between them."""
    for array in arrays.values():
        yield array.reshape(-1).view(np.uint8).data
        yield bytes(_padding_bytes(array))


def data_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of the file of some tensors, in hexadecimal digits."""
    digest = sha256()
    for part in data_parts(arrays):
        digest.update(part)
    return digest.hexdigest()


def _padding_bytes(array: np.ndarray) -> int:
    """The number of zeros behind a tensor."""
    return -array.nbytes % ALIGNMENT_BYTES
