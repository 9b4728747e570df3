"""Columns that divide or order the rows of a table: identity, group, class, time and series of a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, JsonPath, quoted_or_list, suggestion
from ...sections.data_section import DataSection
from ...sections.split_section import ROW_COLUMN_KEYS
from ..samples.data_errors import ErrorCollector
from ..tables.data_table import DataTable

TIME_HELP = "numbers and dates of ISO 8601 are read, such as 2026-11-27 or 2026-11-27T08:30:00+01:00"


class RowColumn(NamedTuple):
    """A column of a spec that divides or orders rows."""

    name: str
    path: JsonPath

    @property
    def is_time(self) -> bool:
        return self.path[-1] == "time"


RowValues = dict[JsonPath, Any]
"""The value of each row, by the path in the spec that names the column: texts, or an array of times."""


def row_columns(data: DataSection | None, *, with_split: bool) -> list[RowColumn]:
    """The columns that `windows` and `split` name."""
    columns = []
    for section, names in ROW_COLUMN_KEYS.items():
        if section == "split" and not with_split:
            continue
        value = getattr(data, section, None)
        for name in names:
            column = getattr(value, name, None)
            if column is not None:
                columns.append(RowColumn(column, ("training", "data", section, name)))
    return columns


def read_row_columns(table: DataTable, columns: Sequence[RowColumn], count: int, errors: ErrorCollector) -> RowValues:
    """The values of columns of a table with `count` rows; adds errors for those that are missing or invalid."""
    values: RowValues = {}
    for column in columns:
        raw = _raw_values(table, column, count, errors)
        if raw is not None and column.is_time:
            values[column.path] = _times(table, column, raw, errors)
        elif raw is not None:
            values[column.path] = [value_text(value) for value in raw]
    return values


def _raw_values(table: DataTable, column: RowColumn, count: int, errors: ErrorCollector) -> Sequence[Any] | None:
    name = column.name
    notes = [errors.source.note("the spec names the column here", column.path)]
    if list(table.names).count(name) != 1:
        is_missing = name not in table.names
        message = f"there is no column {name!r}" if is_missing else f"several columns are called {name!r}"
        help = (suggestion(name, table.names) or f"columns: {quoted_or_list(table.names)}") if is_missing else None
        code = "missing-column" if is_missing else "duplicate-column"
        errors.add(code, message, table.name_location(None), help=help, notes=notes)
        return None
    try:
        values = table.values(name)
    except CompileError as error:
        errors.diagnostics += error.diagnostics
        return None
    except (OSError, ValueError, EOFError) as error:
        errors.add("data-shape", f"the column {name!r} {error}", notes=notes)
        return None
    if len(values) != count:
        message = f"the column {name!r} has {len(values):,} values for {count:,} rows"
        errors.add("data-shape", message, notes=notes)
        return None
    return values


def value_text(value: Any) -> str:
    """A value as text, the same for the number in a table of text and for the number in any other file."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _times(table: DataTable, column: RowColumn, values: Sequence[Any], errors: ErrorCollector) -> np.ndarray:
    """The times of all rows: the numbers of the file, or dates of the type datetime64, in UTC."""
    numbers = [_number(value) for value in values]
    is_numeric = any(number is not None for number in numbers)
    texts = [] if is_numeric else [value_text(value) for value in values]
    dates = {text: _date(text) for text in dict.fromkeys(texts)}
    times: list[Any] = numbers if is_numeric else [dates[text] for text in texts]
    bad = [row for row, time in enumerate(times) if time is None]
    locate = table.element_locator([column.name])
    error = "which is not a number" if is_numeric else "which is neither a number nor a date"
    errors.add_each(
        "bad-value",
        bad,
        lambda row: (f"{column.name!r} holds {value_text(values[row])[:80]!r}, {error}", locate((row,))),
        help=TIME_HELP,
    )
    return np.array(times, "float64" if is_numeric else "datetime64[us]")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _date(text: str) -> datetime | None:
    """A date in UTC, without a time zone; one without a time zone is taken as it is."""
    try:
        date = datetime.fromisoformat(text)
        return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
    except (ValueError, OverflowError):
        return None


def check_times_agree(first: RowValues, values: RowValues, first_file: str, errors: ErrorCollector) -> None:
    """Adds an error if a column has dates in one file, and numbers in another."""
    for path, times in values.items():
        other = first[path]
        if isinstance(times, np.ndarray) and times.dtype != other.dtype:
            kinds = ("dates", "numbers") if times.dtype.kind == "M" else ("numbers", "dates")
            message = f"the column that `{path[-2]}.{path[-1]}` names has {kinds[0]}, and {kinds[1]} in {first_file!r}"
            errors.add("bad-value", message, help="write the times of all files alike")


def concatenate_row_values(parts: Sequence[RowValues]) -> RowValues:
    """The values of all files, which have the same columns."""
    return {path: _concatenated([part[path] for part in parts]) for path in parts[0]} if parts else {}


def _concatenated(parts: Sequence[Any]) -> Any:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [value for part in parts for value in part]


def values_of_rows(values: RowValues, rows: np.ndarray) -> RowValues:
    """The values of some rows."""
    return {
        path: column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows.tolist()]
        for path, column in values.items()
    }
