"""Serializes a model whose large tensors are NumPy arrays, without a copy of them in a Protocol Buffers message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import onnx

from ..core.files.digests import ContentDigests
from ..core.numpy_types import INT4_NAME, numpy_dtype
from ..ir import onnx_dtype
from ..ir.dtypes import dtype_name, tensor_proto, to_contiguous

INITIALIZER_FIELD, GRAPH_FIELD, RAW_DATA_FIELD = 5, 7, 9
"""The field numbers of GraphProto.initializer, ModelProto.graph and TensorProto.raw_data."""

MAX_INLINE_BYTES = 1 << 16
"""Maximum size of an initializer, in bytes, whose elements the check of the structure gets: shapes may depend on
them."""


@dataclass(frozen=True, eq=False)
class ModelWriter:
    """A model, and for each initializer the array of its elements, or None if they are in the model."""

    model: onnx.ModelProto
    arrays: Sequence[np.ndarray | None]

    def with_digests(self) -> ModelWriter:
        """The model with digests of its contents in its metadata; `interop/model_digests.py` says what they cover."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for key, value in self._digests().to_metadata().items():
            model.metadata_props.add(key=key, value=value)
        return replace(self, model=model)

    def _digests(self) -> ContentDigests:
        graph, tensors = sha256(), {}
        before, after = _fields_around(self.model.graph, INITIALIZER_FIELD)
        graph.update(before)
        for tensor, array in zip(self.model.graph.initializer, self.arrays, strict=True):
            fields, data = tensor, b"" if array is None else array.reshape(-1).view(np.uint8).data
            if array is None and tensor.HasField("raw_data"):  # also if it is empty
                fields, data = onnx.TensorProto(), tensor.raw_data
                fields.CopyFrom(tensor)
                fields.ClearField("raw_data")
            digest = sha256(fields.SerializeToString(deterministic=True))
            digest.update(data)
            tensors[tensor.name] = digest.hexdigest()
            graph.update(digest.digest())
        graph.update(after)
        before, after = _fields_around(self.model, GRAPH_FIELD)
        return ContentDigests(sha256(before + graph.digest() + after).hexdigest(), tensors)

    @cached_property
    def size_bytes(self) -> int:
        """The number of bytes of the model, tensors included."""
        return sum(memoryview(part).nbytes for part in self.parts())

    def to_proto(self) -> onnx.ModelProto:
        """The complete model as one message."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for tensor, array in zip(model.graph.initializer, self.arrays, strict=True):
            if array is not None:
                tensor.raw_data = array.tobytes()
        return model

    def structure_proto(self) -> onnx.ModelProto:
        """The model for checks of its structure, in which large initializers are inputs of the same types.

        Raises ValueError if an array differs from its initializer in shape or element size.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.initializer[:]
        for tensor, array in zip(self.model.graph.initializer, self.arrays, strict=True):
            dims, dtype = tuple(tensor.dims), dtype_name(tensor.data_type)
            if array is not None and (array.shape != dims or array.dtype.itemsize != numpy_dtype(dtype).itemsize):
                raise ValueError(f"{tensor.name!r} is {dtype}{list(dims)} and has {array.dtype}{list(array.shape)}")
            if array is not None and array.nbytes > MAX_INLINE_BYTES:
                model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
                continue
            model.graph.initializer.append(tensor)
            if array is not None:
                model.graph.initializer[-1].raw_data = array.tobytes()
        return model

    def to_bytes(self) -> bytes:
        """The bytes of the model, equal to `serialize(self.to_proto())`."""
        return b"".join(self.parts())

    def parts(self) -> list[Any]:
        """The bytes of the model in parts. The elements of large tensors are the arrays themselves.

        Fields are written in the order of their numbers, as Protocol Buffers do.
        """
        initializers: list[Any] = []
        for tensor, array in zip(self.model.graph.initializer, self.arrays, strict=True):
            parts = [tensor.SerializeToString(deterministic=True)]
            if array is not None and (array.size or not array.ndim):
                parts += _encode_field(RAW_DATA_FIELD, [array.reshape(-1).view(np.uint8)])
            initializers += _encode_field(INITIALIZER_FIELD, parts)
        before, after = _fields_around(self.model.graph, INITIALIZER_FIELD)
        graph = _encode_field(GRAPH_FIELD, [before, *initializers, after])
        before, after = _fields_around(self.model, GRAPH_FIELD)
        return [before, *graph, after]


def writer_of_proto(proto: onnx.ModelProto, metadata: Mapping[str, str]) -> ModelWriter:
    """What writes a model of another program, with this metadata and no other."""
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    return ModelWriter(model, [None] * len(model.graph.initializer))


def split_tensor(array: np.ndarray, dtype: str, name: str) -> tuple[onnx.TensorProto, np.ndarray | None]:
    """An ONNX tensor without its elements, and the elements as a little-endian array.

    Strings and integers of 4 bits, of which a byte holds two, stay in the tensor.
    """
    if dtype in ("string", INT4_NAME) or not array.size:
        return tensor_proto(array, name), None
    tensor = onnx.TensorProto(name=name, data_type=onnx_dtype(dtype), dims=array.shape)
    return tensor, to_contiguous(array.astype(array.dtype.newbyteorder("<"), copy=False))


def _fields_around(message: Any, number: int) -> tuple[bytes, bytes]:
    """The bytes of a message's fields with lower numbers than the given one, and with higher numbers."""
    before, after = type(message)(), type(message)()
    for field, value in message.ListFields():
        if field.number != number:
            part = before if field.number < number else after
            if hasattr(value, "MergeFrom"):
                getattr(part, field.name).MergeFrom(value)
            else:
                setattr(part, field.name, value)
    return before.SerializeToString(deterministic=True), after.SerializeToString(deterministic=True)


def _encode_field(number: int, parts: list[Any]) -> list[Any]:
    """A length-delimited field in Protocol Buffers' encoding: key, length, parts."""
    size = sum(part.nbytes if isinstance(part, np.ndarray) else len(part) for part in parts)
    return [bytes([*_encode_varint(number << 3 | 2), *_encode_varint(size)]), *parts]


def _encode_varint(number: int) -> Iterator[int]:
    """A varint: seven bits in each byte, lowest first; all bytes but the last have their highest bit set."""
    while number > 127:
        yield number & 127 | 128
        number >>= 7
    yield number
