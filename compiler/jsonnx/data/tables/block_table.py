"""The columns of a table of text (.csv, .tsv and .jsonl) that is read in blocks of rows.

Numbers may stay in the file: a block is parsed when its samples are needed.
"""

from __future__ import annotations

import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Lock
from typing import IO, Any, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ..samples.data_errors import ErrorCollector
from ..samples.stored_arrays import BlockSamples, StoredArray
from ..samples.validate_arrays import LocateElement
from .data_table import ColumnRequest

BLOCK_BYTES = 1 << 22
MAX_INTEGER = 1 << 63
"""Integers of 64 bits have smaller absolute values."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TextBlock(NamedTuple):
    """Rows of a file that are parsed together. A file's blocks depend on its contents alone."""

    start: int
    """The offset of its first byte."""
    stop: int
    first_line: int
    """The number of its first line, from 1."""
    first_row: int
    row_count: int


class BlockFile:
    """Reads parts of an open file, which may be closed afterwards if it is one of the file system."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self._lock = name, Lock()
        self._file = os.fdopen(os.dup(file.fileno()), "rb", buffering=0) if is_regular(file) else file
        self.size = self._file.seek(0, io.SEEK_END)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes of a part. Raises UsageError if the file was shortened."""
        parts, missing = [], stop - start
        with self._lock:  # other threads move the same position
            self._file.seek(start)
            while missing and (part := self._file.read(missing)):
                parts.append(part)
                missing -= len(part)
        if missing:
            message = f"cannot read {self.name!r}: the file was shortened while it was in use"
            raise UsageError("unreadable-file", message, "write a changed file under another name, then rename it")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def block_bytes(self) -> int:
        """Bytes of a block, which ends where a row ends."""
        return BLOCK_BYTES

    def lines(self, start: int) -> Iterator[bytes]:
        """The lines of the file from an offset on, each with its line feed."""
        rest = b""
        for offset in range(start, self.size, BLOCK_BYTES):
            *lines, rest = (rest + self.read(offset, min(offset + BLOCK_BYTES, self.size))).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest

    def text_start(self) -> int:
        """The offset of the text behind a byte order mark."""
        mark = self.read(0, min(self.size, len(BYTE_ORDER_MARK)))
        return len(BYTE_ORDER_MARK) if mark == BYTE_ORDER_MARK else 0


def is_regular(file: IO[bytes]) -> bool:
    """Whether a file is one of the file system, which can be mapped and opened again."""
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):  # BytesIO
        return False


class BlockTable(ABC):
    """The columns of a file that is read in blocks."""

    def __init__(self, blocks: Sequence[TextBlock], buffer_samples: int, errors: ErrorCollector) -> None:
        """`errors` has the names of the file and of the spec that errors belong to."""
        self._file_name, self._spec_source = errors.file, errors.source
        self._blocks = [block for block in blocks if block.row_count]
        self._starts = [0, *(block.first_row + block.row_count for block in self._blocks)]
        self._buffer_samples = buffer_samples

    @abstractmethod
    def element_locator(self, names: Sequence[str]) -> LocateElement:
        """Locates the elements of an array that was stacked from these columns."""

    @abstractmethod
    def _block_numbers(self, number: int, name: str, wanted: ColumnRequest) -> np.ndarray:
        """The numbers of a column in a block. Raises CompileError."""

    def _no_errors(self) -> ErrorCollector:
        return ErrorCollector(self._file_name, self._spec_source)

    def _block_of(self, row: int) -> int:
        """The number of the block that has a row."""
        return int(np.searchsorted(self._starts, row, "right")) - 1

    def _stored(self, name: str, wanted: ColumnRequest, first: np.ndarray) -> StoredArray:
        """The numbers of a column as an array that stays in the file; `first` are those of the first block."""
        is_integer = "int" in wanted.type.dtype and first.dtype.kind in "iub"
        if wanted.accepts_missing:
            is_integer = False  # a later block may have missing values, which are NaN
        dtype, shape = np.dtype(np.int64 if is_integer else np.float64), first.shape[1:]
        readers = [partial(self._read, number, name, wanted, dtype, shape) for number in range(len(self._blocks))]
        return StoredArray(BlockSamples(readers, self._starts, shape, dtype, self._buffer_samples))

    def _read(
        self, number: int, name: str, wanted: ColumnRequest, dtype: np.dtype[Any], sample_shape: tuple[int, ...]
    ) -> np.ndarray:
        """The numbers of a column in a block, of a type and a shape. Raises CompileError."""
        array, errors = self._block_numbers(number, name, wanted), self._no_errors()
        locate = self.element_locator([name])
        if array.shape[1:] != sample_shape:
            message = f"{name!r} has shape {list(array.shape[1:])}, in row 1 it has {list(sample_shape)}"
            errors.add("data-shape", message, locate((self._starts[number],)))
        elif dtype.kind == "i" and array.dtype.kind == "f":
            is_integer = (array == np.floor(array)) & (np.abs(array) < MAX_INTEGER)  # NaN differs from itself
            if not is_integer.all():
                row, *rest = np.argwhere(~is_integer)[0].tolist()
                value = array[row, *rest]
                code, reason = _integer_error(value)
                errors.add(code, f"{name!r} is {value}, {reason}", locate((self._starts[number] + row, *rest)))
        if errors:
            raise CompileError(errors.diagnostics)
        return array.astype(dtype, copy=False)


def _integer_error(value: float) -> tuple[str, str]:
    """The code of an error, and why a number is no integer of 64 bits."""
    if abs(value) >= MAX_INTEGER and np.isfinite(value):
        return "bad-value", "beyond int64's range"
    return "bad-value" if np.isfinite(value) else "not-finite", "not a whole number"
