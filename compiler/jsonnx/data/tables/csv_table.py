"""The columns of tables of separated values (.csv and .tsv): UTF-8, one header line, texts or numbers."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ...core.diagnostics import CompileError
from ...core.system.cpu_count import thread_count
from ..media.media_names import name_media_files
from ..samples.data_errors import DataLocation, ErrorCollector
from ..samples.missing_markers import is_missing_marker
from ..samples.stored_arrays import Samples
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import LocateElement
from .block_table import BlockFile, BlockTable
from .csv_cells import CsvDialect, add_cell_errors, is_number, parse_numbers
from .csv_file import CsvFile
from .csv_rows import LocatedRows
from .data_table import ColumnRequest
from .table_file import TableFile

MAX_THREADS = 8
"""Threads that parse blocks at the same time, as far as there are as many processors."""
MAX_EXACT_INTEGER = 1 << 53
"""Integers below this one are exact as float64."""


def read_csv(source: TableFile) -> CsvTable:
    """The columns of a table of separated values. Raises CompileError for a malformed header."""
    options, format = source.options, source.format
    separator = options.separator or format.separator or ","
    dialect = CsvDialect(separator, options.decimal, format.name, options.thousands)
    file = CsvFile(BlockFile(source.file, source.name), dialect, source.errors, options.first)
    return CsvTable(file, dialect, options.shuffle_buffer, source.is_streamed, source.errors)


class CsvTable(BlockTable):
    """The columns of a file. With `is_streamed`, numbers stay in the file."""

    def __init__(
        self, file: CsvFile, dialect: CsvDialect, buffer_samples: int, is_streamed: bool, errors: ErrorCollector
    ) -> None:
        self._file, self._dialect, self._is_streamed = file, dialect, is_streamed
        super().__init__(self._file.blocks, buffer_samples, errors)
        self.names: Sequence[str] = self._file.names
        self._counts = Counter(self.names)
        self._positions = {name: position for position, name in reversed([*enumerate(self.names)])}
        self._numbers: dict[str, np.ndarray] = {}
        self._with_missing: set[str] = set()
        self._texts: dict[str, list[str]] = {}
        self._streamed: dict[str, None] = {}
        self._last_parsed: tuple[int, dict[str, np.ndarray]] = (-1, {})
        self._last_located: tuple[int, LocatedRows] = (-1, self._file.header)

    def load(
        self, groups: Sequence[Mapping[str, ColumnRequest]], texts: Collection[str], errors: ErrorCollector
    ) -> bool:
        """Reads columns in one pass: groups of columns that are stacked, and columns of texts; parses only the first
        block if columns stay in the file. Whether the rows can be parsed; adds errors if not."""
        unique = {name for name, count in self._counts.items() if count == 1}
        all_texts = {*texts} & unique
        for group in groups:
            all_texts |= {name for name, wanted in group.items() if name in unique and self._takes_texts(wanted)}
        others = unique - all_texts
        numbers = [[name for name in group if name in others] for group in groups]
        try:
            if self._is_streamed:
                self._streamed |= dict.fromkeys(name for group in numbers for name in group)
                self._last_parsed = 0, self._parse(0, [*self._streamed], ())
            else:
                self._load(numbers, all_texts)
        except CompileError as error:
            errors.add_all(error.diagnostics)
            return False
        return True

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        if (count := self._counts[name]) > 1:
            errors.add("duplicate-column", f"{count} columns are called {name!r}", self.name_location(None))
            return None
        try:
            numbers = None if self._takes_texts(wanted) else self._column_of_numbers(name, wanted)
            return self._column_of_texts(name, wanted, errors) if numbers is None else numbers
        except CompileError as error:
            errors.add_all(error.diagnostics)
            return None

    def values(self, name: str) -> list[str]:
        if name not in self._texts:
            self._load((), [name])
        return self._texts[name]

    def name_location(self, name: str | None) -> DataLocation:
        header = self._file.header
        if name is None:
            return DataLocation("", header.line(0))
        return DataLocation("", *header.position(0, self._positions[name]))

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            name = names[index[1] if len(index) > 1 else 0]
            number = self._block_of(index[0])
            if self._last_located[0] != number:
                self._last_located = number, self._file.locate_rows(number)
            rows, row = self._last_located[1], index[0] - self._starts[number]
            place = f"row at line {rows.line(row)}, column {name!r}"
            field = self._positions[name]
            return DataLocation(place, *rows.position(row, field), source=rows.field_source(row, field))

        return locate

    # -- columns -------------------------------------------------------------------------------------------------------

    def _takes_texts(self, wanted: ColumnRequest) -> bool:
        """Whether a column is read as texts whatever its values: labels may be numbers."""
        labels = wanted.labels or ()
        return wanted.type.dtype == "string" or any(is_number(text) or is_missing_marker(text) for text in labels)

    def _column_of_numbers(self, name: str, wanted: ColumnRequest) -> Samples | None:
        """A column of numbers, in the file or in memory; None if it must be read as texts. Raises CompileError."""
        if self._is_streamed and wanted.labels is None:
            first = self._numbers_of_block(0, name, wanted)
            return None if first is None else self._stored(name, wanted, first)
        if name not in self._numbers and name not in self._texts:
            self._load([[name]], ())
        numbers = self._numbers.get(name)
        if numbers is None or (name in self._with_missing and not wanted.accepts_missing):
            return None
        return _whole_numbers(numbers) if "int" in wanted.type.dtype else numbers

    def _column_of_texts(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> np.ndarray | None:
        """A column of texts, or of numbers and booleans in any notation; None, and errors, if it is invalid."""
        cells, type, labels = self.values(name), wanted.type, wanted.labels
        if type.dtype == "string":
            return np.array(cells, object)
        stripped = {cell: cell.strip() for cell in dict.fromkeys(cells)}
        has_classes = labels is not None and (
            not {*labels}.isdisjoint(stripped.values()) or not any(map(is_number, stripped))
        )
        if has_classes or name_media_files([*stripped.values()], type):
            return np.array([*map(stripped.__getitem__, cells)], object)
        numbers = self._parse_cells(cells, wanted)
        if numbers is None:
            add_cell_errors(name, cells, wanted, self._dialect, self.element_locator([name]), errors)
        return numbers

    def _parse_cells(self, cells: Sequence[str], wanted: ColumnRequest) -> np.ndarray | None:
        return parse_numbers(self._dialect.plain_cells(cells, wanted.accepts_missing), "int" in wanted.type.dtype)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _load(self, groups: Sequence[Sequence[str]], texts: Collection[str]) -> None:
        """Reads columns in one pass over the file. A column of numbers that has other values is read as texts. Raises
        CompileError."""
        columns: dict[str, np.ndarray] = {}
        for group in groups:
            matrix = np.empty((self._starts[-1], len(group)))  # so that stacking the columns copies nothing
            columns |= zip(group, matrix.T, strict=True)
        gathered: dict[str, list[str]] = {name: [] for name in texts}
        known: dict[str, str] = {}
        late: set[str] = set()
        for number, arrays in self._parsed_blocks(columns, gathered):
            for name, array in arrays.items():
                if name in gathered or (not number and array.dtype == object):
                    gathered.setdefault(name, []).extend(map(known.setdefault, array, array))
                    columns.pop(name, None)
                elif name in columns and array.dtype == object:
                    late.add(name)
                    del columns[name]
                elif name in columns:
                    columns[name][self._starts[number] : self._starts[number + 1]] = _filled(array)
                    if isinstance(array, np.ma.MaskedArray):
                        self._with_missing.add(name)
        self._numbers |= columns
        self._texts |= gathered
        if late:
            self._load((), late)

    def _parsed_blocks(
        self, numbers: Collection[str], texts: Collection[str]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Columns of each block, which several threads parse. Collections of names may change meanwhile."""
        yield 0, self._parse(0, numbers, texts)
        pending: deque[Future[dict[str, np.ndarray]]] = deque()
        thread_limit = min(MAX_THREADS, thread_count())
        with ThreadPoolExecutor(thread_limit) as threads:
            for number in range(1, len(self._blocks)):
                pending.append(threads.submit(self._parse, number, [*numbers], [*texts]))
                if len(pending) > thread_limit:
                    yield number + 1 - len(pending), pending.popleft().result()
            while pending:
                yield len(self._blocks) - len(pending), pending.popleft().result()

    def _parse(self, number: int, numbers: Collection[str], texts: Collection[str]) -> dict[str, np.ndarray]:
        """Columns of a block, as texts those that have other values than numbers. Raises CompileError."""
        if self._dialect.thousands is not None:  # DuckDB would also read numbers with groups of two digits
            numbers, texts = (), [*numbers, *texts]
        parsed = self._file.parse(number, *([self._positions[name] for name in names] for names in (numbers, texts)))
        columns = {self.names[position]: array for position, array in parsed.items() if array is not None}
        others = [self.names[position] for position, array in parsed.items() if array is None]
        return columns | self._parse(number, (), others) if others else columns

    def _block_numbers(self, number: int, name: str, wanted: ColumnRequest) -> np.ndarray:
        numbers = self._numbers_of_block(number, name, wanted)
        if numbers is None:
            errors, locate, first_row = self._no_errors(), self.element_locator([name]), self._starts[number]
            cells = self._parse(number, (), [name])[name].tolist()
            add_cell_errors(name, cells, wanted, self._dialect, lambda index: locate((index[0] + first_row,)), errors)
            raise CompileError(errors.diagnostics)
        return numbers

    def _numbers_of_block(self, number: int, name: str, wanted: ColumnRequest) -> np.ndarray | None:
        """The numbers of a column in a block; None if it has other values. Raises CompileError.

        A block is parsed once for all columns that stay in the file, which are read in turn.
        """
        self._streamed[name] = None
        parsed_number, parsed = self._last_parsed
        if parsed_number != number or name not in parsed:
            parsed = self._parse(number, [*self._streamed], ())
            self._last_parsed = number, parsed
        array = parsed[name]
        if array.dtype != object:
            if isinstance(array, np.ma.MaskedArray) and not wanted.accepts_missing:
                return None
            numbers = _whole_numbers(_filled(array)) if "int" in wanted.type.dtype else _filled(array)
            if numbers is not None:
                return numbers
            array = self._parse(number, (), [name])[name]
        return self._parse_cells(array.tolist(), wanted)


def _filled(array: np.ndarray) -> np.ndarray:
    """Numbers with NaN in place of each that is masked."""
    return array.filled(np.nan) if isinstance(array, np.ma.MaskedArray) else array


def _whole_numbers(numbers: np.ndarray) -> np.ndarray | None:
    """Numbers as int64 if all are whole, else as they are; None if some are too large to be exact as float64."""
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        return numbers
    return numbers.astype(np.int64) if np.abs(numbers).max(initial=0) < MAX_EXACT_INTEGER else None
