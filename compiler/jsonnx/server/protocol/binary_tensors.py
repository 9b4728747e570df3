"""The values of tensors as bytes: the extension `binary_tensor_data`, and raw contents of gRPC.

Numbers are little-endian in row-major order; each element of a BYTES tensor is preceded by its length in 4 bytes.
Source: Triton's docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import struct
from math import prod
from typing import Any

import numpy as np

from .datatypes import BYTES, dtype_of
from .errors import bad_request

_LENGTH = struct.Struct("<I")


def array_of_bytes(data: bytes | memoryview, shape: tuple[int, ...], datatype: Any, tensor: str) -> np.ndarray:
    """The array of a tensor; the strings of a BYTES tensor are decoded as UTF-8. Raises RequestError."""
    dtype = dtype_of(datatype, tensor)
    count = prod(shape)
    if datatype == BYTES:
        strings = _strings(bytes(data), count, tensor)
        array = np.empty(len(strings), object)
        array[:] = strings
        return array.reshape(shape)
    if len(data) != count * dtype.itemsize:
        message = (
            f"{tensor} has the shape {list(shape)} and the datatype {datatype}, so {count * dtype.itemsize:,} bytes"
        )
        raise bad_request(f"{message}, but {len(data):,} are given")
    if datatype == "BOOL":
        return np.frombuffer(data, np.uint8).reshape(shape) != 0
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _strings(data: bytes, count: int, tensor: str) -> list[str]:
    strings: list[str] = []
    start = 0
    while start < len(data) and len(strings) < count:
        end = start + _LENGTH.size
        length = _LENGTH.unpack_from(data, start)[0] if end <= len(data) else len(data)
        if end + length > len(data):
            raise bad_request(f"the bytes of {tensor} end within its element {len(strings)}")
        try:
            strings.append(data[end : end + length].decode())
        except UnicodeDecodeError as error:
            raise bad_request(f"element {len(strings)} of {tensor} is not UTF-8: {error.reason}") from error
        start = end + length
    if len(strings) != count or start != len(data):
        raise bad_request(f"{tensor} has {count:,} elements by its shape, which its {len(data):,} bytes do not hold")
    return strings


def bytes_of_array(array: np.ndarray) -> bytes:
    """The bytes of a tensor."""
    if array.dtype.kind == "O":
        texts = [value if isinstance(value, bytes) else str(value).encode() for value in array.reshape(-1)]
        return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
