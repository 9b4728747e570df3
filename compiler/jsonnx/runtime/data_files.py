"""Columns of data files: .npz, .npy and .csv, read with nothing in them trusted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from itertools import chain
from math import prod
from tokenize import TokenError
from typing import IO, NamedTuple, Protocol

import numpy as np

from ..core.diagnostics import CompileError
from ..core.types import TensorType
from ..interop.limits import ReadBudget
from ..interop.zip_reader import ZipArchive
from .data_errors import DataLocation, FaultCollector
from .validate_arrays import ElementIndex, LocateElement, sample_location

MAX_FILE_BYTES = 8 << 30
"""Bytes of a data file, unpacked."""
MAX_COLUMNS = 1 << 16
_DAMAGED_FILE_ERRORS = (OSError, ValueError, EOFError)
"""What NumPy raises for a file that is not what it should be."""


class DataTable(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """The columns' names."""

    def column(self, name: str, type: TensorType, labels: Sequence[str], faults: FaultCollector) -> np.ndarray | None:
        """A column's values, as they are or as numbers that suit the type; None with faults."""

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        """Where the elements of an array stand that was made of these columns."""


def read_table(file: IO[bytes], name: str, faults: FaultCollector, npy_column: str = "") -> DataTable | None:
    """The columns of an opened file, by the ending of its name; `npy_column` is what the array of an .npy file is called."""
    ending = name.lower().rpartition(".")[2]
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > MAX_FILE_BYTES:
        faults.add("too-large", f"the file has {size:,} bytes, the limit is {MAX_FILE_BYTES:,}")
        return None
    if ending == "csv":
        return _read_csv(file.read(), faults)
    try:
        if ending == "npz":
            return _open_npz(file, name)
        if ending == "npy":
            array = _read_npy(file, size)
            return ArrayTable([npy_column], lambda name: array)
    except CompileError as error:
        faults.diagnostics += error.diagnostics
        return None
    except _DAMAGED_FILE_ERRORS as error:
        faults.add("bad-data-file", f"not a readable .{ending} file: {error}")
        return None
    faults.add(
        "bad-data-file", f"the file's name ends in {'.' + ending!r}", help="data files end in .npz, .npy or .csv"
    )
    return None


# -- arrays ----------------------------------------------------------------------------------------------------------


class _NpyHeader(NamedTuple):
    """What an .npy file says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype


def _read_npy_header(file: IO[bytes], size: int) -> _NpyHeader:
    """The header of an .npy file of `size` bytes. ValueError unless plain data of just the length left follow.

    It is asked first: a false one would have NumPy ask for terabytes.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format version {version} is not supported")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        found = _NpyHeader(*read_header(file))
    except (SyntaxError, TokenError, TypeError, RecursionError, MemoryError) as error:  # NumPy parses Python there
        raise ValueError(f"its header is damaged: {error}") from None
    if found.dtype.kind not in "fiubU":
        raise ValueError(f"elements of type {found.dtype} are not supported")
    left = size - file.tell()
    if left != prod(found.shape) * found.dtype.itemsize or any(length < 0 for length in found.shape):
        raise ValueError(f"it holds {left:,} bytes, its header says {list(found.shape)} of {found.dtype}")
    return found


def _array_from_bytes(header: _NpyHeader, data: bytes | bytearray) -> np.ndarray:
    array = np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran_order else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _read_npy(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an .npy file of `size` bytes. ValueError where it is anything but plain data of that length."""
    header = _read_npy_header(file, size)
    data = file.read(size)
    if len(data) != prod(header.shape) * header.dtype.itemsize:
        raise ValueError("it changed while it was read")
    return _array_from_bytes(header, data)


def _open_npz(file: IO[bytes], name: str) -> ArrayTable:
    """The arrays of an .npz file, each read when it is asked for.

    CompileError for an archive that is not sound, ValueError where its arrays are not.
    """
    archive = ZipArchive(file, ReadBudget(name, bytes_left=MAX_FILE_BYTES))
    members = {member.removesuffix(".npy"): member for member in archive.member_names()}
    if len(members) < len(archive.member_names()):
        raise ValueError("two members have the same name")
    if (unpacked := sum(map(archive.member_size, members.values()))) > MAX_FILE_BYTES:
        raise ValueError(f"it unpacks to {unpacked:,} bytes, the limit is {MAX_FILE_BYTES:,}")

    def read(key: str) -> np.ndarray:
        chunks, size = archive.chunks(members[key]), archive.member_size(members[key])
        first = io.BytesIO(next(chunks, b""))  # headers are shorter than a chunk
        header = _read_npy_header(first, size)
        data, at = bytearray(size - first.tell()), 0
        for chunk in chain([first.read()], chunks):
            data[at : at + len(chunk)] = chunk
            at += len(chunk)
        return _array_from_bytes(header, data)

    return ArrayTable(list(members), read)


class ArrayTable:
    """Arrays by name."""

    def __init__(self, names: Sequence[str], read: Callable[[str], np.ndarray]) -> None:
        self.names, self._read = names, read

    def column(self, name: str, type: TensorType, labels: Sequence[str], faults: FaultCollector) -> np.ndarray | None:
        try:
            return self._read(name)
        except CompileError as error:
            faults.diagnostics += error.diagnostics
            return None
        except _DAMAGED_FILE_ERRORS as error:
            faults.add("bad-data-file", f"the array {name!r} cannot be read: {error}")
            return None

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        return sample_location


# -- text ------------------------------------------------------------------------------------------------------------


def _read_csv(data: bytes, faults: FaultCollector) -> CsvTable | None:
    """A comma-separated file with a header. Lines are counted as an editor shows them."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add("bad-data-file", f"byte {error.start} is not UTF-8", DataLocation("", line))
        return None
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    rows: list[list[str]] = []
    starts: list[int] = []
    before = 0
    try:
        for row in reader:
            if row:
                rows.append(row)
                starts.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        faults.add("bad-data-file", f"not a readable .csv file: {error}", DataLocation("", before + 1))
        return None
    if len(rows) < 2:
        faults.add(
            "empty-data", "the file has no rows below its header" if rows else "the file is empty", DataLocation("", 1)
        )
        return None
    return _csv_table(rows, starts, lines, faults)


def _csv_table(rows: list[list[str]], starts: list[int], lines: list[str], faults: FaultCollector) -> CsvTable | None:
    header = [name.strip() for name in rows[0]]
    if len(header) > MAX_COLUMNS:
        faults.add(
            "too-large", f"the file has {len(header):,} columns, the limit is {MAX_COLUMNS:,}", DataLocation("", 1)
        )
        return None
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    if other:
        help = f"separate the columns by commas, not by {other!r}"
        faults.add("bad-data-file", f"the header is one column, {header[0]!r}", DataLocation("", 1), help=help)
        return None
    ragged = [index for index, row in enumerate(rows) if len(row) != len(header)]
    faults.add_each(
        "ragged-row",
        ragged,
        lambda index: (
            f"{len(rows[index])} values in a row, {len(header)} in the header",
            DataLocation(f"row at line {starts[index]}", starts[index]),
        ),
    )
    return None if ragged else CsvTable(header, rows[1:], starts[1:], lines)


class CsvTable:
    """Rows of text, columns named by the header."""

    def __init__(self, names: list[str], rows: list[list[str]], starts: list[int], lines: list[str]) -> None:
        self.names, self._rows, self._row_lines, self._lines = names, rows, starts, lines

    def column(self, name: str, type: TensorType, labels: Sequence[str], faults: FaultCollector) -> np.ndarray | None:
        if self.names.count(name) > 1:
            faults.add("duplicate-column", f"{self.names.count(name)} columns are called {name!r}", DataLocation("", 1))
            return None
        texts = [row[index] for index in [self.names.index(name)] for row in self._rows]
        if type.dtype == "string":
            return np.array(texts, object)
        words = [text.strip() for text in texts]
        if labels and (set(words) & set(labels) or not any(_is_number(text) for text in texts)):
            return self._class_indices(name, words, labels, faults)
        return self._parse_numbers(name, texts, int if "int" in type.dtype else float, faults)

    def _parse_numbers(
        self, name: str, texts: list[str], parse: type[int] | type[float], faults: FaultCollector
    ) -> np.ndarray | None:
        if not any("_" in text for text in texts):  # Python takes 1_000 for a number
            for attempt in dict.fromkeys((parse, float)):
                try:
                    return np.array([attempt(text) for text in texts], np.int64 if attempt is int else np.float64)
                except (ValueError, OverflowError):
                    continue
        locate = self.element_locator([name])
        bad = [index for index, text in enumerate(texts) if not _is_number(text)]
        faults.add_each("bad-value", bad, lambda index: (_number_fault(name, texts[index]), locate((index,))))
        return None

    def _class_indices(
        self, name: str, texts: list[str], labels: Sequence[str], faults: FaultCollector
    ) -> np.ndarray | None:
        numbers = {label: number for number, label in enumerate(labels)}
        locate = self.element_locator([name])
        bad = [index for index, text in enumerate(texts) if text not in numbers]
        message = "{!r} holds {!r}, which is none of the labels"
        faults.add_each("bad-value", bad, lambda index: (message.format(name, texts[index]), locate((index,))))
        return None if bad else np.array([numbers[text] for text in texts], np.int64)

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            name = names[index[1] if len(index) > 1 else 0]
            start = self._row_lines[index[0]]
            line, column = _field_position(self._lines, start, self.names.index(name))
            return DataLocation(f"row at line {start}, column {name!r}", line, column)

        return locate


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _number_fault(name: str, text: str) -> str:
    if not text.strip():
        return f"{name!r} is empty"
    comma = text.count(",") == 1 and _is_number(text.replace(",", "."))
    return f"{name!r} holds {text[:80]!r}, not a number" + (": decimals are written with a point" if comma else "")


def _field_position(lines: list[str], line: int, number: int) -> tuple[int, int]:
    """Line and column where the field of this number begins, in the row that begins at a line."""
    quoted, begin = False, 1
    while number:
        for column, mark in enumerate(lines[line - 1], 2):
            quoted ^= mark == '"'
            if mark == "," and not quoted and number:
                number, begin = number - 1, column
        line += bool(number)
    return line, begin
