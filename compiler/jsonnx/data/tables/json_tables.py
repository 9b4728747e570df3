"""Reads tables from JSON: a list of objects, an object of lists, or one object a line (JSON Lines).

Values are numbers, texts, and nested lists of either; `null` and an absent key are missing values.
"""

from __future__ import annotations

import json
from array import array as TypedArray
from collections.abc import Callable, Iterable, Sequence
from math import inf, nan
from typing import Any

import numpy as np

from ...core.limits import MAX_ABSENT_JSON_VALUES
from ...core.types import TensorType
from ..samples.data_errors import DataLocation, ErrorCollector
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import (
    BOOLEAN_TEXT_HELP,
    MISSING_NUMBER_HELP,
    MISSING_TEXT_HELP,
    LocateElement,
    ragged_help,
)
from .data_table import ColumnRequest
from .json_syntax import MalformedTable, line_and_column, line_values, list_items, object_entries, skip
from .table_file import FIRST_ROW, FirstRow, TableFile
from .text_tables import add_missing_values, decode_utf8

LAYOUT_HELP = 'write a list of objects, [{"a": 1, "b": 2}, ...], or an object of lists, {"a": [1, ...], "b": [2, ...]}'


def read_json(source: TableFile) -> JsonTable | None:
    """The table of a JSON file; None, and an error, if it is malformed."""
    return read_json_table(source.file.read(), source.errors)


def read_json_table(data: bytes, errors: ErrorCollector) -> JsonTable | None:
    """The table of a JSON text; None, and an error, if it is malformed."""
    return _read(data, errors, _parse_document)


def read_json_lines(
    data: bytes, errors: ErrorCollector, first: FirstRow | None = None, names: Sequence[str] = ()
) -> JsonTable | None:
    """The table of a text with one JSON object a line; None, and an error, if it is malformed. Skips empty lines.

    Of a part of a file, `first` is the place of its first row, and `names` are the keys of all rows of the file.
    """
    first = first or FIRST_ROW
    return _read(data, errors, lambda text: _parse_lines(text, first, names), first)


def _read(
    data: bytes, errors: ErrorCollector, parse: Callable[[str], JsonTable], first: FirstRow = FIRST_ROW
) -> JsonTable | None:
    text = decode_utf8(data, errors, first.line, first.byte)
    if text is None:
        return None
    try:
        table = parse(text)
    except MalformedTable as error:
        line, column = line_and_column(text, error.offset)
        errors.add("bad-data-file", str(error), DataLocation("", line + first.line - 1, column), help=error.help)
        return None
    except RecursionError:
        errors.add("bad-data-file", "its values are nested too deeply")
        return None
    if not len(table):
        errors.add("empty-data", "the file has no rows", DataLocation("", 1))
        return None
    return table


class JsonTable:
    """Columns of JSON values. `locate_value(row, name)` is the offset of a value in the text, or of its row."""

    def __init__(
        self,
        text: str,
        columns: dict[str, list[Any]],
        row_count: int,
        locate_value: Callable[[int, str], int],
        first: FirstRow = FIRST_ROW,
    ) -> None:
        self._first = first
        self._text, self._columns, self._row_count, self._locate_value = text, columns, row_count, locate_value

    def __len__(self) -> int:
        return self._row_count

    @property
    def names(self) -> Sequence[str]:
        return list(self._columns)

    def with_columns(self, names: Sequence[str]) -> JsonTable:
        """The table; columns that it lacks are added, without values."""
        for name in names:
            self._columns.setdefault(name, [None] * self._row_count)
        return self

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> np.ndarray | None:
        type, text_help = wanted.type, wanted.text_help
        values = _with_missing(self._columns[name], type) if wanted.accepts_missing else self._columns[name]
        if not values:
            errors.add("empty-data", f"column {name!r} has no values", self.name_location(name))
            return None
        error_count = len(errors.diagnostics)
        if not wanted.accepts_missing:
            self._check_missing(name, type, errors)
        if type.dtype == "string":
            has_booleans = any(isinstance(value, bool) for value in self._columns[name])
            self._check_kind(name, str, "a text", errors, BOOLEAN_TEXT_HELP if has_booleans else None)
        array = _to_array(values) if len(errors.diagnostics) == error_count else None
        if array is not None and (array.dtype.kind in "fiub" or _all_texts(values, wanted.accepts_missing)):
            return array
        if array is None and len(errors.diagnostics) == error_count:
            self._check_lengths(name, type, errors)
        if len(errors.diagnostics) == error_count:
            holds_texts = not any(map(_is_number, values))
            help = text_help(value for value in values if isinstance(value, str)) if holds_texts and text_help else None
            others = [value for value in values if value is not None and not _holds(value, (int, float))]
            if others and all(_first_other(value, (int, float)) is None for value in others):  # null in a list
                help = MISSING_NUMBER_HELP
            self._check_kind(name, (int, float), "a number", errors, help)
        return None

    def lists(self, name: str, errors: ErrorCollector) -> Sequence[Any]:
        """The value of a column in each row, as Python's lists, numbers and texts."""
        return self._columns[name]

    def values(self, name: str) -> list[Any]:
        """The values of a column as they are in the file. Raises ValueError if a row has several."""
        values = self._columns[name]
        if any(isinstance(value, (list, dict)) for value in values):
            raise ValueError("has several values in a row")
        return values

    def name_location(self, name: str | None) -> DataLocation:
        return DataLocation("", self._position(0, name or "")[0])

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            is_stacked = len(names) > 1 and len(index) > 1
            name = names[index[1]] if is_stacked else names[0]
            rest = index[2:] if is_stacked else index[1:]
            line, column = self._position(index[0], name)
            element = f", element {list(rest)}" if rest else ""
            return DataLocation(f"row {self._first.row + index[0] + 1}, column {name!r}{element}", line, column)

        return locate

    def _position(self, row: int, name: str) -> tuple[int, int]:
        line, column = line_and_column(self._text, self._locate_value(row, name))
        return line + self._first.line - 1, column

    def _check_missing(self, name: str, type: TensorType, errors: ErrorCollector) -> None:
        """Adds one error for all rows without a value."""
        values = self._columns[name]
        missing = [row for row, value in enumerate(values) if value is None]
        others = [value for value in values if value is not None]
        is_text = type.dtype == "string" or (bool(others) and _all_texts(others))  # names of classes are texts, too
        help = MISSING_TEXT_HELP if is_text else MISSING_NUMBER_HELP
        add_missing_values(name, "value", missing, len(values), self.element_locator([name]), errors, help)

    def _check_kind(self, name: str, kind: Any, wanted: str, errors: ErrorCollector, help: str | None = None) -> None:
        """Adds one error for all rows with a value of another kind."""
        values = self._columns[name]
        bad = [row for row, value in enumerate(values) if value is not None and not _holds(value, kind)]
        locate = self.element_locator([name])
        message = "{!r} holds {}, not {}"
        errors.add_each(
            "bad-value",
            bad,
            lambda row: (message.format(name, _short_json(_first_other(values[row], kind)), wanted), locate((row,))),
            help=help,
        )

    def _check_lengths(self, name: str, type: TensorType, errors: ErrorCollector) -> None:
        """Adds one error for all rows whose lists have other lengths than those of the first row."""
        shapes = [_shape(value) for value in self._columns[name]]
        bad = [row for row, shape in enumerate(shapes) if shape != shapes[0] or shape is None]
        locate = self.element_locator([name])
        texts = ["is ragged" if shape is None else f"has shape {list(shape)}" for shape in shapes]
        errors.add_each(
            "data-shape",
            bad,
            lambda row: (f"{name!r} {texts[row]}, in row 1 it {texts[0]}", locate((row,))),
            help=ragged_help(type),
        )


# -- values ------------------------------------------------------------------------------------------------------------


def _to_array(values: list[Any]) -> np.ndarray | None:
    """The values as an array of numbers, or of objects; None if lists have different lengths."""
    if _all_texts(values):
        texts = np.array(values, object)
        return None if any(isinstance(item, list) for item in texts.flat) else texts
    try:
        array = np.array(values)
    except ValueError:
        return None
    if array.dtype == object and all(map(_is_number, array.flat)):  # integers beyond 64 bits
        return np.array([_to_float(number) for number in array.flat]).reshape(array.shape)
    return array


def _with_missing(values: list[Any], type: TensorType) -> list[Any]:
    """The values with NaN in place of each null; a column of texts stays as it is."""
    present = [value for value in values if value is not None]
    if type.dtype == "string" or (present and _all_texts(present)):
        return values

    def filled(value: Any) -> Any:
        return [filled(item) for item in value] if isinstance(value, list) else nan if value is None else value

    return [filled(value) for value in values]


def _to_float(number: int | float) -> float:
    """The number, infinite if it is too large, as `1e400` is read."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def _all_texts(values: Any, accepts_null: bool = False) -> bool:
    return all(
        isinstance(value, str)
        or (isinstance(value, list) and _all_texts(value, accepts_null))
        or (accepts_null and value is None)
        for value in values
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _holds(value: Any, kind: Any) -> bool:
    """Whether a value, or each element of nested lists, is of a kind."""
    return all(_holds(item, kind) for item in value) if isinstance(value, list) else isinstance(value, kind)


def _first_other(value: Any, kind: Any) -> Any:
    """The value, or the first element of nested lists, that is not of a kind."""
    while isinstance(value, list):
        value = next(item for item in value if not _holds(item, kind))
    return value


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists; None if they are ragged."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def _short_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


# -- tables ------------------------------------------------------------------------------------------------------------


def _parse_document(text: str) -> JsonTable:
    start = skip(text, 0)
    if text[start : start + 1] == "[":
        *rows, (end, _) = list_items(text, start)
        table = _rows_table(text, rows, LAYOUT_HELP)
    elif text[start : start + 1] == "{":
        *entries, (end, _, _) = object_entries(text, start)
        table = _columns_table(text, entries)
    else:
        raise MalformedTable("the file is not a table", start, LAYOUT_HELP)
    if end < len(text):
        help = "a file with one object a line ends in .jsonl (--input-format jsonl)"
        raise MalformedTable("not valid JSON: there is more text behind the first value", end, help)
    return table


def _parse_lines(text: str, first: FirstRow, names: Sequence[str]) -> JsonTable:
    return _rows_table(text, line_values(text), 'write one object a line, {"a": 1, "b": 2}', first, names)


def _rows_table(
    text: str,
    rows: Iterable[tuple[int, Any]],
    help: str,
    first: FirstRow = FIRST_ROW,
    all_names: Sequence[str] = (),
) -> JsonTable:
    """The table of objects at these offsets; a key that a row lacks has the value None."""
    offsets = TypedArray("q")
    columns: dict[str, list[Any]] = {name: [] for name in all_names}
    present = 0
    for offset, row in rows:  # an object is kept no longer than until its values are in the columns
        if not isinstance(row, dict):
            raise MalformedTable(f"a row is {_short_json(row)}, not an object", offset, help)
        for name, value in row.items():
            column = columns.setdefault(name, [])
            column += [None] * (len(offsets) - len(column))
            column.append(value)
        offsets.append(offset)
        present += len(row)
        if len(columns) * len(offsets) - present > MAX_ABSENT_JSON_VALUES:
            message = f"the rows have {len(columns):,} different keys, and lack more than {MAX_ABSENT_JSON_VALUES:,}"
            raise MalformedTable(f"{message} values of these", offset, "give all rows the same keys")
    for column in columns.values():
        column += [None] * (len(offsets) - len(column))

    def locate(row: int, name: str) -> int:
        start = offsets[row]
        return next((offset for offset, key, _ in object_entries(text, start) if key == name and key), start)

    return JsonTable(text, columns, len(offsets), locate, first)


def _columns_table(text: str, entries: list[tuple[int, str, Any]]) -> JsonTable:
    """The table of the lists of an object, with their offsets and keys."""
    columns: dict[str, list[Any]] = {}
    offsets: dict[str, int] = {}
    for offset, key, column in entries:
        if not isinstance(column, list):
            raise MalformedTable(f"{key!r} is {_short_json(column)}, not a list", offset, LAYOUT_HELP)
        if key in columns:
            raise MalformedTable(f"the key {key!r} is there twice", offset)
        columns[key], offsets[key] = column, offset

    def locate(row: int, name: str) -> int:
        if name not in offsets:
            return min(offsets.values(), default=0)
        return next((offset for index, (offset, _) in enumerate(list_items(text, offsets[name])) if index == row), 0)

    return JsonTable(text, columns, max(map(len, columns.values()), default=0), locate)
