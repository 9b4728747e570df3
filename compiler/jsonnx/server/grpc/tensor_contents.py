"""The typed values of tensors in messages: `contents`, with a field for each group of datatypes."""

from __future__ import annotations

from math import prod

import numpy as np

from ..protocol.datatypes import BYTES, RAW_ONLY_DATATYPES, dtype_of
from ..protocol.errors import bad_request
from .messages import Message

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""The field of each datatype."""


def array_of_contents(contents: Message, shape: tuple[int, ...], datatype: str, tensor: str) -> np.ndarray:
    """The array of a tensor; the strings of a BYTES tensor are decoded as UTF-8. Raises RequestError."""
    dtype = dtype_of(datatype, tensor)
    if datatype in RAW_ONLY_DATATYPES:
        raise bad_request(f"{tensor} is {datatype}, for which `contents` has no field", "send raw_input_contents")
    for descriptor, _ in contents.ListFields():
        if descriptor.name != _FIELDS[datatype]:
            raise bad_request(f"{tensor} is {datatype}, and has values in {descriptor.name}", _help(datatype))
    values = getattr(contents, _FIELDS[datatype])
    count = prod(shape)
    if len(values) != count:
        message = f"{tensor} has the shape {list(shape)}, so {count:,} values, but {len(values):,} are given"
        raise bad_request(message, None if values else _help(datatype))
    if datatype == BYTES:
        array = np.empty(count, object)
        array[:] = _strings(values, tensor)
        return array.reshape(shape)
    wide = np.array(values, np.int64 if dtype.kind in "iu" and dtype.itemsize < 8 else dtype)
    array = wide.astype(dtype)
    if (array != wide).any() and dtype.kind in "iu":
        outside = wide[array != wide][0]
        raise bad_request(f"{tensor} is {datatype}, and has {outside}, which is beyond its range")
    return array.reshape(shape)


def _help(datatype: str) -> str:
    return f"give them in {_FIELDS[datatype]}, or as raw_input_contents"


def _strings(values: Message, tensor: str) -> list[str]:
    strings: list[str] = []
    for value in values:
        try:
            strings.append(value.decode())
        except UnicodeDecodeError as error:
            raise bad_request(f"element {len(strings)} of {tensor} is not UTF-8: {error.reason}") from error
    return strings


def set_contents(contents: Message, array: np.ndarray, datatype: str) -> None:
    """Sets the values of a tensor whose datatype has a field."""
    values = array.reshape(-1).tolist()
    if datatype == BYTES:
        values = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    getattr(contents, _FIELDS[datatype]).extend(values)
