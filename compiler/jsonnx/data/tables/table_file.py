"""An open data file, and how it is read as a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import IO, NamedTuple

from ...core.files.data_formats import DataFormat
from ...sections.data_section import DataSection
from ..samples.data_errors import ErrorCollector
from ..samples.mapped_samples import FileMapping
from ..samples.memory_limit import streams
from ..samples.stored_arrays import DEFAULT_BUFFER_SAMPLES


class FirstRow(NamedTuple):
    """The place of the first row of a part of a file."""

    line: int
    """The number of its line, from 1."""
    row: int
    """Its index, from 0."""
    byte: int = 0
    """The offset of its first byte."""


FIRST_ROW = FirstRow(1, 0)


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
    first: FirstRow = FIRST_ROW
    """The place of what is read in its file, if it is a chunk of the file."""
    names: tuple[str, ...] = ()
    """Columns of a chunk of JSON Lines that rows may lack, as rows before them have them."""

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


class TableFile(NamedTuple):
    """An open file for the reader of its format."""

    file: IO[bytes]
    name: str
    format: DataFormat
    options: TableOptions
    is_streamed: bool
    """Whether samples stay in the file."""
    errors: ErrorCollector

    def mapping(self) -> Callable[[], FileMapping] | None:
        """A function that maps the file into memory when it is first called; None if samples are loaded."""
        return cache(lambda: FileMapping(self.file, self.name)) if self.is_streamed else None
