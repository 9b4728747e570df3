"""Tables whose columns, or whose rows, are in several files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.files.spec_folders import DataFolder
from ..samples.data_errors import NO_LOCATION, DataLocation, ErrorCollector
from ..samples.stored_arrays import Samples, concatenate_samples
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import LocateElement
from ..tables.array_tables import ArrayTable
from ..tables.data_table import ColumnRequest, DataTable
from ..tables.python_tables import FrameTable, RowTable

EQUAL_COUNTS_HELP = "each sample is one row of every file: give files with equal numbers of rows"


class FileTable(NamedTuple):
    """The table of one file, or of several ones below one another."""

    table: DataTable
    errors: ErrorCollector
    """The errors of the file."""
    folder: DataFolder
    """The folder that the names of images in the table are relative to."""

    @property
    def file(self) -> str:
        return self.errors.file or ""

    def value_names(self) -> list[str]:
        """The columns without those that have the lengths of the sequences in others."""
        table, names = self.table, list(self.table.names)
        if not isinstance(table, ArrayTable):
            return names
        return [name for name in names if name not in {table.lengths_name(other) for other in names}]

    @property
    def has_arrays(self) -> bool:
        """Whether the file has arrays by name, not the columns of a table."""
        return isinstance(self.table.parts[0].table if isinstance(self.table, ShardedTable) else self.table, ArrayTable)

    @property
    def has_one_array(self) -> bool:
        """Whether the file is an array, whose name says nothing."""
        return self.has_arrays and len(self.value_names()) == 1


class ShardedTable:
    """The tables of several files, one below the other."""

    def __init__(self, parts: Sequence[FileTable]) -> None:
        self.parts = parts
        self.names: Sequence[str] = parts[0].table.names
        self._ends = np.zeros(len(parts), np.int64)
        """The number of rows up to the end of each file, once a column was read."""

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        columns: list[Samples] = []
        for table, own, _ in self.parts:
            if name not in table.names:
                own.add("missing-column", f"there is no column {name!r}, which {self.parts[0].file!r} has")
                return None
            column = table.column(name, wanted, own)
            if column is None:
                return None
            columns.append(column)
            if column.shape[1:] != columns[0].shape[1:]:
                shape, other = list(column.shape[1:]), list(columns[0].shape[1:])
                message = f"samples of {name!r} have shape {shape}, in {self.parts[0].file!r} {other}"
                own.add("data-shape", message, help="all files need samples of one shape")
                return None
        self.set_sizes([len(column) for column in columns])
        if len({column.dtype.kind in "UO" for column in columns}) > 1:  # numbers in one file, texts in another
            columns = [np.asarray(column).astype(object) for column in columns]
        return concatenate_samples(columns)

    def set_sizes(self, sizes: Sequence[int]) -> None:
        """Sets the number of rows of each file, by which elements are located."""
        self._ends = np.cumsum(sizes)

    def values(self, name: str) -> Sequence[Any]:
        values: list[Any] = []
        for table, _, _ in self.parts:
            values += table.values(name)
        return values

    def name_location(self, name: str | None) -> DataLocation:
        first = self.parts[0]
        return first.table.name_location(name)._replace(file=first.file)

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        locators = [part.table.element_locator(names) for part in self.parts]

        def locate(index: ElementIndex) -> DataLocation:
            number = min(int(np.searchsorted(self._ends, index[0], "right")), len(locators) - 1)
            first = int(self._ends[number - 1]) if number else 0
            return locators[number]((index[0] - first, *index[1:]))._replace(file=self.parts[number].file)

        return locate


class CombinedTable:
    """The columns of several files, side by side; the first file that has a column of a name provides it."""

    def __init__(self, files: Mapping[str, FileTable], columns: Mapping[str, tuple[FileTable, str]]) -> None:
        self.files, self._columns = files, columns
        self.names: Sequence[str] = [*columns]
        self._counts: dict[str, int] = {}

    @property
    def has_files(self) -> bool:
        """Whether the columns are in files, not in tables of a program."""
        return not all(isinstance(file.table, (FrameTable, RowTable)) for file in self.files.values())

    def place(self, name: str) -> tuple[FileTable, str] | None:
        """The file with a column, and the name of the column there; None if no file has it."""
        return self._columns.get(name)

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        file, own_name = self._columns[name]
        column = file.table.column(own_name, wanted, file.errors)
        if column is not None and column.ndim:
            self._counts[file.file] = len(column)
        if len({*self._counts.values()}) > 1:
            add_count_error(self._counts, errors)
            return None
        return column

    def values(self, name: str) -> Sequence[Any]:
        file, own_name = self._columns[name]
        return file.table.values(own_name)

    def name_location(self, name: str | None) -> DataLocation:
        place = self._columns.get(name) if name is not None else None
        if place is None:
            return NO_LOCATION
        file, own_name = place
        return file.table.name_location(own_name)._replace(file=file.file)

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        places = [self._columns[name] for name in names]
        locators = [file.table.element_locator([own_name]) for file, own_name in places]

        def locate(index: ElementIndex) -> DataLocation:
            number = index[-1] if len(names) > 1 and len(index) > 1 else 0
            own_index = index[:-1] if len(names) > 1 and len(index) > 1 else index
            location = locators[number](own_index)
            return location if location.file else location._replace(file=places[number][0].file)

        return locate


def add_count_error(counts: Mapping[str, int], errors: ErrorCollector) -> None:
    """Adds an error for files with different numbers of rows, unless there is one."""
    text = ", ".join(f"{file!r} has {count:,}" for file, count in counts.items())
    message = f"the files have different numbers of rows: {text}"
    if all(error.message != message for error in errors.diagnostics):
        errors.add("data-shape", message, help=EQUAL_COUNTS_HELP)
