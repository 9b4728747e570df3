"""Reads files of arrays (.npz, .npy and .safetensors), without trusting their contents."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from math import prod
from tokenize import TokenError
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError
from ...core.limits import MAX_DATA_FILE_BYTES
from ...interop.bfloat16 import widened
from ...interop.read_budget import ReadBudget
from ...interop.safetensors_file import SafetensorsFile
from ...interop.zip_reader import ZipArchive
from ..samples.data_errors import NO_LOCATION, DataLocation, ErrorCollector
from ..samples.mapped_samples import FileMapping, MappedSamples
from ..samples.stored_arrays import Samples, StoredArray
from ..samples.validate_arrays import LocateElement, sample_location
from .data_table import ColumnRequest
from .table_file import TableFile

MapFile = Callable[[], FileMapping]
"""Maps an open file into memory, when the first array of it is needed."""
OBJECT_HINT = (
    '; array.astype("float32") makes numbers of objects, array.astype(str) texts, and np.concatenate one array of '
    "sequences, with their lengths in the array NAME_lengths"
)
_VALUE_OF_CODE = re.compile(r".*<[^>]* at 0x[0-9a-f]+>.*", re.DOTALL)
"""What Python says of code in place of a literal, with an address that differs from process to process."""
DAMAGED_FILE_ERRORS = (OSError, ValueError, EOFError)
"""The exceptions that NumPy raises for a malformed file."""


def read_npy(source: TableFile) -> ArrayTable:
    return open_npy(source.file, source.options.npy_column, source.mapping())


def read_npz(source: TableFile) -> ArrayTable:
    return open_npz(source.file, source.name, source.mapping())


def read_safetensors(source: TableFile) -> ArrayTable:
    return open_safetensors(source.file)


def open_npy(file: IO[bytes], column: str, map_file: MapFile | None = None) -> ArrayTable:
    """The array of an .npy file as a column, in a mapping of the file if there is one. Raises ValueError for a
    malformed file."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    header = _read_npy_header(file, size)
    if map_file is not None and header.is_mappable:
        offset = file.tell()
        return ArrayTable([column], lambda name: _mapped_array(map_file(), header, offset))
    return ArrayTable([column], cache(lambda name: _read_npy_data(file, header)))


def open_safetensors(file: IO[bytes]) -> ArrayTable:
    """The arrays of a .safetensors file. Raises ValueError for a malformed file."""
    arrays = SafetensorsFile(file).arrays()
    return ArrayTable([*arrays], lambda name: widened(arrays[name]))


class _NpyHeader(NamedTuple):
    """The header of an .npy file."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype

    @property
    def is_mappable(self) -> bool:
        """Whether the array has samples, which are numbers."""
        return self.dtype.kind in "fiub" and len(self.shape) > 0 and 0 not in self.shape


def _read_npy_header(file: IO[bytes], size: int) -> _NpyHeader:
    """The header of an .npy file of `size` bytes. Raises ValueError unless plain data of the remaining length follow.

    A forged header could otherwise make NumPy allocate terabytes.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format version {version} is not supported")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        header = _NpyHeader(*read_header(file))
    except (
        ValueError,
        SyntaxError,
        TokenError,
        TypeError,
        RecursionError,
        MemoryError,
    ) as error:  # NumPy parses Python there
        reason = _VALUE_OF_CODE.sub("it contains code", str(error))
        raise ValueError(f"its header is damaged: {reason}") from None
    if header.dtype.kind not in "fiubU":
        hint = (
            OBJECT_HINT if header.dtype.kind == "O" else "; write booleans, integers, floating-point numbers or texts"
        )
        raise ValueError(f"elements of type {header.dtype} are not supported{hint}")
    data_size = size - file.tell()
    if data_size != prod(header.shape) * header.dtype.itemsize or any(length < 0 for length in header.shape):
        raise ValueError(f"it has {data_size:,} bytes of data, its header says {list(header.shape)} of {header.dtype}")
    return header


def _array_from_bytes(header: _NpyHeader, data: bytes | bytearray) -> np.ndarray:
    array = np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran_order else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _read_npy_data(file: IO[bytes], header: _NpyHeader) -> np.ndarray:
    """The array of an .npy file that is open behind its header."""
    size = prod(header.shape) * header.dtype.itemsize
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it changed while it was read")
    return _array_from_bytes(header, data)


def _mapped_array(mapping: FileMapping, header: _NpyHeader, offset: int) -> StoredArray:
    """The array of an .npy file that begins behind its header, at an offset of a mapped file."""
    order: Literal["F", "C"] = "F" if header.fortran_order else "C"
    array = np.ndarray(header.shape, header.dtype, mapping.buffer, offset, order=order)
    return StoredArray(MappedSamples(mapping, array))


def open_npz(file: IO[bytes], name: str, map_file: MapFile | None = None) -> ArrayTable:
    """The arrays of an .npz file, each read on demand; those that are not compressed are in a mapping of the file, if
    there is one. Raises CompileError for a malformed archive, ValueError for malformed arrays."""
    max_bytes = MAX_DATA_FILE_BYTES if map_file is None else max(MAX_DATA_FILE_BYTES, file.seek(0, io.SEEK_END))
    archive = ZipArchive(file, ReadBudget(name, bytes_left=max_bytes))
    members = {member.removesuffix(".npy"): member for member in archive.member_names()}
    if len(members) < len(archive.member_names()):
        raise ValueError("two members have the same name")
    if (total_size := sum(map(archive.member_size, members.values()))) > max_bytes:
        raise ValueError(f"it unpacks to {total_size:,} bytes, the limit is {max_bytes:,}")

    def read_mapped(key: str, map_file: MapFile) -> StoredArray | None:
        place = archive.member_slice(members[key])
        if place is None:
            return None
        file.seek(place.start)
        header = _read_npy_header(file, place.start + place.length)
        return _mapped_array(map_file(), header, file.tell()) if header.is_mappable else None

    def read(key: str) -> Samples:
        if map_file is not None and (stored := read_mapped(key, map_file)) is not None:
            return stored
        chunks, size = archive.chunks(members[key]), archive.member_size(members[key])
        first_chunk = io.BytesIO(next(chunks, b""))  # headers are shorter than a chunk
        header = _read_npy_header(first_chunk, size)
        data, offset = bytearray(size - first_chunk.tell()), 0
        for chunk in chain([first_chunk.read()], chunks):
            data[offset : offset + len(chunk)] = chunk
            offset += len(chunk)
        return _array_from_bytes(header, data)

    return ArrayTable(list(members), read)


class ArrayTable:
    """Arrays by name."""

    def __init__(self, names: Sequence[str], read: Callable[[str], Samples]) -> None:
        self.names, self._read = names, read

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        try:
            return self._read(name)
        except CompileError as error:
            errors.diagnostics += error.diagnostics
            return None
        except DAMAGED_FILE_ERRORS as error:
            errors.add("bad-data-file", f"the array {name!r} cannot be read: {error}")
            return None

    def array(self, name: str) -> np.ndarray:
        """An array as it is stored. Raises ValueError or CompileError for a malformed one."""
        return np.asarray(self._read(name))

    def lengths_name(self, name: str) -> str | None:
        """The name of the array with the lengths of the sequences whose steps an array has one after the other."""
        lengths_name = f"{name}_lengths"
        return lengths_name if lengths_name in self.names else None

    def values(self, name: str) -> Sequence[Any]:
        array = self._read(name)
        if array.ndim == 0 or array.size != len(array):
            raise ValueError(f"has shape {list(array.shape)}, so that a row has several values")
        return np.asarray(array).reshape(-1).tolist()

    def name_location(self, name: str | None) -> DataLocation:
        return NO_LOCATION

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        return sample_location
