"""Parses rows of separated values with DuckDB.

DuckDB has access to no file, network or extension: it sees the rows as a file of a file system in memory. fsspec and
DuckDB have no complete type hints, so their objects are of type Any.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import compress, count
from typing import Any, NamedTuple

import numpy as np

from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.limits import MAX_CSV_ROW_BYTES
from ...core.system.optional_packages import require_package
from ..samples.missing_markers import MISSING_MARKERS
from .csv_cells import CsvDialect

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
"""Maximum number of columns that DuckDB parses. Wider rows are read as one text, since DuckDB reserves memory for
thousands of rows of each column."""
_MARKERS = ", ".join(f"'{marker}'" for marker in sorted(MISSING_MARKERS))


class MalformedRows(ValueError):
    """Rows that cannot be divided into columns; the message is a reason that need not be among the rows."""

    def __init__(self, reason: str = "its rows cannot be told apart") -> None:
        super().__init__(reason)


ParsedRows = tuple[int, dict[int, np.ndarray | None]]
"""The number of rows, and columns by their positions: numbers as float64, masked where one is missing; texts as
objects; and None in place of numbers if a column has other values."""


def parse_rows(
    rows: bytes, dialect: CsvDialect, column_count: int, numbers: Sequence[int], texts: Sequence[int]
) -> ParsedRows:
    """The columns of rows at some positions. Each row ends with a line feed. Raises MalformedRows, and UsageError if a
    package is missing."""
    parse = _parse if column_count <= MAX_COLUMNS else _parse_wide
    return parse(rows, dialect, column_count, numbers, texts)


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
        if file.connection.execute("SELECT 1 FROM reject_errors LIMIT 1").fetchone():
            raise MalformedRows
        columns: dict[int, np.ndarray | None] = dict(zip([*numbers, *texts], arrays, strict=True))
        masked = [position for position in numbers if isinstance(columns[position], np.ma.MaskedArray)]
        tests = [f"bool_or({_is_text(as_number[position], f'c{position}')})" for position in masked]
        not_numbers = compress(masked, map(bool, file.select(*tests))) if masked else ()
        return len(ones), columns | dict.fromkeys(not_numbers)


def _parse_wide(
    rows: bytes, dialect: CsvDialect, column_count: int, numbers: Sequence[int], texts: Sequence[int]
) -> ParsedRows:
    """The columns of rows whose values are parsed as one column, after marks have replaced what quotation marks
    protect."""
    unused = (mark for mark in map(chr, range(0xE000, 0xF8FF)) if mark.encode() not in rows)
    marks = dict(zip((dialect.separator, "\n", '"'), unused, strict=False))
    values = f"string_split(line, '{dialect.separator}')"
    number = _number("value", rows, dialect)
    columns: dict[int, np.ndarray | None] = {}
    with _Rows(_unquoted(rows, marks), "columns={'line': 'VARCHAR'}, delim='\x01', quote='', escape=''") as file:
        (value_counts,) = file.select(f"len({values})")
        if (np.ma.filled(value_counts, 0) != column_count).any():
            raise MalformedRows
        if numbers:
            matrix = file.select(number, value=f"unnest({values})")[0].reshape(-1, column_count)
            columns = {position: matrix[:, position] for position in numbers}
            if isinstance(matrix, np.ma.MaskedArray):
                (is_text,) = file.select(_is_text(number, "value"), value=f"unnest({values})")
                with_texts = {*np.flatnonzero(is_text.reshape(-1, column_count).any(0)).tolist()}
                columns |= dict.fromkeys(with_texts.intersection(numbers))
        if texts:
            if len(texts) > MAX_COLUMNS:  # so many expressions would take DuckDB longer than all values
                cells = file.select("value", value=f"unnest({values})")[0].reshape(-1, column_count)
                arrays = [cells[:, position] for position in texts]
            else:
                arrays = file.select(*(f"value[{position + 1}]" for position in texts), value=values)
            columns |= zip(texts, map(partial(_with_marked, marks), arrays) if b'"' in rows else arrays, strict=True)
    return len(value_counts), columns


def _with_marked(marks: Mapping[str, str], texts: np.ndarray) -> np.ndarray:
    """Texts with what marks stand for."""
    for replaced, mark in marks.items():
        texts = np.array([text.replace(mark, replaced) for text in texts], object)
    return texts


def _unquoted(rows: bytes, marks: Mapping[str, str]) -> bytes:
    """Rows without quotation marks around fields, in which marks stand for separators, line feeds and quotation marks.
    Raises MalformedRows."""
    if b'"' not in rows:
        return rows
    separator = next(iter(marks)).encode()
    start, stop = rb"(\A|\n|%s) *" % re.escape(separator), rb" *(?=\Z|\n|%s)" % re.escape(separator)
    quoted = re.compile(start + rb'"([^"]*+(?:""[^"]*+)*+)"' + stop)
    if re.search(start + b'"', quoted.sub(rb"\1", rows)):
        raise MalformedRows

    def unquote(field: re.Match[bytes]) -> bytes:
        text = field[2].replace(b'""', b'"')
        for replaced, mark in marks.items():
            text = text.replace(replaced.encode(), mark.encode())
        return field[1] + text

    return quoted.sub(unquote, rows)


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
        self._database = _database()
        self._path = f"{FOLDER}{next(self._database.numbers)}"
        self._database.contents[self._path] = rows
        self._options, self.connection = options, self._database.connection.cursor()

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()
        del self._database.contents[self._path]

    def select(self, *expressions: str, value: str | None = None) -> list[np.ndarray]:
        """The values of expressions, perhaps over those of another one, which they call `value`."""
        size = 2 * MAX_CSV_ROW_BYTES
        source = f"read_csv('{self._path}', auto_detect=false, header=false, new_line='\\n', {self._options}, "
        source += f"buffer_size={size}, max_line_size={size})"
        source = source if value is None else f"(SELECT {value} AS value FROM {source})"
        columns = ", ".join(f"{expression} AS v{number}" for number, expression in enumerate(expressions))
        try:
            return [*self.connection.execute(f"SELECT {columns} FROM {source}").fetchnumpy().values()]
        except self._database.error as error:
            raise MalformedRows(f"DuckDB: {str(error).splitlines()[0]}") from error


class _Database(NamedTuple):
    connection: Any
    error: type[Exception]
    """The class of DuckDB's exceptions."""
    contents: dict[str, bytes]
    """The files of the file system in memory, by path."""
    numbers: count[int]


@cache
def _database() -> _Database:
    duckdb, fsspec = (
        require_package(package, FORMAT_BY_NAME["csv"].extra, PURPOSE) for package in ("duckdb", "fsspec")
    )
    contents: dict[str, bytes] = {}
    connection = duckdb.connect(":memory:", config=SETTINGS)
    connection.register_filesystem(_file_system(fsspec, contents))
    connection.execute(f"SET allowed_directories = ['{FOLDER}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return _Database(connection, duckdb.Error, contents, count())


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
