"""The tensors of an ONNX file: those of Constant nodes and of other files among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import IO, Any

import numpy as np
import onnx
from onnx import numpy_helper

from ..core.limits import MAX_CONSTANT_BYTES, bytes_text
from .unreadable_graph import DAMAGED, TOO_LARGE, UnreadableGraph

FLOAT_TYPES = frozenset(
    (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
)
"""Element types that a network computes in its own floating-point type."""

OpenFile = Callable[[str], IO[bytes]]
"""Opens a file by its name relative to the model's."""


def tensor_array(tensor: onnx.TensorProto, open_file: OpenFile) -> np.ndarray:
    """The elements of a tensor, also of one whose data lie in another file. Raises UnreadableGraph."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor = _with_data(tensor, open_file)
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableGraph(f"its tensor {tensor.name!r} cannot be read: {error}", DAMAGED) from error


def _with_data(tensor: onnx.TensorProto, open_file: OpenFile) -> onnx.TensorProto:
    """The tensor with the data that lie in another file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    element_bytes = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    needed_bytes = prod(tensor.dims) * element_bytes
    with open_file(entries.get("location", "")) as file:
        file.seek(int(entries.get("offset", 0)))
        data = file.read(needed_bytes)
    if len(data) < needed_bytes:
        message = f"the data of its tensor {tensor.name!r} end after {len(data):,} of {needed_bytes:,} bytes"
        raise UnreadableGraph(message, DAMAGED)
    loaded = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, raw_data=data)
    loaded.dims.extend(tensor.dims)
    return loaded


def constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto:
    """The tensor of a Constant node. Raises UnreadableGraph."""
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return value
        if attribute.name == "sparse_value":
            return dense_tensor(value)
        if attribute.name in ("value_float", "value_floats"):
            return numpy_helper.from_array(np.asarray(value, np.float32))
        if attribute.name in ("value_int", "value_ints"):
            return numpy_helper.from_array(np.asarray(value, np.int64))
    raise UnreadableGraph(f"the constant {node.output[0]!r} has no numbers")


def dense_tensor(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """A sparse tensor with its zeros. Raises UnreadableGraph."""
    shape, name = tuple(sparse.dims), sparse.values.name
    require_size(shape, f"the sparse tensor {name!r}")
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(prod(shape), values.dtype)
    flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape, mode="clip")
    if len(flat) != len(values) or (len(flat) and not 0 <= flat.min() <= flat.max() < dense.size):
        raise UnreadableGraph(f"the sparse tensor {name!r} has indices out of its shape", DAMAGED)
    dense[flat] = values
    return numpy_helper.from_array(dense.reshape(shape), name)


def require_size(shape: Iterable[int], noun: str) -> None:
    """Raises UnreadableGraph if a constant of this shape takes too much memory."""
    if prod(shape) * 8 > MAX_CONSTANT_BYTES:
        message = f"{noun} has {prod(shape):,} elements; the limit of constants is {bytes_text(MAX_CONSTANT_BYTES)}"
        raise UnreadableGraph(message, TOO_LARGE)


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node, with texts in place of bytes."""
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute if a.type}
    return {name: _without_bytes(value) for name, value in values.items()}


def _without_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_bytes(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
