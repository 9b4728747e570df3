"""Parses rows of separated values with DuckDB.

DuckDB has access to no file, network or extension: it sees the rows as a file of a file system in memory. fsspec and
DuckDB have no complete type hints, so their objects are of type Any.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import compress, count
from typing import Any, NamedTuple

import numpy as np

from ...core.limits import MAX_CSV_ROW_BYTES
from ...core.system.optional_packages import require_package
from .csv_cells import MISSING_MARKERS, CsvDialect

PURPOSE = "reading tables of separated values"
FOLDER = "jsonnx://rows/"
"""The folder of the file system in memory."""
SETTINGS = {
    "threads": "1",  # the caller parses several blocks at the same time
    "memory_limit": "2GB",  # a block of rows takes a small part of it
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
MAX_COLUMNS = 256
"""Columns that are parsed at once: DuckDB allocates room for thousands of rows of each."""
_MARKERS = ", ".join(f"'{marker}'" for marker in sorted(MISSING_MARKERS))


class MalformedRows(ValueError):
    """Rows that cannot be divided into columns; `misplaced_quote` is the offset of the first row with a quotation mark
    that neither opens nor closes a field."""

    def __init__(self, misplaced_quote: int | None = None) -> None:
        super().__init__("malformed rows")
        self.misplaced_quote = misplaced_quote


class ParsedRows(NamedTuple):
    """Columns of rows, by their positions."""

    row_count: int
    columns: dict[int, np.ndarray]
    """Numbers as float64, masked where one is missing, and texts as objects."""
    not_numbers: frozenset[int]
    """The columns of numbers that have other values, whose arrays are to be ignored."""


def parse_rows(
    rows: bytes, dialect: CsvDialect, column_count: int, numbers: Sequence[int], texts: Sequence[int]
) -> ParsedRows:
    """The columns of rows at some positions. Each row ends with a line feed. Raises MalformedRows, and UsageError if a
    package is missing."""
    if column_count <= MAX_COLUMNS:
        return _parse(rows, dialect, column_count, numbers, texts)
    mark = re.escape(dialect.separator.encode())
    unquoted = re.sub(rb'(\A|\n|%s) *"([^"\n%s]*)" *(?=\n|%s|\Z)' % (mark, mark, mark), rb"\1\2", rows)
    if b'"' not in unquoted:
        return _parse_wide(unquoted, dialect, column_count, numbers, texts)
    parts = [
        _parse(rows, dialect, column_count, numbers[start : start + MAX_COLUMNS], texts[start : start + MAX_COLUMNS])
        for start in range(0, max(len(numbers), len(texts), 1), MAX_COLUMNS)
    ]
    columns = {position: array for part in parts for position, array in part.columns.items()}
    return ParsedRows(parts[0].row_count, columns, frozenset().union(*(part.not_numbers for part in parts)))


def _parse(
    rows: bytes, dialect: CsvDialect, column_count: int, numbers: Sequence[int], texts: Sequence[int]
) -> ParsedRows:
    """The columns of rows that DuckDB's parser of separated values divides."""
    table = ", ".join(f"'c{position}': 'VARCHAR'" for position in range(column_count))
    options = f"columns={{{table}}}, delim='{dialect.separator}', quote='\"', escape='\"', "
    as_number = {position: _number(f"c{position}", rows, dialect) for position in numbers}
    as_text = [f"coalesce(c{position}, '')" for position in texts]
    with _Rows(rows, f"{options}store_rejects=true, rejects_limit=0") as file:
        *arrays, ones = file.select(*as_number.values(), *as_text, "1")
        rejects = file.connection.execute("SELECT error_type, line_byte_position - 1 FROM reject_errors").fetchall()
        if rejects:
            raise MalformedRows(min((offset for kind, offset in rejects if kind == "UNQUOTED VALUE"), default=None))
        columns = dict(zip([*numbers, *texts], arrays, strict=True))
        masked = [position for position in numbers if isinstance(columns[position], np.ma.MaskedArray)]
        tests = [f"bool_or({_is_text(as_number[position], f'c{position}')})" for position in masked]
        not_numbers = compress(masked, map(bool, file.select(*tests))) if masked else ()
        return ParsedRows(len(ones), columns, frozenset(not_numbers))


def _parse_wide(
    rows: bytes, dialect: CsvDialect, column_count: int, numbers: Sequence[int], texts: Sequence[int]
) -> ParsedRows:
    """The columns of rows without quotation marks, whose values are parsed as one column."""
    values = f"string_split(line, '{dialect.separator}')"
    number = _number("value", rows, dialect)
    columns: dict[int, np.ndarray] = {}
    not_numbers = frozenset[int]()
    with _Rows(rows, "columns={'line': 'VARCHAR'}, delim='\x01', quote='', escape=''") as file:
        (value_counts,) = file.select(f"len({values})")
        if (value_counts != column_count).any():
            raise MalformedRows()
        if numbers:
            matrix = file.select(number, value=f"unnest({values})")[0].reshape(-1, column_count)
            columns = {position: matrix[:, position] for position in numbers}
            if isinstance(matrix, np.ma.MaskedArray):
                (is_text,) = file.select(_is_text(number, "value"), value=f"unnest({values})")
                not_numbers = frozenset(np.flatnonzero(is_text.reshape(-1, column_count).any(0)).tolist())
        if texts:
            matrix = file.select("value", value=f"unnest({values})")[0].reshape(-1, column_count)
            columns |= {position: matrix[:, position] for position in texts}
    return ParsedRows(len(value_counts), columns, not_numbers.intersection(numbers))


def _number(text: str, rows: bytes, dialect: CsvDialect) -> str:
    """The SQL expression of the number in a text; NULL if there is none. DuckDB reads `1_000` and `nan(1)`, too."""
    has_marks = b"_" in rows or b"(" in rows
    if dialect.decimal == ",":
        text, has_marks = f"replace(replace({text}, '.', '_'), ',', '.')", True
    number = f"TRY_CAST({text} AS DOUBLE)"
    return f"CASE WHEN {text} SIMILAR TO '.*[_(].*' THEN NULL ELSE {number} END" if has_marks else number


def _is_text(number: str, text: str) -> str:
    """The SQL expression of whether a text is neither a number nor stands for a missing one."""
    return f"{number} IS NULL AND lower(trim(coalesce({text}, ''))) NOT IN ({_MARKERS})"


class _Rows:
    """Rows as a file that a connection of its own reads."""

    def __init__(self, rows: bytes, options: str) -> None:
        database = _database()
        self._contents, self._path = database.contents, f"{FOLDER}{next(database.numbers)}"
        self._contents[self._path] = rows
        self._options, self.connection = options, database.connection.cursor()

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()
        del self._contents[self._path]

    def select(self, *expressions: str, value: str | None = None) -> list[np.ndarray]:
        """The values of expressions, perhaps over those of another one, which they call `value`."""
        size = 2 * MAX_CSV_ROW_BYTES
        source = f"read_csv('{self._path}', auto_detect=false, header=false, new_line='\\n', {self._options}, "
        source += f"buffer_size={size}, max_line_size={size})"
        source = source if value is None else f"(SELECT {value} AS value FROM {source})"
        columns = ", ".join(f"{expression} AS v{number}" for number, expression in enumerate(expressions))
        return [*self.connection.execute(f"SELECT {columns} FROM {source}").fetchnumpy().values()]


class _Database(NamedTuple):
    connection: Any
    contents: dict[str, bytes]
    """The files of the file system in memory, by path."""
    numbers: count[int]


@cache
def _database() -> _Database:
    duckdb, fsspec = (require_package(package, "tables", PURPOSE) for package in ("duckdb", "fsspec"))
    contents: dict[str, bytes] = {}
    connection = duckdb.connect(":memory:", config=SETTINGS)
    connection.register_filesystem(_file_system(fsspec, contents))
    connection.execute(f"SET allowed_directories = ['{FOLDER}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return _Database(connection, contents, count())


def _file_system(fsspec: Any, contents: Mapping[str, bytes]) -> Any:
    """A file system of fsspec whose files have the given contents."""

    class FileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]
        protocol, cachable = "jsonnx", False

        def open(self, path: str, mode: str = "rb", **options: Any) -> io.BytesIO:
            return io.BytesIO(contents[path])

        def info(self, path: str, **options: Any) -> dict[str, Any]:
            return {"name": path, "size": len(contents[path]), "type": "file"}

        def glob(self, path: str, **options: Any) -> list[str]:
            return [path]

    return FileSystem()
