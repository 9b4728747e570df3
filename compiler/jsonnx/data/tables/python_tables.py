"""Tables in Python: frames of other libraries, and lists of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np

from ...core.system.optional_packages import require_package
from ..media.media_names import name_media_files
from ..samples.array_arguments import is_pandas_frame
from ..samples.data_errors import NO_LOCATION, DataLocation, ErrorCollector
from ..samples.stored_arrays import Samples
from ..samples.validate_arrays import LocateElement
from .arrow_table import ArrowTable
from .csv_cells import CsvDialect, add_cell_errors, parse_numbers
from .data_table import ColumnRequest, DataTable
from .json_tables import JsonTable

_MISSING_TYPES = ("NAType", "NaTType")
"""The types of pandas' missing values, which are no attributes of a module that need not be there."""


def open_python_table(value: Any, errors: ErrorCollector) -> DataTable | None:
    """The columns of a frame, or of a list of rows; None, and errors, if its values cannot be read. Raises UsageError
    without pyarrow, which frames need."""
    table = _row_table(value, errors) if isinstance(value, (list, tuple)) else _frame_table(value)
    if table is not None and not table.row_count:
        errors.add("empty-data", "the table has no rows")
        return None
    return table


# -- frames ------------------------------------------------------------------------------------------------------------


class FrameTable(ArrowTable):
    """The columns of a frame; `objects` has the values of those that Arrow has no type for."""

    def __init__(self, pa: Any, names: Sequence[str], columns: Sequence[Any], objects: Mapping[str, list[Any]]) -> None:
        """`columns` are `pa.ChunkedArray`s."""
        self.row_count = len(columns[0]) if columns else 0
        self._mixed = objects
        chunks = dict(zip(names, columns, strict=True))
        schema = pa.schema([pa.field(name, column.type) for name, column in zip(names, columns, strict=True)])
        super().__init__(schema, self.row_count, lambda name: iter(chunks[name].chunks))

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        if name in self._mixed:
            values = _json_values(name, self._mixed[name], errors)
            if errors or not _are_cells(values, wanted):
                return None if errors else RowTable({name: values}, self.row_count).column(name, wanted, errors)
        else:
            found = super().column(name, wanted, errors)
            if not isinstance(found, np.ndarray) or found.dtype != object or not _are_cells(found.tolist(), wanted):
                return found
            values = found.tolist()
        return _numbers_of_cells(name, values, wanted, self.element_locator([name]), errors)

    def iterate_values(self, name: str, errors: ErrorCollector) -> Iterator[Any]:
        if name not in self._mixed:
            return super().iterate_values(name, errors)
        values = _json_values(name, self._mixed[name], errors)
        return iter(() if errors else values)

    def values(self, name: str) -> Sequence[Any]:
        return self._mixed[name] if name in self._mixed else super().values(name)


def _frame_table(frame: Any) -> FrameTable:
    pa = require_package("pyarrow", "data", f"reading a {type(frame).__name__}")
    if not is_pandas_frame(frame):
        table = frame.read_all() if isinstance(frame, pa.RecordBatchReader) else pa.table(frame)
        return FrameTable(pa, table.schema.names, table.columns, {})
    names, columns, objects = [str(name) for name in frame.columns], [], {}
    for position, name in enumerate(names):  # the index is no column
        series = frame.iloc[:, position]
        try:
            array = pa.array(series, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            array, objects[name] = pa.nulls(len(frame)), series.tolist()
        columns.append(array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array]))
    return FrameTable(pa, names, columns, objects)


def _are_cells(values: Sequence[Any], wanted: ColumnRequest) -> bool:
    """Whether numbers are wanted, and values are texts, perhaps among numbers, that are neither names of classes nor of
    media files."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts or wanted.type.dtype == "string" or wanted.labels is not None:
        return False
    is_plain = all(value is None or isinstance(value, (str, int, float)) for value in values)
    return is_plain and not name_media_files(texts, wanted.type)


def _numbers_of_cells(
    name: str, values: Sequence[Any], wanted: ColumnRequest, locate: LocateElement, errors: ErrorCollector
) -> np.ndarray | None:
    """The numbers in texts by the rules of csv cells; None, and errors, if some have none."""
    cells, dialect = ["" if value is None else str(value) for value in values], CsvDialect(format="")
    numbers = parse_numbers(dialect.plain_cells(cells, wanted.accepts_missing), "int" in wanted.type.dtype)
    if numbers is None:
        add_cell_errors(name, cells, wanted, dialect, locate, errors)
    return numbers


# -- rows --------------------------------------------------------------------------------------------------------------


class RowTable(JsonTable):
    """The columns of a list of rows, with the values of JSON."""

    def __init__(self, columns: dict[str, list[Any]], row_count: int) -> None:
        super().__init__("", columns, row_count, lambda row, name: 0)
        self.row_count = row_count

    def name_location(self, name: str | None) -> DataLocation:
        return NO_LOCATION

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        locate = super().element_locator(names)
        return lambda index: DataLocation(locate(index).text)


def _row_table(rows: Sequence[Any], errors: ErrorCollector) -> RowTable | None:
    """The table of rows; a key that a row lacks has a missing value. None, and errors, for values of other types."""
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            errors.add("bad-feed", f"row {number + 1} is an object of type {type(row).__name__}, not a dict")
            return None
        for name in row:
            if str(name) not in columns:
                columns[str(name)] = [None] * len(rows)
        for name, value in row.items():
            columns[str(name)][number] = value
    table = RowTable({name: _json_values(name, values, errors) for name, values in columns.items()}, len(rows))
    return None if errors else table


def _json_values(name: str, values: list[Any], errors: ErrorCollector) -> list[Any]:
    """The values of a column as values of JSON; NaN among texts or lists is a missing one."""
    converted, bad = [], []
    for number, value in enumerate(values):
        try:
            converted.append(_json_value(value))
        except TypeError:
            bad.append(number)
    errors.add_each(
        "bad-value",
        bad,
        lambda row: (
            f"{name!r} holds a value of the type {type(values[row]).__name__}, which is not read",
            DataLocation(f"row {row + 1}, column {name!r}"),
        ),
        help="values are numbers, booleans, texts, dates, None, and lists of these",
    )
    if any(isinstance(value, (str, list)) for value in converted):
        return [None if isinstance(value, float) and value != value else value for value in converted]
    return converted


def _json_value(value: Any) -> Any:
    """A value of JSON for a value of Python, NumPy or pandas. Raises TypeError for others."""
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, np.generic):
        value = str(value) if isinstance(value, np.datetime64) and not np.isnat(value) else value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, np.ndarray):
        return _json_value(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    raise TypeError
