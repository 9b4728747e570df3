"""A file of separated values: its header, its blocks of rows, and the errors of rows that cannot be parsed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ...core.diagnostics import CompileError
from ...core.limits import MAX_CSV_COLUMNS, MAX_CSV_FIELD_CHARACTERS, MAX_CSV_ROW_BYTES
from ..samples.data_errors import MAX_LISTED_LOCATIONS, DataLocation, ErrorCollector
from .block_table import BlockFile, TextBlock
from .csv_cells import CsvDialect
from .csv_parser import MalformedRows, parse_rows
from .csv_rows import LocatedRows, PlainRows, RowSyntax, complete_rows, count_lines, first_row_end, scan_rows
from .table_file import FIRST_ROW, FirstRow
from .text_tables import decode_utf8

SEPARATOR_HELP = 'a separator other than the comma is set in `training.data`, as "separator": ";"'
COMMENT_HELP = "comment lines are not read, remove them"
EMPTY_HELP = "write a line with the names of the columns, and below it a row for each sample"
QUOTE_HELP = "close the quotation mark that opens a field"
MAX_FIELD_BYTES = 4 * MAX_CSV_FIELD_CHARACTERS
"""Bytes of a field in UTF-8."""
_EXCEL_SEPARATOR_LINE = re.compile(r'"?sep=.?,?"?', re.IGNORECASE)


class CsvFile:
    """Reads the header of a file, and parses its blocks. All methods raise CompileError for malformed rows."""

    def __init__(
        self, source: BlockFile, dialect: CsvDialect, errors: ErrorCollector, first: FirstRow = FIRST_ROW
    ) -> None:
        """`errors` has the names of the file and of the spec that errors belong to.

        If `source` has the header and a chunk of a file, `first` is the place of the chunk, less the header's size.
        """
        self._source, self._dialect, self._first = source, dialect, first
        self._file_name, self._spec_source = errors.file, errors.source
        self._syntax = RowSyntax(dialect.separator)
        self.header = LocatedRows(b"", 1, self._syntax)
        self._ragged_blocks: set[int] = set()
        self.blocks = [block for block in self._scan_blocks() if block.row_count]
        self.names = self._read_names()

    def parse(self, number: int, numbers: Sequence[int], texts: Sequence[int]) -> dict[int, np.ndarray | None]:
        """Columns of a block, by their positions: None in place of numbers if there are other values."""
        try:
            row_count, columns = parse_rows(self._rows(number), self._dialect, len(self.names), numbers, texts)
        except MalformedRows as error:
            raise self._malformed(error) from error
        block = self.blocks[number]
        if row_count != block.row_count or block.start in self._ragged_blocks:
            raise self._malformed(MalformedRows())
        return columns

    def locate_rows(self, number: int) -> LocatedRows:
        """The rows of a block with their places."""
        block = self.blocks[number]
        return LocatedRows(self._source.read(block.start, block.stop), block.first_line, self._syntax)

    def _rows(self, number: int) -> bytes:
        """The rows of a block as the parser takes them."""
        block = self.blocks[number]
        data = self._source.read(block.start, block.stop)
        return self._syntax.with_line_feeds(data, keeps_empty_lines=len(self.names) > 1)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _scan_blocks(self) -> Iterator[TextBlock]:
        """The blocks below the header, which is read, too."""
        start, line, row, column_count = self._source.text_start(), self._first.line, 0, 0
        while start < self._source.size:
            data, plain = self._read_block(start, line)
            if not column_count:
                end = first_row_end(plain)
                self.header = LocatedRows(data[:end], line, self._syntax)
                column_count = self.header.count_values(0) if self.header.spans else 0
                start, line, data, plain = start + end, line + count_lines(data[:end]), data[end:], plain[end:]
            scan = scan_rows(plain, self._syntax.separator, column_count)
            if scan.longest_row > MAX_CSV_FIELD_CHARACTERS:
                self._require_short_fields(LocatedRows(data, line, self._syntax))
            if scan.has_surplus_separators:
                self._ragged_blocks.add(start)
            yield TextBlock(start, start + len(data), line, row, scan.row_count)
            start, line, row = start + len(data), line + count_lines(data), row + scan.row_count

    def _read_block(self, start: int, line: int) -> tuple[bytes, bytes]:
        """The bytes and the plain form of the rows of a block that begins at an offset."""
        wanted, size = self._source.block_bytes, self._source.size
        while True:
            data = self._source.read(start, min(start + wanted, size))
            is_last = start + len(data) == size
            rows = self._syntax.plain(data)
            # the limit of a field ends the search for its closing mark, which would else take memory for many rows
            if rows.unclosed is not None and len(data) - rows.unclosed > MAX_FIELD_BYTES:
                raise self._unclosed(data, rows, line)
            plain = rows.text if is_last else complete_rows(rows)
            if plain and (rows.unclosed is None or not is_last):
                data = data[: len(plain)]
                errors = ErrorCollector(self._file_name, self._spec_source)
                if not data.isascii() and decode_utf8(data, errors, line, self._first.byte + start) is None:
                    raise CompileError(errors.diagnostics)
                return data, plain
            if rows.unclosed is not None and (is_last or wanted > MAX_CSV_ROW_BYTES):
                raise self._unclosed(data, rows, line)
            if is_last or wanted > MAX_CSV_ROW_BYTES:
                reason = f"the row that begins here has more than {MAX_CSV_ROW_BYTES:,} bytes"
                first_line = LocatedRows(data, line, self._syntax).line(0)
                raise self._unreadable(reason, first_line, "give each row fewer columns")
            wanted *= 2

    def _unclosed(self, data: bytes, rows: PlainRows, first_line: int) -> CompileError:
        """The error for a quotation mark that is not closed within the limit of a field, or up to the file's end."""
        line = first_line + count_lines(data, rows.unclosed_row_start())
        if len(data[rows.unclosed :].decode(errors="replace")) > MAX_CSV_FIELD_CHARACTERS:
            return self._long_field(line)
        return self._unreadable("the file ends within quotation marks", line, QUOTE_HELP)

    def _require_short_fields(self, rows: LocatedRows) -> None:
        for row in range(len(rows.spans)):
            if rows.has_long_field(row, MAX_CSV_FIELD_CHARACTERS):
                raise self._long_field(rows.line(row))

    # -- errors --------------------------------------------------------------------------------------------------------

    def _error(self, code: str, message: str, location: DataLocation, help: str | None = None) -> CompileError:
        errors = ErrorCollector(self._file_name, self._spec_source)
        errors.add(code, message, location, help=help)
        return CompileError(errors.diagnostics)

    def _unreadable(self, reason: str, line: int, help: str | None = None) -> CompileError:
        message = f"not a readable .{self._dialect.format} file: {reason}"
        return self._error("bad-data-file", message, DataLocation("", line), help)

    def _long_field(self, line: int) -> CompileError:
        reason = f"a field of the row that begins here has more than {MAX_CSV_FIELD_CHARACTERS:,} characters"
        return self._unreadable(reason, line, f"{QUOTE_HELP}, or shorten the text")

    def _misplaced_quote(self, line: int) -> CompileError:
        return self._unreadable(f"'{self._dialect.separator}' expected after '\"'", line)

    def _malformed(self, error: MalformedRows) -> CompileError:
        """The error for all rows of the file that cannot be divided into the columns of the header."""
        ragged: list[tuple[str, DataLocation]] = []
        count, expected = 0, len(self.names)
        for number in range(len(self.blocks)):
            located = self.locate_rows(number)
            misplaced = self._syntax.misplaced_quote(located.data)
            if misplaced is not None:
                return self._misplaced_quote(located.line(located.row_at(misplaced)))
            for row in range(len(located.spans)):
                if (value_count := located.count_values(row)) == expected:
                    continue
                count += 1
                if len(ragged) <= MAX_LISTED_LOCATIONS:
                    comment = f": {COMMENT_HELP}" if located.text(row).lstrip().startswith("#") else ""
                    message = f"{value_count} values in a row, {expected} in the header{comment}"
                    line = located.line(row)
                    ragged.append((message, DataLocation(f"row at line {line}", line)))
        if not ragged:
            return self._unreadable(str(error), 1)
        separator = self._dialect.separator
        help = f"give each row as many values as the header; one that contains {separator!r} stands in quotation marks"
        errors = ErrorCollector(self._file_name, self._spec_source)
        errors.add_each("ragged-row", ragged, lambda item: item, count=count, help=help)
        return CompileError(errors.diagnostics)

    def _read_names(self) -> list[str]:
        """The names of the columns, which the header must have in one line."""
        if not self.blocks:
            message = "the file has no rows below its header" if self.header.spans else "the file is empty"
            raise self._error("empty-data", message, DataLocation("", 1), EMPTY_HELP)
        if (count := self.header.count_values(0)) > MAX_CSV_COLUMNS:
            message = f"the file has {count:,} columns, the limit is {MAX_CSV_COLUMNS:,}"
            raise self._error("too-large", message, DataLocation("", 1))
        first_line, separator = self.header.text(0).strip("\r\n"), self._dialect.separator
        text = io.StringIO(first_line, newline="")
        try:
            (row,) = csv.reader(text, delimiter=separator, skipinitialspace=separator != " ", strict=True)
        except csv.Error as error:
            raise self._misplaced_quote(self.header.line(0)) from error
        names, location = [name.strip() for name in row], DataLocation("", self.header.line(0), 1)
        if _EXCEL_SEPARATOR_LINE.fullmatch(first_line.strip()):
            message = f"the first line, {first_line.strip()!r}, is a setting of Excel, not a header"
            raise self._error("bad-data-file", message, location, f"remove the line; {SEPARATOR_HELP}")
        if names[0].startswith("#") and self.locate_rows(0).count_values(0) != len(names):
            message = f"the first line is no header, but a comment: {names[0][:80]!r}"
            raise self._error("bad-data-file", message, location, COMMENT_HELP)
        other = next((mark for mark in ",;\t|" if len(names) == 1 and mark in names[0]), None)
        if other:
            message = f"the header is one column, {names[0][:80]!r}, without the separator {separator!r}"
            help = f'if {other!r} separates the columns, set "separator": {json.dumps(other)} in `training.data`'
            raise self._error("bad-data-file", message, DataLocation("", 1), help)
        return names
