"""The columns of a table of text (.csv, .tsv and .jsonl): numbers as arrays that stay in the file, texts in memory.

The file is read in blocks of lines. A first pass finds the blocks, and each is parsed when its samples are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import IO, Any, Protocol

import numpy as np

from ...core.diagnostics import CompileError
from ..samples.data_errors import DataLocation, FaultCollector
from ..samples.stored_arrays import BlockSamples, Samples, StoredArray
from ..samples.validate_arrays import ElementIndex, LocateElement
from .csv_numbers import parse_numbers
from .csv_table import CsvDialect, CsvTable, read_csv_rows, read_csv_table
from .data_table import ColumnRequest, DataTable
from .json_tables import FirstRow, JsonTable, read_json_lines
from .text_blocks import BlockFile, TextBlock, csv_blocks, json_blocks

MAX_KEPT_BYTES = 1 << 26
"""Bytes of columns that are kept after their block was parsed for another column."""

MAX_INTEGER = 1 << 63
"""The absolute value from which on numbers are no integers of 64 bits."""


class BlockParser(Protocol):
    """Parses the blocks of a file of one format."""

    @property
    def names(self) -> Sequence[str]:
        """The columns' names."""

    def table(self, data: bytes, block: TextBlock, faults: FaultCollector) -> DataTable | None:
        """The rows of a block; None, and faults, if they are malformed."""

    def numbers(
        self, data: bytes, block: TextBlock, wanted: Mapping[str, ColumnRequest]
    ) -> dict[str, np.ndarray] | None:
        """Columns of a block as numbers; None if it must be parsed as a table."""

    def loaded(self, name: str, values: list[Any], locate: LocateElement) -> DataTable:
        """A table of a single column, with the values of all blocks."""


def open_stored_csv(
    file: IO[bytes], name: str, size: int, dialect: CsvDialect, buffer_samples: int, faults: FaultCollector
) -> StoredTextTable | None:
    """The columns of a table of separated values of `size` bytes; None, and faults, if it is malformed."""
    blocks = list(csv_blocks(file, size, dialect.separator))
    source = BlockFile(file, name)
    first = blocks[0] if blocks else TextBlock(0, 0, 1, 0, 0)
    header = read_csv_table(source.read(first.start, first.stop), faults, dialect)
    return (
        None if header is None else StoredTextTable(source, blocks, _CsvParser(header, dialect), buffer_samples, header)
    )


def open_stored_json_lines(
    file: IO[bytes], name: str, size: int, buffer_samples: int, faults: FaultCollector
) -> StoredTextTable | None:
    """The columns of a file of `size` bytes with one object a line; None, and faults, if it is malformed."""
    names: dict[str, None] = {}
    blocks = list(json_blocks(file, size, names))
    source, parser = BlockFile(file, name), _JsonParser(list(names))
    checked = [blocks[0], blocks[-1]] if blocks else [TextBlock(0, 0, 1, 0, 0)]  # a damaged line ends the last block
    for block in checked:
        if block.row_count or block is checked[-1]:
            parser.table(source.read(block.start, block.stop), block, faults)
        if faults:
            return None
    return StoredTextTable(source, [block for block in blocks if block.row_count], parser, buffer_samples)


class StoredTextTable:
    """The columns of a file that is read in blocks."""

    def __init__(
        self,
        source: BlockFile,
        blocks: Sequence[TextBlock],
        parser: BlockParser,
        buffer_samples: int,
        first_table: DataTable | None = None,
    ) -> None:
        self._source, self._parser, self._buffer_samples = source, parser, buffer_samples
        self._blocks = [block for block in blocks if block.row_count]
        self._starts = [0, *(block.first_row + block.row_count for block in self._blocks)]
        self.read_whole: Callable[[], DataTable] | None = None
        """Parses all rows at once, if columns are loaded: faults then count the rows of the whole file. Raises
        CompileError."""
        self._requests: dict[str, ColumnRequest] = {}
        self._last_blocks: dict[str, int | None] = {}
        self._arrays: dict[tuple[int, str], np.ndarray] = {}
        self._last: tuple[int, DataTable] | None = None if first_table is None else (0, first_table)

    @property
    def names(self) -> Sequence[str]:
        return self._parser.names

    def column(self, name: str, wanted: ColumnRequest, faults: FaultCollector) -> Samples | None:
        collector = FaultCollector(faults.file, faults.source)
        try:
            first = self._table(0, collector).column(name, wanted, collector)
            if list(self.names).count(name) > 1:
                faults.add_all(collector.diagnostics)
                return None
            if first is None or first.dtype.kind not in "fiub" or wanted.labels is not None:
                return self._parser.loaded(name, self._values(name), self.element_locator([name])).column(
                    name, wanted, faults
                )
        except CompileError as error:
            faults.add_all(error.diagnostics)
            return None
        is_integer = "int" in wanted.type.dtype and first.dtype.kind in "iub"
        if wanted.accepts_missing and self.read_whole is None:
            is_integer = False  # a later block may have missing values, which are NaN
        dtype = np.dtype(np.int64 if is_integer else np.float64)
        self._requests[name], self._last_blocks[name] = wanted, None
        parent = FaultCollector(faults.file, faults.source)
        readers = [
            partial(self._read, number, name, dtype, first.shape[1:], parent) for number in range(len(self._blocks))
        ]
        return StoredArray(BlockSamples(readers, self._starts, first.shape[1:], dtype, self._buffer_samples))

    def values(self, name: str) -> list[Any]:
        return self._values(name)

    def name_location(self, name: str | None) -> DataLocation:
        return self._table(0, FaultCollector()).name_location(name)

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            number = int(np.searchsorted(self._starts, index[0], "right")) - 1
            table = self._table(number, FaultCollector())
            return table.element_locator(names)((index[0] - self._starts[number], *index[1:]))

        return locate

    def _values(self, name: str) -> list[Any]:
        """The values of a column in all blocks. Raises CompileError."""
        if self.read_whole is not None:
            return list(self.read_whole().values(name))
        return list(chain.from_iterable(self._table(number, None).values(name) for number in range(len(self._blocks))))

    def _table(self, number: int, faults: FaultCollector | None) -> DataTable:
        """The rows of a block. Raises CompileError if they are malformed."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        block, collector = self._blocks[number], FaultCollector(self._source.name)
        if faults is not None:
            collector = FaultCollector(faults.file or self._source.name, faults.source)
        table = self._parser.table(self._source.read(block.start, block.stop), block, collector)
        if table is None:
            raise CompileError(collector.diagnostics)
        self._last = number, table
        return table

    def _read(
        self, number: int, name: str, dtype: np.dtype[Any], sample_shape: tuple[int, ...], parent: FaultCollector
    ) -> np.ndarray:
        """The numbers of a column in a block. Raises CompileError."""
        if (number, name) not in self._arrays:
            self._parse(number, name, parent)
        array, self._last_blocks[name] = self._arrays.pop((number, name)), number
        faults = FaultCollector(parent.file, parent.source)
        locate = self.element_locator([name])
        if array.shape[1:] != sample_shape:
            message = f"{name!r} has shape {list(array.shape[1:])}, in row 1 it has {list(sample_shape)}"
            faults.add("data-shape", message, locate((self._starts[number],)))
        elif dtype.kind == "i" and array.dtype.kind == "f":
            is_integer = (array == np.floor(array)) & (np.abs(array) < MAX_INTEGER)  # NaN differs from itself
            if not is_integer.all():
                row, *rest = np.argwhere(~is_integer)[0].tolist()
                value = array[row, *rest]
                code, reason = _integer_fault(value)
                faults.add(code, f"{name!r} is {value}, {reason}", locate((self._starts[number] + row, *rest)))
        if faults:
            raise CompileError(faults.diagnostics)
        return array.astype(dtype, copy=False)

    def _parse(self, number: int, name: str, parent: FaultCollector) -> None:
        """Parses a block for a column, and for those that were last read in the same block: they are read in turn."""
        block, last = self._blocks[number], self._last_blocks[name]
        requests = {other: wanted for other, wanted in self._requests.items() if self._last_blocks[other] == last}
        arrays = self._parser.numbers(self._source.read(block.start, block.stop), block, requests)
        if arrays is None:
            arrays = {}
            table = self._table(number, parent)
            for other, wanted in requests.items():
                faults = FaultCollector(parent.file, parent.source)
                array = table.column(other, wanted, faults)
                if array is not None:
                    arrays[other] = np.asarray(array)
                elif other == name:
                    raise CompileError(faults.diagnostics)
        own = arrays.pop(name)
        self._arrays |= {(number, other): array for other, array in arrays.items()}
        while sum(array.nbytes for array in self._arrays.values()) > MAX_KEPT_BYTES:
            del self._arrays[next(iter(self._arrays))]
        self._arrays[number, name] = own


def _integer_fault(value: float) -> tuple[str, str]:
    """The code of a fault, and why a number is no integer of 64 bits."""
    if abs(value) >= MAX_INTEGER and np.isfinite(value):
        return "bad-value", "beyond int64's range"
    return "bad-value" if np.isfinite(value) else "not-finite", "not a whole number"


# -- formats -----------------------------------------------------------------------------------------------------------


class _CsvParser:
    """Parses blocks of rows; the first block has the header."""

    def __init__(self, header: CsvTable, dialect: CsvDialect) -> None:
        self.names, self._header, self._dialect = header.names, header, dialect

    def table(self, data: bytes, block: TextBlock, faults: FaultCollector) -> DataTable | None:
        if not block.first_row:
            return read_csv_table(data, faults, self._dialect)
        return read_csv_rows(data, self._header, block.first_line, faults, self._dialect)

    def numbers(
        self, data: bytes, block: TextBlock, wanted: Mapping[str, ColumnRequest]
    ) -> dict[str, np.ndarray] | None:
        has_unique_names = len(set(self.names)) == len(self.names)
        has_plain_numbers = self._dialect.decimal == "." and self._dialect.thousands is None
        if block.is_damaged or not has_plain_numbers or not has_unique_names:
            return None
        return parse_numbers(data, self.names, wanted, self._dialect.separator, block.row_count, not block.first_row)

    def loaded(self, name: str, values: list[Any], locate: LocateElement) -> DataTable:
        return _LoadedCsvColumn(name, values, self._dialect, locate)


class _LoadedCsvColumn(CsvTable):
    def __init__(self, name: str, values: list[str], dialect: CsvDialect, locate: LocateElement) -> None:
        super().__init__([name], [[value] for value in values], [1], [], dialect)
        self._locate = locate

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        return self._locate


class _JsonParser:
    """Parses blocks of lines, each of which is an object."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def table(self, data: bytes, block: TextBlock, faults: FaultCollector) -> DataTable | None:
        return read_json_lines(data, faults, FirstRow(block.first_line, block.first_row), self.names)

    def numbers(
        self, data: bytes, block: TextBlock, wanted: Mapping[str, ColumnRequest]
    ) -> dict[str, np.ndarray] | None:
        return None

    def loaded(self, name: str, values: list[Any], locate: LocateElement) -> DataTable:
        return _LoadedJsonColumn(name, values, locate)


class _LoadedJsonColumn(JsonTable):
    def __init__(self, name: str, values: list[Any], locate: LocateElement) -> None:
        super().__init__("", {name: values}, len(values), lambda row, name: 0)
        self._locate = locate

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        return self._locate
