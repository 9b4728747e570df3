"""The columns of a file with one JSON object a line: numbers as arrays that stay in the file, texts in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, Any

import numpy as np

from ...core.diagnostics import CompileError
from ..samples.data_errors import DataLocation, ErrorCollector
from ..samples.stored_arrays import Samples
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import LocateElement
from .block_table import BlockFile, BlockTable, TextBlock
from .data_table import ColumnRequest
from .json_tables import JsonTable, read_json_lines
from .table_file import FirstRow, TableFile


def read_json_lines_file(source: TableFile) -> JsonTable | StoredJsonLines | None:
    """The columns of a file; None, and errors, if it is malformed."""
    if source.is_streamed:
        return open_stored_json_lines(source.file, source.name, source.options.shuffle_buffer, source.errors)
    table = read_json_lines(source.file.read(), source.errors, source.options.first)
    return None if table is None else table.with_columns(source.options.names)


def open_stored_json_lines(
    file: IO[bytes], name: str, buffer_samples: int, errors: ErrorCollector
) -> StoredJsonLines | None:
    """The columns of a file; None, and errors, if it is malformed."""
    source, names = BlockFile(file, name), dict[str, None]()
    blocks = [*_blocks(source, names)]
    checked = [blocks[0], blocks[-1]] if blocks else [TextBlock(0, 0, 1, 0, 0)]  # a damaged line ends the last block
    for block in checked:
        if block.row_count or block is checked[-1]:
            _read_block(source, block, [*names], errors)
        if errors:
            return None
    return StoredJsonLines(source, [*names], blocks, buffer_samples, errors)


def _blocks(source: BlockFile, names: dict[str, None]) -> Iterator[TextBlock]:
    """The blocks of a file. Adds the keys of all objects to `names`, in their order. A line that cannot be read ends
    the blocks: their parser finds the error."""
    start = stop = source.text_start()
    first_line, line, first_row, row = 1, 1, 0, 0
    for text in source.lines(start):
        stop, line = stop + len(text), line + 1
        if not text.isspace():
            row += 1
            try:
                names.update(dict.fromkeys(json.loads(text)))
            except (ValueError, TypeError, RecursionError):
                break
        if stop - start >= source.block_bytes:
            yield TextBlock(start, stop, first_line, first_row, row - first_row)
            start, first_line, first_row = stop, line, row
    if stop > start:
        yield TextBlock(start, stop, first_line, first_row, row - first_row)


def _read_block(source: BlockFile, block: TextBlock, names: Sequence[str], errors: ErrorCollector) -> JsonTable | None:
    data = source.read(block.start, block.stop)
    return read_json_lines(data, errors, FirstRow(block.first_line, block.first_row, block.start), names)


class StoredJsonLines(BlockTable):
    """The columns of a file that is read in blocks of lines."""

    def __init__(
        self,
        source: BlockFile,
        names: Sequence[str],
        blocks: Sequence[TextBlock],
        buffer_samples: int,
        errors: ErrorCollector,
    ) -> None:
        super().__init__(blocks, buffer_samples, errors)
        self._source, self.names = source, names
        self._last: tuple[int, JsonTable] | None = None

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        try:
            first = self._table(0).column(name, wanted, self._no_errors())
            if first is not None and first.dtype.kind in "fiub" and wanted.labels is None:
                return self._stored(name, wanted, first)
            values = [*self.iterate_values(name, errors)]
            return _LoadedColumn(name, values, self.element_locator([name])).column(name, wanted, errors)
        except CompileError as error:
            errors.add_all(error.diagnostics)
            return None

    def iterate_values(self, name: str, errors: ErrorCollector) -> Iterator[Any]:
        """The value of a column in each row, as Python's lists, numbers and texts. Raises CompileError."""
        return chain.from_iterable(self._table(number).lists(name, errors) for number in range(len(self._blocks)))

    def values(self, name: str) -> list[Any]:
        return [*chain.from_iterable(self._table(number).values(name) for number in range(len(self._blocks)))]

    def name_location(self, name: str | None) -> DataLocation:
        return self._table(0).name_location(name)

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            number = self._block_of(index[0])
            return self._table(number).element_locator(names)((index[0] - self._starts[number], *index[1:]))

        return locate

    def _table(self, number: int) -> JsonTable:
        """The rows of a block. Raises CompileError if they are malformed."""
        if self._last is None or self._last[0] != number:
            errors = self._no_errors()
            table = _read_block(self._source, self._blocks[number], self.names, errors)
            if table is None:
                raise CompileError(errors.diagnostics)
            self._last = number, table
        return self._last[1]

    def _block_numbers(self, number: int, name: str, wanted: ColumnRequest) -> np.ndarray:
        errors = self._no_errors()
        numbers = self._table(number).column(name, wanted, errors)
        if numbers is None:
            raise CompileError(errors.diagnostics)
        return numbers


class _LoadedColumn(JsonTable):
    """A column of all blocks."""

    def __init__(self, name: str, values: list[Any], locate: LocateElement) -> None:
        super().__init__("", {name: values}, len(values), lambda row, name: 0)
        self._locate = locate

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        return self._locate
