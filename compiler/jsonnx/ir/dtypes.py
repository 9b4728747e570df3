"""Element types and arrays, between our names, NumPy's and ONNX'."""

from __future__ import annotations

import numpy as np
import onnx

_ONNX = {
    "float32": onnx.TensorProto.FLOAT,
    "float64": onnx.TensorProto.DOUBLE,
    "float16": onnx.TensorProto.FLOAT16,
    "bfloat16": onnx.TensorProto.BFLOAT16,
    "int8": onnx.TensorProto.INT8,
    "int16": onnx.TensorProto.INT16,
    "int32": onnx.TensorProto.INT32,
    "int64": onnx.TensorProto.INT64,
    "uint8": onnx.TensorProto.UINT8,
    "uint16": onnx.TensorProto.UINT16,
    "uint32": onnx.TensorProto.UINT32,
    "uint64": onnx.TensorProto.UINT64,
    "bool": onnx.TensorProto.BOOL,
    "string": onnx.TensorProto.STRING,
}
_OURS = {int(number): name for name, number in _ONNX.items()}


def onnx_dtype(name: str) -> int:
    """`float32` as ONNX' number for it."""
    return int(_ONNX[name])


def dtype_name(number: int) -> str:
    return _OURS[number]


def numpy_dtype(name: str) -> np.dtype:
    return np.dtype(object if name == "string" else name)


def tensor_proto(array: np.ndarray, name: str = "") -> onnx.TensorProto:
    """An array as an ONNX tensor, little-endian and C-contiguous whatever the machine."""
    return onnx.numpy_helper.from_array(contiguous(array), name)


LARGE = 1 << 16
"""Elements beyond which it matters in which order they are copied."""


def contiguous(array: np.ndarray, gain: np.ndarray | None = None) -> np.ndarray:
    """The array, or its product with another one that broadcasts to it, with its elements in a row.

    Large ones are made in strips, for which the cache has room.
    """
    if array.ndim < 2 or array.size < LARGE or array.flags.c_contiguous:
        result = array if gain is None else array * gain
        return np.ascontiguousarray(result).reshape(array.shape)
    result = np.empty(array.shape, array.dtype)
    for start in range(0, array.shape[1], 16):
        strip = slice(None), slice(start, start + 16)
        if gain is None:
            result[strip] = array[strip]
        else:
            np.multiply(array[strip], gain if gain.shape[1] == 1 else gain[:, strip[1]], out=result[strip])
    return result
