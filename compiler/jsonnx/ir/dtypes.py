"""Conversion of element types and arrays between NumPy and ONNX."""

from __future__ import annotations

import numpy as np
import onnx

_ONNX_DTYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "float64": onnx.TensorProto.DOUBLE,
    "float16": onnx.TensorProto.FLOAT16,
    "bfloat16": onnx.TensorProto.BFLOAT16,
    "int4": onnx.TensorProto.INT4,
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
_DTYPE_NAMES = {int(number): name for name, number in _ONNX_DTYPES.items()}


def onnx_dtype(name: str) -> int:
    """The ONNX enum value of an element type, such as `float32`."""
    return int(_ONNX_DTYPES[name])


def dtype_name(number: int) -> str:
    return _DTYPE_NAMES[number]


def tensor_proto(array: np.ndarray, name: str = "") -> onnx.TensorProto:
    """An array as an ONNX tensor, little-endian and C-contiguous on every machine."""
    return onnx.numpy_helper.from_array(to_contiguous(array), name)


def tensor_array(tensor: onnx.TensorProto) -> np.ndarray:
    """An ONNX tensor, such as an attribute's value, as an array."""
    return onnx.numpy_helper.to_array(tensor)


MIN_STRIPED_COPY_ELEMENTS = 1 << 16
"""Minimum size of an array that is copied in strips, in elements. Smaller ones are faster as a plain copy."""
STRIP_COLUMNS = 16
"""Columns of a strip: a cache line of float32."""


def to_contiguous(array: np.ndarray, factor: np.ndarray | None = None) -> np.ndarray:
    """The array as C-contiguous, optionally multiplied by a factor that broadcasts to it.

    Large arrays are copied in strips that fit into the cache.
    """
    if array.ndim < 2 or array.size < MIN_STRIPED_COPY_ELEMENTS or array.flags.c_contiguous:
        result = array if factor is None else array * factor
        return np.ascontiguousarray(result).reshape(array.shape)
    result = np.empty(array.shape, array.dtype)
    for start in range(0, array.shape[1], STRIP_COLUMNS):
        strip = slice(None), slice(start, start + STRIP_COLUMNS)
        if factor is None:
            result[strip] = array[strip]
        else:
            np.multiply(array[strip], factor if factor.shape[1] == 1 else factor[:, strip[1]], out=result[strip])
    return result
