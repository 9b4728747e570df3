"""Reads the columns of a data file in any of the formats, without trusting its contents."""

from __future__ import annotations

import io
from functools import cache
from typing import IO, NamedTuple

from ...core.diagnostics import CompileError
from ...core.files.data_formats import ARROW_FORMATS, TEXT_FORMATS, DataFormat, data_format, data_suffix_error
from ...core.files.file_kinds import SIGNATURE_BYTES, file_kind
from ...core.limits import MAX_DATA_FILE_BYTES
from ...sections.data_section import DataSection
from ..samples.data_errors import ErrorCollector
from ..samples.mapped_samples import FileMapping
from ..samples.memory_limit import streams
from ..samples.stored_arrays import DEFAULT_BUFFER_SAMPLES
from .array_tables import DAMAGED_FILE_ERRORS, open_npy, open_npz, open_safetensors
from .block_table import BlockFile, is_regular
from .compressed_files import compression_of, decompress
from .csv_cells import CsvDialect
from .csv_table import CsvTable
from .data_table import DataTable
from .json_tables import read_json_lines, read_json_table
from .stored_json_lines import open_stored_json_lines


class TableOptions(NamedTuple):
    """How a file is read as a table."""

    format: str | None = None
    """A format in place of the suffix of the file's name."""
    npy_column: str = ""
    """The name of the array of an .npy file."""
    separator: str | None = None
    """The separator of the columns of a table of text; None: that of the format."""
    decimal: str = "."
    """The decimal mark of the numbers of a table of text."""
    thousands: str | None = None
    """The mark between groups of digits of a table of text; None for none."""
    memory: str = "load"
    """Whether samples are loaded: "load", "stream" or "auto", as in a spec."""
    shuffle_buffer: int = DEFAULT_BUFFER_SAMPLES

    @staticmethod
    def of(data: DataSection | None, npy_column: str, format: str | None = None) -> TableOptions:
        """The options that a spec sets."""
        if data is None:
            return TableOptions(format, npy_column, memory="auto")
        return TableOptions(
            format,
            npy_column,
            data.separator,
            data.decimal,
            data.thousands,
            data.memory,
            data.shuffle_buffer,
        )

    def streams(self, size: int) -> bool:
        """Whether data of this size, in bytes, stay in their file."""
        return streams(self.memory, size)


DEFAULT_OPTIONS = TableOptions()
SEPARATORS = {"csv": ",", "tsv": "\t"}
"""The separators of the columns of tables of separated values, by format."""
STREAMED_FORMATS = ("npy", "npz", *ARROW_FORMATS, "csv", "tsv", "jsonl")
"""The formats whose samples can stay in the file."""


def read_table(
    file: IO[bytes], name: str, errors: ErrorCollector, options: TableOptions = DEFAULT_OPTIONS
) -> DataTable | None:
    """The columns of an open file; None, and errors, if it is malformed. Raises UsageError for a missing package."""
    format = DataFormat(options.format) if options.format else data_format(name)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    is_streamed = options.streams(size) and format.name in STREAMED_FORMATS and not format.compression
    is_streamed = is_streamed and is_regular(file)
    if size > MAX_DATA_FILE_BYTES and not is_streamed:
        errors.add("too-large", f"the file has {size:,} bytes, the limit is {MAX_DATA_FILE_BYTES:,}")
        return None
    if format.name in TEXT_FORMATS:
        return _open_text(file, name, format, options, is_streamed, errors)
    diagnostic = data_suffix_error(name) if not options.format else None
    if diagnostic is not None:
        errors.add("bad-data-file", diagnostic[0], help=diagnostic[1])
        return None
    try:
        return _open_binary(file, name, format, options, is_streamed)
    except CompileError as error:
        errors.diagnostics += error.diagnostics
    except DAMAGED_FILE_ERRORS as error:
        errors.add("bad-data-file", f"not a readable .{format.name} file: {error}")
    return None


def _open_binary(file: IO[bytes], name: str, format: DataFormat, options: TableOptions, is_streamed: bool) -> DataTable:
    """The columns of a file of arrays, or of a table that pyarrow reads."""
    if format.name in ARROW_FORMATS:
        if is_streamed:
            from .stored_arrow_table import open_stored_arrow_file

            return open_stored_arrow_file(file, format.name, name, options.shuffle_buffer)
        from .arrow_table import open_arrow_file

        return open_arrow_file(file, format.name)
    map_file = cache(lambda: FileMapping(file, name)) if is_streamed else None
    if format.name == "npy":
        return open_npy(file, options.npy_column, map_file)
    return open_npz(file, name, map_file) if format.name == "npz" else open_safetensors(file)


def _open_text(
    file: IO[bytes], name: str, format: DataFormat, options: TableOptions, is_streamed: bool, errors: ErrorCollector
) -> DataTable | None:
    """The columns of a table of text; None, and errors, if it is malformed."""
    if format.compression is not None:
        data = decompress(file, format.compression, errors)
        if data is None:
            return None
        file = io.BytesIO(data)
    elif _has_foreign_content(file, format.name, errors):
        return None
    if format.name in SEPARATORS:
        separator = options.separator or SEPARATORS[format.name]
        dialect = CsvDialect(separator, options.decimal, format.name, options.thousands)
        try:
            return CsvTable(BlockFile(file, name), dialect, options.shuffle_buffer, is_streamed, errors)
        except CompileError as error:
            errors.add_all(error.diagnostics)
            return None
    if is_streamed:
        return open_stored_json_lines(file, name, options.shuffle_buffer, errors)
    return (read_json_lines if format.name == "jsonl" else read_json_table)(file.read(), errors)


def _has_foreign_content(file: IO[bytes], format: str, errors: ErrorCollector) -> bool:
    """Whether a file begins as one of another format does; adds an error for it."""
    start = file.read(SIGNATURE_BYTES)
    file.seek(0)
    if compression := compression_of(start[:8]):
        message = f"the file is compressed ({compression})"
        errors.add("bad-data-file", message, help=f"let its name end in .{format}.{compression}")
        return True
    kind = file_kind(start)
    if kind is not None and b"\0" in start:  # no text
        message = f"this is {kind.name}, not a .{format} file"
        errors.add("bad-data-file", message, help="let its name end in the suffix of its format")
        return True
    return False
