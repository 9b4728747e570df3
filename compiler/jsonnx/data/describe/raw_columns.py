"""The columns of data files as they are, whatever a network takes: types are recognised, missing values are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import error_reason
from ...core.files.spec_source import NO_SPEC, SpecSource
from ...core.types import TensorType
from ..files.data_locations import DataItem
from ..samples.data_errors import ErrorCollector
from ..samples.missing_markers import MISSING_MARKERS, MISSING_TEXTS
from ..tables.array_tables import ArrayTable
from ..tables.arrow_table import ArrowTable
from ..tables.csv_table import CsvTable
from ..tables.data_files import read_table
from ..tables.data_table import ColumnRequest, DataTable, ListTable
from ..tables.folder_table import FolderTable, MediaKind, read_folder
from ..tables.table_file import TableOptions

MISSING_NUMBERS = MISSING_MARKERS | {"nan"}
"""Texts, in lower case, that stand for a missing value in a column of numbers."""

UsedColumns = Callable[[Sequence[str]], Collection[str]]
"""Tells which of the columns of a table are used."""

_ANY_NUMBER = ColumnRequest(TensorType("float32", ()), accepts_missing=True)


@dataclass(frozen=True, eq=False)
class RawColumns:
    """The columns of one or several files.

    Numbers are arrays of NumPy's types, with NaN for a missing value; texts are arrays of objects, with None for a
    missing one. The rows are along the first axis.
    """

    columns: Mapping[str, np.ndarray]
    row_count: int
    unreadable: Mapping[str, str]
    """Why columns cannot be read, by name: ends of sentences."""
    names: tuple[str, ...]
    """All columns of the first file, also those that are not read."""
    list_columns: frozenset[str] = frozenset()
    """The columns with several values in a row, whether they can be read or not."""
    label_lists: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The values of columns with lists of texts or integers of different lengths: lists, or None for a missing one."""
    media: MediaKind | None = None
    """The kind of files in a folder; its column of that name has the paths of the files."""

    def renamed(self, name: str) -> RawColumns:
        """The only column with another name."""
        return replace(
            self,
            columns=dict(zip([name], self.columns.values(), strict=False)),
            unreadable=dict(zip([name], self.unreadable.values(), strict=False)),
            names=(name,),
            list_columns=frozenset([name]) if self.list_columns else frozenset(),
            label_lists=dict(zip([name], self.label_lists.values(), strict=False)),
        )


def beside(files: Mapping[str, RawColumns]) -> RawColumns:
    """The columns of several files side by side; the first file that has a column of a name provides it."""
    columns: dict[str, np.ndarray] = {}
    unreadable: dict[str, str] = {}
    labels: dict[str, Sequence[Any]] = {}
    row_count = max(file.row_count for file in files.values())
    for file in files.values():
        unreadable |= file.unreadable
        labels |= file.label_lists if file.row_count == row_count else {}
        for column, values in file.columns.items():
            if file.row_count != row_count:
                unreadable[column] = f"has {file.row_count:,} rows, another file {row_count:,}"
            else:
                columns.setdefault(column, values)
    names = dict.fromkeys(name for file in files.values() for name in file.names)
    lists = frozenset().union(*(file.list_columns for file in files.values()))
    return RawColumns(columns, row_count, unreadable, tuple(names), lists, labels)


def read_raw_columns(
    items: Sequence[DataItem],
    options: TableOptions,
    *,
    takes_text: bool | None = None,
    is_sample: bool = True,
    source: SpecSource = NO_SPEC,
    used: UsedColumns | None = None,
) -> RawColumns:
    """The columns that all files have, one file below the other. Of a table, `used` tells the columns to read; None
    stands for all.

    `takes_text`: whether a folder is read for its texts, not for its images or recordings; None decides by its files.
    Raises CompileError for a malformed file, UsageError for one that cannot be read.
    """
    parts = [_read_item(item, options, takes_text, is_sample, source, used) for item in items]
    if len(parts) == 1:
        return parts[0]
    row_count = sum(part.row_count for part in parts)
    columns: dict[str, np.ndarray] = {}
    unreadable = {name: reason for part in parts for name, reason in part.unreadable.items()}
    for name in parts[0].columns:
        arrays = [part.columns[name] for part in parts if name in part.columns]
        if len(arrays) < len(parts):
            unreadable.setdefault(name, "is not in all files")
        elif len({array.shape[1:] for array in arrays}) > 1:
            unreadable[name] = "has rows of different shapes"
        else:
            columns[name] = _concatenate(arrays)
    list_columns = frozenset().union(*(part.list_columns for part in parts))
    shared = [name for name in parts[0].label_lists if all(name in part.label_lists for part in parts)]
    label_lists = {name: [value for part in parts for value in part.label_lists[name]] for name in shared}
    return RawColumns(columns, row_count, unreadable, parts[0].names, list_columns, label_lists, parts[0].media)


def _concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays one below the other; numbers become texts if other files have texts there."""
    if any(array.dtype == object for array in arrays):
        arrays = [array if array.dtype == object else _as_texts(array) for array in arrays]
    return np.concatenate(arrays)


def _as_texts(array: np.ndarray) -> np.ndarray:
    texts = np.empty(len(array), object)
    texts[:] = [None if value != value else str(value) for value in array.tolist()]
    return texts


def _read_item(
    item: DataItem,
    options: TableOptions,
    takes_text: bool | None,
    is_sample: bool,
    source: SpecSource,
    used: UsedColumns | None,
) -> RawColumns:
    errors = ErrorCollector(item.name, source)
    options = options._replace(memory="load")
    try:
        with ExitStack() as stack:
            table: DataTable | None
            with item.errors_located():
                if item.open_file is None:
                    table = _open_folder(item, takes_text, is_sample, errors)
                else:
                    table = read_table(stack.enter_context(item.open_file()), item.name, errors, options)
            names = () if table is None else _names_to_read(table, used)
            if isinstance(table, CsvTable):
                table.load((), names, errors)
            elif isinstance(table, ArrowTable):
                table.load(names, errors)
            raw = None if errors or table is None else _columns_of(table, names, options.decimal)
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {item.name!r}: {error_reason(error)}") from error
    if errors or raw is None:
        raise CompileError(errors.diagnostics)
    return raw


def _open_folder(
    item: DataItem, takes_text: bool | None, is_sample: bool, errors: ErrorCollector
) -> FolderTable | None:
    if takes_text is not None:
        return read_folder(item.folder, item.name, takes_text, is_sample, errors, item.files)
    try:
        return read_folder(item.folder, item.name, False, is_sample, errors, item.files)
    except UsageError as error:
        try:
            return read_folder(item.folder, item.name, True, is_sample, errors, item.files)
        except UsageError:
            raise error from None


def _names_to_read(table: DataTable, used: UsedColumns | None) -> Collection[str]:
    if used is None or isinstance(table, FolderTable):
        return dict.fromkeys(table.names)
    wanted = used(table.names)
    return [name for name in dict.fromkeys(table.names) if name in wanted]


def _columns_of(table: DataTable, names: Collection[str], decimal: str) -> RawColumns:
    """Columns of an open table. Raises CompileError if they have different lengths."""
    columns: dict[str, np.ndarray] = {}
    unreadable: dict[str, str] = {}
    list_columns: set[str] = set()
    label_lists: dict[str, Sequence[Any]] = {}
    counts = Counter(table.names)
    for name in names:
        if counts[name] > 1:
            unreadable[name] = "is the name of several columns"
            continue
        errors = ErrorCollector()
        try:
            column = _column(table, name, decimal, errors)
        except ValueError:
            list_columns.add(name)
            column = _loaded(table, name, errors)
            label_lists |= _lists_of_labels(table, name) if column is None else {}
        if column is None or not column.ndim:
            reason = f"cannot be read: {errors.diagnostics[0].message}" if errors else "has no rows"
            unreadable[name] = "has lists of texts, or of different lengths" if name in list_columns else reason
        else:
            columns[name] = column
    lengths = {name: len(column) for name, column in columns.items()}
    row_count = max([*lengths.values(), *map(len, label_lists.values())], default=0)
    for name, count in lengths.items():
        if count != row_count:
            unreadable[name] = f"has {count:,} rows, another column {row_count:,}"
            del columns[name]
    if not row_count:
        message = "no column can be read" + "".join(f"; {name!r}: {reason}" for name, reason in unreadable.items())
        raise CompileError([Diagnostic("empty-data", message)])
    kind = table.kind if isinstance(table, FolderTable) else None
    return RawColumns(columns, row_count, unreadable, tuple(counts), frozenset(list_columns), label_lists, kind)


def _column(table: DataTable, name: str, decimal: str, errors: ErrorCollector) -> np.ndarray | None:
    """The values of a column; None, and perhaps an error, if they cannot be read. Raises ValueError for lists in a row
    of a table of texts or objects."""
    if isinstance(table, FolderTable):
        return _loaded(table, name, errors)
    if isinstance(table, ArrowTable) and table.has_numbers(name):
        return _loaded(table, name, errors)
    if isinstance(table, ArrayTable):
        array = _loaded(table, name, errors)
        is_text = array is not None and array.dtype.kind not in "fiub"
        return recognised(array.tolist()) if is_text and array is not None and array.ndim == 1 else array
    try:
        return recognised(table.values(name), decimal)
    except CompileError as error:
        errors.diagnostics += error.diagnostics
        return None


def _lists_of_labels(table: DataTable, name: str) -> dict[str, Sequence[Any]]:
    """The lists in a column, by its name, if their elements are texts or integers."""
    values = table.lists(name, ErrorCollector()) if isinstance(table, ListTable) else None
    lists = [value for value in values or () if value is not None]
    are_labels = all(isinstance(value, list) and {*map(type, value)} <= {str, int} for value in lists)
    return {name: values} if values and lists and are_labels else {}


def _loaded(table: DataTable, name: str, errors: ErrorCollector) -> np.ndarray | None:
    """The values of a column as they are in the file, in memory; None, and an error, if they cannot be read."""
    values = table.column(name, _ANY_NUMBER, errors)
    return None if values is None else np.asarray(values)


def recognised(values: Sequence[Any], decimal: str = ".") -> np.ndarray:
    """Values of a column as booleans, integers, floating-point numbers or texts, whichever they all are.

    A missing integer makes the column one of floating-point numbers.
    """
    types = {*map(type, values)}
    if types <= {bool}:
        return np.array(values, bool)
    if types == {float}:
        return np.array(values, np.float64)
    numbers = [_number(value, decimal) for value in values]
    if any(number is None for number in numbers) or all(number != number for number in numbers):
        texts = np.empty(len(values), object)
        texts[:] = [_text(value) for value in values]
        return texts
    if all(isinstance(number, int) and -(1 << 63) <= number < 1 << 63 for number in numbers):
        return np.array(numbers, np.int64)
    return np.array([_float(number) for number in numbers], np.float64)


def _number(value: Any, decimal: str) -> int | float | None:
    """The number that a value is or spells, NaN for a missing one; None for a text."""
    if value is None:
        return np.nan
    if isinstance(value, (bool, int, float)):
        return value
    text = str(value).strip()
    if text.lower() in MISSING_NUMBERS:
        return np.nan
    if decimal == ",":
        text = text.replace(".", "_").replace(",", ".")
    if "_" in text:  # Python would read 1_000 as a number
        return None
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return None


def _float(number: int | float | None) -> float:
    try:
        return float(number or 0.0)
    except OverflowError:
        return np.inf if number and number > 0 else -np.inf


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    text = str(value)
    return None if text.strip().lower() in MISSING_TEXTS else text
