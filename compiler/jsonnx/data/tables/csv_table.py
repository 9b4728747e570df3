"""Reads tables of separated values (.csv and .tsv): UTF-8, one header line, texts or numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.limits import MAX_CSV_COLUMNS
from ..media.media_names import name_media_files
from ..samples.data_errors import DataLocation, FaultCollector, TextHelp
from ..samples.validate_arrays import MISSING_NUMBER_HELP, ElementIndex, LocateElement
from .data_table import ColumnRequest
from .text_tables import add_missing_values, decode_utf8

SEPARATOR_HELP = 'a separator other than the comma is set in `training.data`, as "separator": ";"'
COMMENT_HELP = "comment lines are not read, remove them"
_EXCEL_SEPARATOR_LINE = re.compile(r'"?sep=.?,?"?', re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


class CsvDialect(NamedTuple):
    """How a table of separated values is written."""

    separator: str = ","
    decimal: str = "."
    """The decimal mark of numbers."""
    format: str = "csv"
    """The suffix of the file."""
    thousands: str | None = None
    """The mark between groups of three digits; None for none."""

    def plain_number(self, text: str) -> str:
        """A number without marks of thousands and with a decimal point; a text that is written otherwise stays no
        number."""
        if self.thousands is not None and self.thousands in text:
            whole, mark, fraction = text.strip().partition(self.decimal)
            is_grouped = re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(self.thousands)}\d{{3}})+", whole)
            text = whole.replace(self.thousands, "" if is_grouped else "_") + mark + fraction
        return text if self.decimal == "." else text.replace(".", "_").replace(",", ".")


COMMAS = CsvDialect()


def read_csv_table(data: bytes, faults: FaultCollector, dialect: CsvDialect = COMMAS) -> CsvTable | None:
    """The table of a text with a header; None, and faults, if it is malformed. Lines count from 1."""
    parsed = _parsed_rows(data, 1, faults, dialect)
    if parsed is None:
        return None
    rows, row_lines, lines = parsed
    if len(rows) < 2:
        message = "the file has no rows below its header" if rows else "the file is empty"
        faults.add("empty-data", message, DataLocation("", 1), help=EMPTY_HELP)
        return None
    return _csv_table(rows, row_lines, lines, faults, dialect)


def read_csv_rows(
    data: bytes, header: CsvTable, first_line: int, faults: FaultCollector, dialect: CsvDialect
) -> CsvTable | None:
    """The table of rows of a file whose header is another table's; None, and faults, if they are malformed.

    `first_line` is the number of their first line in the file.
    """
    parsed = _parsed_rows(data, first_line, faults, dialect)
    if parsed is None or _has_ragged_rows(*parsed[:2], len(header.names), faults, dialect.separator):
        return None
    rows, row_lines, lines = parsed
    return CsvTable(header.names, rows, [1, *row_lines], lines, dialect, first_line)


def _parsed_rows(
    data: bytes, first_line: int, faults: FaultCollector, dialect: CsvDialect
) -> tuple[list[list[str]], list[int], list[str]] | None:
    """The rows of a text, the numbers of the lines on which they begin, and all lines; None, and a fault, if it is
    malformed."""
    text = decode_utf8(data, faults, first_line)
    if text is None:
        return None
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=dialect.separator, strict=True)
    rows: list[list[str]] = []
    row_lines: list[int] = []
    previous_line = 0
    try:
        for row in reader:
            if row:
                rows.append(row)
                row_lines.append(previous_line + first_line)
            previous_line = reader.line_num
    except csv.Error as error:
        reason, help = _csv_reason(error)
        location = DataLocation("", previous_line + first_line)
        faults.add("bad-data-file", f"not a readable .{dialect.format} file: {reason}", location, help=help)
        return None
    return rows, row_lines, lines


def _csv_reason(error: csv.Error) -> tuple[str, str | None]:
    """Why a file cannot be read, and what to do, by an error of the csv module."""
    if "unexpected end of data" in str(error):
        return "the file ends within quotation marks", "close the quotation mark that opens a field"
    if "field larger than field limit" not in str(error):
        return str(error), None
    reason = f"a field of the row that begins here has more than {csv.field_size_limit():,} characters"
    return reason, "close the quotation mark that opens a field, or shorten the text"


def _csv_table(
    rows: list[list[str]], row_lines: list[int], lines: list[str], faults: FaultCollector, dialect: CsvDialect
) -> CsvTable | None:
    """The table of parsed rows, which must be as long as the header."""
    header = [name.strip() for name in rows[0]]
    if len(header) > MAX_CSV_COLUMNS:
        faults.add(
            "too-large", f"the file has {len(header):,} columns, the limit is {MAX_CSV_COLUMNS:,}", DataLocation("", 1)
        )
        return None
    if _EXCEL_SEPARATOR_LINE.fullmatch(lines[row_lines[0] - 1].strip()):
        message = f"the first line, {lines[row_lines[0] - 1].strip()!r}, is a setting of Excel, not a header"
        help = f"remove the line; {SEPARATOR_HELP}"
        faults.add("bad-data-file", message, DataLocation("", row_lines[0], 1), help=help)
        return None
    if header[0].startswith("#") and len(header) != len(rows[1]):
        message = f"the first line is no header, but a comment: {header[0][:80]!r}"
        faults.add("bad-data-file", message, DataLocation("", row_lines[0], 1), help=COMMENT_HELP)
        return None
    separator = next((mark for mark in ",;\t|" if len(header) == 1 and mark in header[0]), None)
    if separator:
        message = f"the header is one column, {header[0][:80]!r}, without the separator {dialect.separator!r}"
        help = f"if {separator!r} separates the columns, set "
        help += f'"separator": {json.dumps(separator)} in `training.data`'
        faults.add("bad-data-file", message, DataLocation("", 1), help=help)
        return None
    if _has_ragged_rows(rows, row_lines, len(header), faults, dialect.separator):
        return None
    return CsvTable(header, rows[1:], row_lines, lines, dialect)


def _has_ragged_rows(
    rows: list[list[str]], row_lines: list[int], column_count: int, faults: FaultCollector, separator: str
) -> bool:
    """Whether rows are longer or shorter than the header; adds a fault for them."""
    ragged = [index for index, row in enumerate(rows) if len(row) != column_count]
    faults.add_each(
        "ragged-row",
        ragged,
        lambda index: (
            f"{len(rows[index])} values in a row, {column_count} in the header"
            + (f": {COMMENT_HELP}" if rows[index][0].lstrip().startswith("#") else ""),
            DataLocation(f"row at line {row_lines[index]}", row_lines[index]),
        ),
        help=f"give each row as many values as the header; one that contains {separator!r} stands in quotation marks",
    )
    return bool(ragged)


class CsvTable:
    """The rows of a file; the header names the columns. `row_lines` are the lines of the header and the rows.

    `first_line` is the number of the first one of `lines` in the file.
    """

    def __init__(
        self,
        names: list[str],
        rows: list[list[str]],
        row_lines: list[int],
        lines: list[str],
        dialect: CsvDialect,
        first_line: int = 1,
    ) -> None:
        self._first_line = first_line
        self.names, self._rows, self._lines, self._dialect = names, rows, lines, dialect
        self._header_line, self._row_lines = row_lines[0], row_lines[1:]

    def column(self, name: str, wanted: ColumnRequest, faults: FaultCollector) -> np.ndarray | None:
        if self.names.count(name) > 1:
            message = f"{self.names.count(name)} columns are called {name!r}"
            faults.add("duplicate-column", message, self.name_location(None))
            return None
        index = self.names.index(name)
        texts = [row[index] for row in self._rows]
        type, labels = wanted.type, wanted.labels
        if type.dtype == "string":
            return np.array(texts, object)
        stripped = [text.strip() for text in texts]
        if name_media_files(stripped, type) or (
            labels is not None and (set(stripped) & set(labels) or not any(map(_is_number, texts)))
        ):
            return np.array(stripped, object)
        if self._dialect.decimal != "." or self._dialect.thousands is not None:
            texts = [self._dialect.plain_number(text) for text in texts]
        if wanted.accepts_missing:
            texts = ["nan" if _is_missing(text) else text for text in texts]
        is_integer = "int" in type.dtype
        numbers = _parse_numbers(texts, int if is_integer else float)
        if numbers is None and (booleans := _booleans_as_numbers(texts)) is not None:
            numbers = _parse_numbers(booleans, int if is_integer else float)
        if numbers is None:
            self._add_faults(name, texts, faults, wanted.text_help)
        return numbers

    def _add_faults(self, name: str, texts: list[str], faults: FaultCollector, text_help: TextHelp | None) -> None:
        """Adds one fault for all cells of a column that are missing, and one for all others that are not numbers.

        `texts` are the cells with decimal points; the faults quote the cells as they are in the file.
        """
        locate, cells = self.element_locator([name]), self.values(name)
        missing = [index for index, text in enumerate(texts) if _is_missing(text)]
        if len(missing) > 1:
            add_missing_values(name, "number", missing, len(texts), locate, faults)
        elif missing:
            message = _number_fault(name, cells[missing[0]], self._dialect)
            faults.add("bad-value", message, locate((missing[0],)), help=MISSING_NUMBER_HELP)
        bad = [index for index, text in enumerate(texts) if not _is_number(text) and not _is_missing(text)]
        is_text = text_help is not None and not any(map(_is_number, texts))
        help = text_help(cells[index].strip() for index in bad) if text_help and is_text else NUMBER_HELP
        faults.add_each(
            "bad-value",
            bad,
            lambda index: (_number_fault(name, cells[index], self._dialect), locate((index,))),
            help=help,
        )

    def values(self, name: str) -> Sequence[Any]:
        index = self.names.index(name)
        return [row[index] for row in self._rows]

    def name_location(self, name: str | None) -> DataLocation:
        if name is None:
            return DataLocation("", self._header_line)
        return DataLocation("", *self._position(self._header_line, name))

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            name = names[index[1] if len(index) > 1 else 0]
            row_line = self._row_lines[index[0]]
            line, column = self._position(row_line, name)
            return DataLocation(f"row at line {row_line}, column {name!r}", line, column)

        return locate

    def _position(self, line: int, name: str) -> tuple[int, int]:
        """The line and the column, from 1, of a column's field in the row that begins at a line."""
        number, separator = self.names.index(name), self._dialect.separator
        own_line, column = _field_position(self._lines, line - self._first_line + 1, number, separator)
        return own_line + self._first_line - 1, column


EMPTY_HELP = "write a line with the names of the columns, and below it a row for each sample"
NUMBER_HELP = "write a number without a unit, such as 0.5; an input of the type string takes texts"
MISSING_MARKERS = frozenset(("", "na", "n/a", "null", "none", "?", "-"))
"""Texts, in lower case, that stand for a missing number. `nan` is read as a number that is not finite."""


BOOLEANS = {"true": "1", "false": "0", "yes": "1", "no": "0", "nan": "nan"}
"""Texts, in lower case, that a column of booleans has in place of numbers; `nan` stands for a missing one."""


def _booleans_as_numbers(texts: list[str]) -> list[str] | None:
    """The cells of a column of booleans as 1 and 0; None if there are other texts."""
    numbers = [BOOLEANS.get(text.strip().lower()) for text in texts]
    return None if None in numbers else [number for number in numbers if number is not None]


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING_MARKERS


def _parse_numbers(texts: list[str], parse: type[int] | type[float]) -> np.ndarray | None:
    """The numbers that the texts contain; None if one does not contain a number."""
    if any("_" in text for text in texts):  # Python would read 1_000 as a number
        return None
    for attempt in dict.fromkeys((parse, float)):
        try:
            return np.array([attempt(text) for text in texts], np.int64 if attempt is int else np.float64)
        except (ValueError, OverflowError):
            continue
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _number_fault(name: str, text: str, dialect: CsvDialect) -> str:
    if not text.strip():
        return f"{name!r} is empty"
    hint = ""
    if dialect.decimal == ",":
        hint = ": decimals are written with a comma, as `decimal` says" if "." in text else ""
    elif _THOUSANDS.fullmatch(text.strip()):
        hint = ': marks of thousands need "thousands" in `training.data`, and decimals are written with a point'
    elif text.count(",") == 1 and _is_number(text.replace(",", ".")):
        hint = ': decimals are written with a point, unless `training.data` has "decimal": ","'
    return f"{name!r} holds {text[:80]!r}, not a number{hint}"


def _field_position(lines: list[str], line: int, number: int, separator: str) -> tuple[int, int]:
    """The line and column, from 1, of a field (counted from 0) of the row that begins at a line."""
    is_quoted, field_column = False, 1
    while number:
        for column, character in enumerate(lines[line - 1], 2):
            is_quoted ^= character == '"'
            if character == separator and not is_quoted and number:
                number, field_column = number - 1, column
        line += bool(number)
    return line, field_column
