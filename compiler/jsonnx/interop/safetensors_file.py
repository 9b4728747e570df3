"""Reads safetensors files, writes weights as one with digests, and verifies the digests of such a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from ..core.diagnostics import Diagnostic
from ..core.files.digests import ContentDigests, digest_errors, records_digests
from .string_arrays import with_strings_as_bytes

_DTYPE_NAMES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bool": "BOOL",
}
_DTYPES = {name: np.dtype(dtype).newbyteorder("<") for dtype, name in _DTYPE_NAMES.items()}
_BFLOAT16 = "BF16"
_HEADER_ALIGNMENT_BYTES = 8


def safetensors_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file in the order of their names, BF16 as float32. Raises ValueError for a malformed file."""
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    _header(data)
    return {name: _array(name, **tensor) for name, tensor in sorted(tensors, key=lambda item: item[0])}


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype == _BFLOAT16:  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype not in _DTYPES:
        known = ", ".join([*_DTYPES, _BFLOAT16])
        raise ValueError(f"the array {name!r} has elements of type {dtype}, the types that are read are {known}")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape).astype(_DTYPES[dtype].newbyteorder("="), copy=False)


def _header(data: bytes) -> dict[str, Any]:
    """The header of a valid file. Raises ValueError if a key is there twice."""
    header: dict[str, Any] = json.loads(
        data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=_with_unique_keys
    )
    return header


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} is twice in its header")
    return value


def safetensors_bytes(weights: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a safetensors file, which depend only on the weights.

    String arrays are stored as bytes (`string_arrays`). The metadata have digests of the contents. The safetensors
    package does not write the file, because the order in which it writes several metadata entries varies.
    """
    arrays = {name: _little_endian(array) for name, array in with_strings_as_bytes(weights).items()}
    header: dict[str, Any] = {"__metadata__": array_digests(arrays).to_metadata()}
    offset = 0
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))  # so that all elements are aligned
    for name, array in ordered:
        end = offset + array.nbytes
        dtype, shape = _DTYPE_NAMES[array.dtype.name], list(array.shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT_BYTES)
    return b"".join([len(text).to_bytes(8, "little"), text, *(_bytes_of(array) for _, array in ordered)])


def safetensors_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a valid safetensors file."""
    return _header(data).get("__metadata__") or {}


def safetensors_errors(data: bytes, arrays: Mapping[str, np.ndarray], file: str) -> list[Diagnostic]:
    """Errors if the arrays of a file differ from its recorded digests; none if it has no digests."""
    metadata = safetensors_metadata(data)
    return digest_errors(metadata, array_digests(arrays), file, "its header") if records_digests(metadata) else []


def array_digests(arrays: Mapping[str, np.ndarray]) -> ContentDigests:
    """The digests of arrays: of each one's bytes, and of all names, types, shapes and bytes."""
    contents, tensors = sha256(), {}
    for name, array in sorted(arrays.items()):
        tensor = sha256(f"{array.dtype.name} {list(array.shape)} ".encode())
        tensor.update(_bytes_of(_little_endian(array)))
        tensors[name] = tensor.hexdigest()
        contents.update(json.dumps([name, tensors[name]]).encode())
    return ContentDigests(contents.hexdigest(), tensors)


def _little_endian(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
