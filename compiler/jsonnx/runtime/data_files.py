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
from ..interop.limits import Budget
from ..interop.zip_reader import Archive
from .data_errors import Faults, Place
from .validate_arrays import Index, Locate, sample

LIMIT = 8 << 30
"""Bytes of a data file, unpacked."""
MAX_COLUMNS = 1 << 16
_DAMAGE = (OSError, ValueError, EOFError)
"""What NumPy raises for a file that is not what it should be."""


class Table(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """The columns' names."""

    def column(self, name: str, type: TensorType, labels: Sequence[str], faults: Faults) -> np.ndarray | None:
        """A column's values, as they are or as numbers that suit the type; None with faults."""

    def places(self, names: Sequence[str]) -> Locate:
        """Where the elements of an array stand that was made of these columns."""


def read_table(file: IO[bytes], name: str, faults: Faults, alone: str = "") -> Table | None:
    """The columns of an opened file, by the ending of its name; `alone` is what the array of an .npy file is called."""
    ending = name.lower().rpartition(".")[2]
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > LIMIT:
        faults.add("too-large", f"the file has {size:,} bytes, the limit is {LIMIT:,}")
        return None
    if ending == "csv":
        return _csv(file.read(), faults)
    try:
        if ending == "npz":
            return _archive(file, name)
        if ending == "npy":
            array = _array(file, size)
            return ArrayTable([alone], lambda name: array)
    except CompileError as error:
        faults.found += error.diagnostics
        return None
    except _DAMAGE as error:
        faults.add("bad-data-file", f"not a readable .{ending} file: {error}")
        return None
    faults.add(
        "bad-data-file", f"the file's name ends in {'.' + ending!r}", help="data files end in .npz, .npy or .csv"
    )
    return None


# -- arrays ----------------------------------------------------------------------------------------------------------


class _Header(NamedTuple):
    """What an .npy file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


def _header(file: IO[bytes], size: int) -> _Header:
    """The header of an .npy file of `size` bytes. ValueError unless plain data of just the length left follow.

    It is asked first: a false one would have NumPy ask for terabytes.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format version {version} is not supported")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        found = _Header(*read_header(file))
    except (SyntaxError, TokenError, TypeError, RecursionError, MemoryError) as error:  # NumPy parses Python there
        raise ValueError(f"its header is damaged: {error}") from None
    if found.dtype.kind not in "fiubU":
        raise ValueError(f"elements of type {found.dtype} are not supported")
    left = size - file.tell()
    if left != prod(found.shape) * found.dtype.itemsize or any(length < 0 for length in found.shape):
        raise ValueError(f"it holds {left:,} bytes, its header says {list(found.shape)} of {found.dtype}")
    return found


def _shaped(header: _Header, data: bytes | bytearray) -> np.ndarray:
    array = np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an .npy file of `size` bytes. ValueError where it is anything but plain data of that length."""
    header = _header(file, size)
    data = file.read(size)
    if len(data) != prod(header.shape) * header.dtype.itemsize:
        raise ValueError("it changed while it was read")
    return _shaped(header, data)


def _archive(file: IO[bytes], name: str) -> ArrayTable:
    """The arrays of an .npz file, each read when it is asked for.

    CompileError for an archive that is not sound, ValueError where its arrays are not.
    """
    archive = Archive(file, Budget(name, bytes=LIMIT))
    members = {member.removesuffix(".npy"): member for member in archive.names()}
    if len(members) < len(archive.names()):
        raise ValueError("two members have the same name")
    if (unpacked := sum(map(archive.size_of, members.values()))) > LIMIT:
        raise ValueError(f"it unpacks to {unpacked:,} bytes, the limit is {LIMIT:,}")

    def read(key: str) -> np.ndarray:
        chunks, size = archive.chunks(members[key]), archive.size_of(members[key])
        first = io.BytesIO(next(chunks, b""))  # headers are shorter than a chunk
        header = _header(first, size)
        data, at = bytearray(size - first.tell()), 0
        for chunk in chain([first.read()], chunks):
            data[at : at + len(chunk)] = chunk
            at += len(chunk)
        return _shaped(header, data)

    return ArrayTable(list(members), read)


class ArrayTable:
    """Arrays by name."""

    def __init__(self, names: Sequence[str], read: Callable[[str], np.ndarray]) -> None:
        self.names, self._read = names, read

    def column(self, name: str, type: TensorType, labels: Sequence[str], faults: Faults) -> np.ndarray | None:
        try:
            return self._read(name)
        except CompileError as error:
            faults.found += error.diagnostics
            return None
        except _DAMAGE as error:
            faults.add("bad-data-file", f"the array {name!r} cannot be read: {error}")
            return None

    def places(self, names: Sequence[str]) -> Locate:
        return sample


# -- text ------------------------------------------------------------------------------------------------------------


def _csv(data: bytes, faults: Faults) -> CsvTable | None:
    """A comma-separated file with a header. Lines are counted as an editor shows them."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add("bad-data-file", f"byte {error.start} is not UTF-8", Place("", line))
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
        faults.add("bad-data-file", f"not a readable .csv file: {error}", Place("", before + 1))
        return None
    if len(rows) < 2:
        faults.add("empty-data", "the file has no rows below its header" if rows else "the file is empty", Place("", 1))
        return None
    return _table(rows, starts, lines, faults)


def _table(rows: list[list[str]], starts: list[int], lines: list[str], faults: Faults) -> CsvTable | None:
    header = [name.strip() for name in rows[0]]
    if len(header) > MAX_COLUMNS:
        faults.add("too-large", f"the file has {len(header):,} columns, the limit is {MAX_COLUMNS:,}", Place("", 1))
        return None
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), None)
    if other:
        help = f"separate the columns by commas, not by {other!r}"
        faults.add("bad-data-file", f"the header is one column, {header[0]!r}", Place("", 1), help=help)
        return None
    ragged = [index for index, row in enumerate(rows) if len(row) != len(header)]
    faults.each(
        "ragged-row",
        ragged,
        lambda index: (
            f"{len(rows[index])} values in a row, {len(header)} in the header",
            Place(f"row at line {starts[index]}", starts[index]),
        ),
    )
    return None if ragged else CsvTable(header, rows[1:], starts[1:], lines)


class CsvTable:
    """Rows of text, columns named by the header."""

    def __init__(self, names: list[str], rows: list[list[str]], starts: list[int], lines: list[str]) -> None:
        self.names, self._rows, self._starts, self._lines = names, rows, starts, lines

    def column(self, name: str, type: TensorType, labels: Sequence[str], faults: Faults) -> np.ndarray | None:
        if self.names.count(name) > 1:
            faults.add("duplicate-column", f"{self.names.count(name)} columns are called {name!r}", Place("", 1))
            return None
        texts = [row[index] for index in [self.names.index(name)] for row in self._rows]
        if type.dtype == "string":
            return np.array(texts, object)
        words = [text.strip() for text in texts]
        if labels and (set(words) & set(labels) or not any(_is_number(text) for text in texts)):
            return self._classes(name, words, labels, faults)
        return self._numbers(name, texts, int if "int" in type.dtype else float, faults)

    def _numbers(
        self, name: str, texts: list[str], parse: type[int] | type[float], faults: Faults
    ) -> np.ndarray | None:
        if not any("_" in text for text in texts):  # Python takes 1_000 for a number
            for attempt in dict.fromkeys((parse, float)):
                try:
                    return np.array([attempt(text) for text in texts], np.int64 if attempt is int else np.float64)
                except (ValueError, OverflowError):
                    continue
        locate = self.places([name])
        bad = [index for index, text in enumerate(texts) if not _is_number(text)]
        faults.each("bad-value", bad, lambda index: (_fault(name, texts[index]), locate((index,))))
        return None

    def _classes(self, name: str, texts: list[str], labels: Sequence[str], faults: Faults) -> np.ndarray | None:
        numbers = {label: number for number, label in enumerate(labels)}
        locate = self.places([name])
        bad = [index for index, text in enumerate(texts) if text not in numbers]
        message = "{!r} holds {!r}, which is none of the labels"
        faults.each("bad-value", bad, lambda index: (message.format(name, texts[index]), locate((index,))))
        return None if bad else np.array([numbers[text] for text in texts], np.int64)

    def places(self, names: Sequence[str]) -> Locate:
        def locate(index: Index) -> Place:
            name = names[index[1] if len(index) > 1 else 0]
            start = self._starts[index[0]]
            line, column = _field(self._lines, start, self.names.index(name))
            return Place(f"row at line {start}, column {name!r}", line, column)

        return locate


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _fault(name: str, text: str) -> str:
    if not text.strip():
        return f"{name!r} is empty"
    comma = text.count(",") == 1 and _is_number(text.replace(",", "."))
    return f"{name!r} holds {text[:80]!r}, not a number" + (": decimals are written with a point" if comma else "")


def _field(lines: list[str], line: int, number: int) -> tuple[int, int]:
    """Line and column where the field of this number begins, in the row that begins at a line."""
    quoted, begin = False, 1
    while number:
        for column, mark in enumerate(lines[line - 1], 2):
            quoted ^= mark == '"'
            if mark == "," and not quoted and number:
                number, begin = number - 1, column
        line += bool(number)
    return line, begin
