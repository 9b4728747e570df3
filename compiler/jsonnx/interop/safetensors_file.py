"""Reads safetensors files, writes weights as one with digests, and verifies the digests of such a file.

Neither direction has the bytes of a whole file in memory: files are written from parts, and large ones are mapped. The
safetensors package does neither, and the order in which it writes several metadata entries varies.
"""

from __future__ import annotations

import json
import mmap
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import UnsupportedOperation
from math import prod
from typing import IO, Any, NamedTuple

import numpy as np

from ..core.diagnostics import Diagnostic
from ..core.files.digests import ContentDigests, digest_errors, records_digests
from ..core.numpy_types import BFLOAT16_NAME
from ..core.system.mapped_pages import release_pages
from .bfloat16 import BFLOAT16
from .file_slice import MIN_MAPPED_BYTES
from .string_arrays import with_strings_as_bytes

_DTYPE_NAMES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bool": "BOOL",
}
_DTYPES = {**{name: np.dtype(dtype).newbyteorder("<") for dtype, name in _DTYPE_NAMES.items()}, "BF16": BFLOAT16}
_DTYPE_NAMES[BFLOAT16_NAME] = "BF16"
_METADATA_KEY = "__metadata__"
_HEADER_ALIGNMENT_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
"""The length of a header that the safetensors package accepts."""


class _Entry(NamedTuple):
    """An array in a file; `start` is its offset from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class SafetensorsFile:
    """An open safetensors file. Raises ValueError for a malformed one, OSError if it cannot be read."""

    metadata: Mapping[str, str]
    names: tuple[str, ...]
    """The names of the arrays, sorted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._size = file, file.seek(0, os.SEEK_END)
        header, self._start = _read_header(file, self._size)
        self.metadata = _checked_metadata(header.pop(_METADATA_KEY, {}))
        entries = {name: _checked_entry(name, entry) for name, entry in sorted(header.items())}
        _check_offsets(entries, self._size - self._start)
        self._entries, self.names = entries, tuple(entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array."""
        return self._entries[name].shape

    def read(self, name: str) -> np.ndarray:
        """One array, in memory of its own."""
        entry = self._entries[name]
        data = bytearray(entry.end - entry.start)
        self._file.seek(self._start + entry.start)
        if self._file.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise ValueError("it was shortened while it was read")
        return _array(entry, data, 0)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name; those of BF16 have the type `BFLOAT16`.

        Those of a large file are read-only views of its mapping, so that only what is read takes memory, which
        `release_pages` frees.
        """
        data = self._mapping_or_bytes()
        return {name: _array(entry, data, self._start + entry.start) for name, entry in self._entries.items()}

    def _mapping_or_bytes(self) -> mmap.mmap | bytearray:
        if self._size >= MIN_MAPPED_BYTES:
            try:
                return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            except UnsupportedOperation:  # it is in memory
                pass
        self._file.seek(0)
        return bytearray(self._file.read())


def _array(entry: _Entry, data: mmap.mmap | bytearray, offset: int) -> np.ndarray:
    stored = np.frombuffer(data, _DTYPES[entry.dtype], prod(entry.shape), offset).reshape(entry.shape)
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _read_header(file: IO[bytes], size: int) -> tuple[dict[str, Any], int]:
    """The header of a file, and its end."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
        raise ValueError("its header is longer than the file" if length > size - 8 else "its header is too long")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_with_unique_keys)
    except RecursionError:
        header = None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header, 8 + length


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} is twice in its header")
    return value


def _checked_metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"the entry {_METADATA_KEY!r} of its header is malformed")
    return metadata


def _checked_entry(name: str, entry: Any) -> _Entry:
    """The entry of an array. Raises ValueError unless its type is known and its size is that of its shape."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry {name!r} of its header is malformed")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"the entry {name!r} of its header is malformed")
    if dtype not in _DTYPES:
        known = ", ".join(_DTYPES)
        raise ValueError(f"the array {name!r} has elements of type {dtype}, the types that are read are {known}")
    size = prod(shape) * _DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != size:
        raise ValueError(f"the array {name!r} has {offsets[1] - offsets[0]:,} bytes, its shape needs {size:,}")
    return _Entry(dtype, tuple(shape), *offsets)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_offsets(entries: Mapping[str, _Entry], size: int) -> None:
    """Raises ValueError unless the arrays fill the file without a gap."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        if entry.start != end:
            raise ValueError(f"the array {name!r} does not begin where the one before it ends")
        end = entry.end
    if end != size:
        raise ValueError(f"its arrays have {end:,} bytes, but {size:,} follow its header")


def safetensors_parts(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[Any]:
    """The parts of a safetensors file, header first, whose bytes depend only on the arrays and the metadata.

    A part has the memory of its array. Mapped arrays are released after their parts are used.
    """
    header: dict[str, Any] = {_METADATA_KEY: dict(metadata)} if metadata else {}
    offset = 0
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))  # so that all elements are aligned
    for name, array in ordered:
        end = offset + array.nbytes
        dtype, shape = _DTYPE_NAMES[array.dtype.name], list(array.shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT_BYTES)
    yield len(text).to_bytes(8, "little")
    yield text
    for _, array in ordered:
        yield _bytes_of(_little_endian(array))
        release_pages(array)


def weights_parts(weights: Mapping[str, np.ndarray]) -> Iterator[Any]:
    """The parts of a safetensors file of weights, whose metadata have digests of the contents.

    String arrays are stored as bytes (`string_arrays`).
    """
    arrays = with_strings_as_bytes(weights)
    return safetensors_parts(arrays, array_digests(arrays).to_metadata())


def safetensors_errors(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray], file: str) -> list[Diagnostic]:
    """Errors if the arrays of a file differ from the digests in its metadata; none if it has no digests."""
    return digest_errors(metadata, array_digests(arrays), file, "its header") if records_digests(metadata) else []


def array_digests(arrays: Mapping[str, np.ndarray]) -> ContentDigests:
    """The digests of arrays: of each one's bytes, and of all names, types, shapes and bytes."""
    contents, tensors = sha256(), {}
    for name, array in sorted(arrays.items()):
        dtype = BFLOAT16_NAME if array.dtype == BFLOAT16 else array.dtype.name
        tensor = sha256(f"{dtype} {list(array.shape)} ".encode())
        tensor.update(_bytes_of(_little_endian(array)))
        tensors[name] = tensor.hexdigest()
        contents.update(json.dumps([name, tensors[name]]).encode())
        release_pages(array)
    return ContentDigests(contents.hexdigest(), tensors)


def _little_endian(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    array = array.view(np.uint16) if array.dtype.name == BFLOAT16_NAME else array
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
