"""Reads the columns of a data file in any of the formats, without trusting its contents."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import IO

from ...core.diagnostics import CompileError
from ...core.files.data_formats import FORMAT_BY_NAME, DataFormat, data_suffix_error, split_suffix
from ...core.files.file_kinds import SIGNATURE_BYTES, file_kind
from ...core.limits import MAX_DATA_FILE_BYTES
from ..samples.data_errors import ErrorCollector
from ..samples.unpacked_size import UNPACKED_HELP, UnpackedTooLarge
from .array_tables import DAMAGED_FILE_ERRORS
from .block_table import is_regular
from .compressed_files import compression_of, decompress
from .data_table import DataTable
from .table_file import DEFAULT_OPTIONS, TableFile, TableOptions


def read_table(
    file: IO[bytes], name: str, errors: ErrorCollector, options: TableOptions = DEFAULT_OPTIONS
) -> DataTable | None:
    """The columns of an open file; None, and errors, if it is malformed. Raises UsageError for a missing package."""
    suffix, compression = (options.format, None) if options.format else split_suffix(name)
    format = FORMAT_BY_NAME.get(suffix)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    can_stream = format is not None and format.can_stream and not compression
    is_streamed = can_stream and options.streams(size) and is_regular(file)
    if size > MAX_DATA_FILE_BYTES and not is_streamed:
        errors.add("too-large", f"the file has {size:,} bytes, the limit is {MAX_DATA_FILE_BYTES:,}")
        return None
    if format is None or (compression and not format.is_text):
        message, help = data_suffix_error(name) or (f"there is no format {suffix!r}", None)
        errors.add("bad-data-file", message, help=help)
        return None
    try:
        if compression is not None:
            unpacked = decompress(file, compression, errors)
            if unpacked is None:
                return None
            file = unpacked
        elif format.is_text and _has_foreign_content(file, format.name, errors):
            return None
        return _reader(format)(TableFile(file, name, format, options, is_streamed, errors))
    except CompileError as error:
        errors.add_all(error.diagnostics)
    except UnpackedTooLarge as error:
        errors.add("too-large", str(error), help=UNPACKED_HELP)
    except DAMAGED_FILE_ERRORS as error:
        if format.is_text:
            raise
        errors.add("bad-data-file", f"not a readable .{format.name} file: {error}")
    return None


def _reader(format: DataFormat) -> Callable[[TableFile], DataTable | None]:
    module, _, function = format.reader.partition(":")
    reader: Callable[[TableFile], DataTable | None] = getattr(import_module(f".{module}", __package__), function)
    return reader


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
