"""Writes weights as a safetensors file with digests, and verifies the digests of such a file."""

from __future__ import annotations

import json
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
_HEADER_ALIGNMENT_BYTES = 8


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
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.get("__metadata__") or {}


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
