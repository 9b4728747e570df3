"""Tables of any size as chunks: rows that follow one another, read without the rest of the file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import IO, Any, NamedTuple

from ...core.diagnostics import CompileError
from ...core.files.data_formats import FORMAT_BY_NAME, DataFormat, split_suffix
from ...core.limits import MAX_CSV_ROW_BYTES
from ...core.system.optional_packages import require_package
from ..samples.data_errors import ErrorCollector
from .arrow_blocks import open_ipc_blocks
from .arrow_table import ArrowTable, malformed_files_refused
from .block_table import BYTE_ORDER_MARK, is_regular
from .compressed_files import open_compressed, read_compressed
from .csv_rows import RowSyntax, complete_rows, count_lines, first_row_end, scan_rows
from .data_files import read_table
from .data_table import DataTable
from .parquet_file import ParquetFile
from .table_file import FIRST_ROW, FirstRow, TableOptions

CHUNK_BYTES = 1 << 22
"""Bytes of a chunk of text, which ends where a row ends."""
MAX_LINE_BYTES = 1 << 28
"""Bytes of a line of JSON; a longer one is left to its parser."""


class Chunk(NamedTuple):
    """Rows of a file that follow one another. Chunks are read in their order, each once."""

    first: FirstRow
    """The place of its first row, from which `table_chunks` can start again."""
    row_count: int
    read: Callable[[TableOptions, ErrorCollector], DataTable | None]
    """Reads its columns; None, and errors, if they are malformed."""


def has_chunks(name: str, format_name: str | None) -> bool:
    """Whether a file of this name, or of a format in place of its suffix, is read in chunks."""
    format = FORMAT_BY_NAME.get(format_name or split_suffix(name)[0])
    return format is not None and format.has_chunks


def table_chunks(
    file: IO[bytes],
    name: str,
    options: TableOptions,
    errors: ErrorCollector,
    max_rows: int,
    start: FirstRow = FIRST_ROW,
) -> Iterator[Chunk]:
    """The chunks of an open file, from one of them on; those of Arrow tables have at most `max_rows` rows.

    Raises CompileError for a malformed file, UsageError for a missing package.
    """
    suffix, compression = (options.format, None) if options.format else split_suffix(name)
    format = FORMAT_BY_NAME[suffix]
    if format.is_text:
        content = _TextFile(file, name, format, compression, options, errors)
        yield from content.chunks(start)
        return
    pa = require_package("pyarrow", format.extra, f"reading .{format.name} files")
    try:
        with malformed_files_refused(pa):
            groups = _parquet_groups(file, max_rows) if format.name == "parquet" else _ipc_groups(pa, file, name)
    except (ValueError, OSError, EOFError) as error:
        errors.add("bad-data-file", f"not a readable .{format.name} file: {error}")
        raise CompileError(errors.diagnostics) from error
    if groups is None:  # neither a file of record batches nor one of row groups
        yield Chunk(FIRST_ROW, 0, partial(_read_whole, file, name))
        return
    yield from groups.chunks(max_rows, start)


def text_pieces(file: IO[bytes], name: str, options: TableOptions, errors: ErrorCollector) -> Iterator[bytes]:
    """The header of an open table of text, empty for JSON, and its rows in pieces. Raises CompileError for a damaged
    file."""
    suffix, compression = split_suffix(name)
    yield from _TextFile(file, name, FORMAT_BY_NAME[suffix], compression, options, errors).pieces()


# -- Arrow -------------------------------------------------------------------------------------------------------------


class _RowGroups(NamedTuple):
    """The groups of rows of a file."""

    schema: Any
    row_counts: list[int]
    read: Callable[[int, str], Iterator[Any]]
    """Reads a column of a group, as `pa.Array`s."""

    def chunks(self, max_rows: int, start: FirstRow) -> Iterator[Chunk]:
        first_row = 0
        for number, count in enumerate(self.row_counts):
            columns = _GroupColumns(partial(self.read, number))
            for row in range(0, count, max_rows):
                if first_row + row >= start.row:
                    size = min(max_rows, count - row)
                    read = partial(self._table, columns, row, size, first_row + row)
                    yield Chunk(FirstRow(1, first_row + row), size, read)
            first_row += count
        if not first_row:
            yield Chunk(FIRST_ROW, 0, lambda options, errors: ArrowTable(self.schema, 0, lambda name: iter(())))

    def _table(
        self, columns: _GroupColumns, row: int, count: int, first_row: int, options: TableOptions, errors: Any
    ) -> ArrowTable:
        @cache  # an input may be kept beside the results, too, and a group is read only once
        def batches(name: str) -> list[Any]:
            return [*columns.rows(name, row, count)]

        return ArrowTable(self.schema, count, lambda name: iter(batches(name)), first_row=first_row)


class _GroupColumns:
    """The columns of a group of rows, each read once, from the first row to the last."""

    def __init__(self, read: Callable[[str], Iterator[Any]]) -> None:
        self._read = read
        self._columns: dict[str, _Column] = {}

    def rows(self, name: str, start: int, count: int) -> Iterator[Any]:
        """The values of a column in some rows, as `pa.Array`s."""
        column = self._columns.setdefault(name, _Column(self._read, name))
        for _ in column.take(start - column.row):
            pass  # rows before those that are read
        yield from column.take(count)


class _Column:
    """The values of a column that are still to be read."""

    def __init__(self, read: Callable[[str], Iterator[Any]], name: str) -> None:
        self.row = 0
        """The row of the next value."""
        self._arrays = read(name)
        self._rest: Any = None

    def take(self, count: int) -> Iterator[Any]:
        """The next values, as `pa.Array`s."""
        while count > 0:
            array = self._rest if self._rest is not None else next(self._arrays)
            self._rest = array[count:] if len(array) > count else None
            array = array[:count]
            self.row, count = self.row + len(array), count - len(array)
            yield array


def _parquet_groups(file: IO[bytes], max_rows: int) -> _RowGroups:
    parquet = ParquetFile(file)
    return _RowGroups(parquet.schema, parquet.row_counts, partial(parquet.read, max_rows=max_rows))


def _ipc_groups(pa: Any, file: IO[bytes], name: str) -> _RowGroups | None:
    blocks = open_ipc_blocks(pa, file, name) if is_regular(file) else None
    if blocks is None:
        return None
    return _RowGroups(blocks.schema, blocks.row_counts, lambda number, name: iter(blocks.read(number, name)))


def _read_whole(file: IO[bytes], name: str, options: TableOptions, errors: ErrorCollector) -> DataTable | None:
    return read_table(file, name, errors, options)


# -- text --------------------------------------------------------------------------------------------------------------


class _TextFile:
    """A table of text, perhaps compressed."""

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        format: DataFormat,
        compression: str | None,
        options: TableOptions,
        errors: ErrorCollector,
    ) -> None:
        self._content = open_compressed(file, compression) if compression else file
        self._name, self._format, self._compression, self._errors = name, format, compression, errors
        self._rows = _CsvRows(options.separator or format.separator) if format.separator else _JsonLines()

    def chunks(self, start: FirstRow) -> Iterator[Chunk]:
        header = self._rows.header(self._next(b"")[0])
        first, is_first, rest = start, not start.byte, b""
        if is_first:
            first = FirstRow(1 + self._rows.count_lines(header), 0, len(header))
        self._seek(first.byte)
        while True:
            rows, rest = self._next(rest)
            count = self._rows.count(rows)
            if count or is_first:
                place = first._replace(byte=0) if is_first else first
                yield Chunk(place, count, partial(self._read, header, rows, first))
            if not rows:
                return
            first = FirstRow(first.line + self._rows.count_lines(rows), first.row + count, first.byte + len(rows))
            is_first = False

    def pieces(self) -> Iterator[bytes]:
        """The header, and the rows of each chunk."""
        header = self._rows.header(self._next(b"")[0])
        yield header
        self._seek(len(header))
        rows, rest = self._next(b"")
        while rows:
            yield rows
            rows, rest = self._next(rest)

    def _next(self, rest: bytes) -> tuple[bytes, bytes]:
        """The rows of the next chunk, and what follows them; `rest` is what has been read of them."""
        data = bytearray(rest)
        while True:
            more = self._read_bytes(CHUNK_BYTES)
            data += more
            is_last = len(more) < CHUNK_BYTES
            stop = 0 if is_last else self._rows.end(bytes(data))
            if stop or is_last or len(data) > self._rows.max_bytes:
                stop = stop or len(data)
                return bytes(data[:stop]), bytes(data[stop:])

    def _read_bytes(self, size: int) -> bytes:
        """The next bytes, fewer only at the end of the file."""
        data = b""
        while len(data) < size and (more := self._read_some(size - len(data))):
            data = data + more if data else more
        return data

    def _read_some(self, size: int) -> bytes:
        if self._compression is None:
            return self._content.read(size)
        more = read_compressed(self._content, size, self._compression, self._errors)
        if self._errors:
            raise CompileError(self._errors.diagnostics)
        return more

    def _seek(self, offset: int) -> None:
        """Moves to an offset; what is compressed is decompressed up to there."""
        if self._compression is None:
            self._content.seek(offset)
            return
        self._content.seek(0)
        while offset > 0 and (data := self._read_bytes(min(offset, CHUNK_BYTES))):
            offset -= len(data)

    def _read(
        self, header: bytes, rows: bytes, first: FirstRow, options: TableOptions, errors: ErrorCollector
    ) -> DataTable | None:
        lines = self._rows.count_lines(header)
        place = FirstRow(first.line - lines, first.row, first.byte - len(header))
        names = options.names if first.row else ()
        options = options._replace(format=self._format.name, first=place, names=names, memory="load")
        return read_table(io.BytesIO(header + rows), self._name, errors, options)


class _CsvRows:
    """Where rows of separated values end."""

    max_bytes = MAX_CSV_ROW_BYTES

    def __init__(self, separator: str) -> None:
        self._syntax = RowSyntax(separator)

    def header(self, data: bytes) -> bytes:
        """The first row, with the byte order mark before it."""
        start = _text_start(data)
        return data[: start + first_row_end(self._syntax.plain(data[start:]).text)]

    def end(self, data: bytes) -> int:
        """The offset behind the last complete row; 0 if there is none."""
        start = _text_start(data)
        rows = len(complete_rows(self._syntax.plain(data[start:])))
        return start + rows if rows else 0

    def count(self, data: bytes) -> int:
        return scan_rows(self._syntax.plain(data).text, self._syntax.separator, 0).row_count

    def count_lines(self, data: bytes) -> int:
        return count_lines(data)


class _JsonLines:
    """Where lines of JSON end."""

    max_bytes = MAX_LINE_BYTES

    def header(self, data: bytes) -> bytes:
        return b""

    def end(self, data: bytes) -> int:
        """The offset behind the last complete line; 0 if there is none."""
        return data.rfind(b"\n") + 1

    def count(self, data: bytes) -> int:
        return sum(bool(line.strip()) for line in data.split(b"\n"))

    def count_lines(self, data: bytes) -> int:
        return data.count(b"\n")


def _text_start(data: bytes) -> int:
    """The offset of the text behind a byte order mark."""
    return len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
