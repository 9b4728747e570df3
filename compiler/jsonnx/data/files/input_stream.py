"""Inputs in files of any size, in parts of bounded numbers of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ...core.diagnostics import UsageError
from ...core.files.files import error_reason
from ...sections.data_section import DataSection
from ..rows.forecasts import ForecastChoice
from ..rows.row_samples import Kept
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset
from ..tables.table_chunks import has_chunks, table_chunks
from ..tables.table_file import FIRST_ROW, FirstRow, TableOptions
from .data_locations import DataItem
from .dataset_files import inputs_from


class StreamPlace(NamedTuple):
    """A place between two rows of several files."""

    item: int = 0
    """The number of the file."""
    first: FirstRow = FIRST_ROW
    """The place of the chunk that has the next row."""
    skipped: int = 0
    """The rows of the chunk before the next row."""


STREAM_START = StreamPlace()


class InputPart(NamedTuple):
    """Rows that follow one another, of one file or of several."""

    samples: Dataset
    kept: Kept
    """The values of the columns to keep, by the name of the column."""
    end: StreamPlace


@dataclass(frozen=True)
class _Piece:
    """The rows of a chunk, or of a whole file."""

    samples: Dataset
    kept: Kept
    item: int
    first: FirstRow
    row: int
    """The rows of the chunk before these."""

    def __len__(self) -> int:
        return len(self.samples)

    def split(self, count: int) -> tuple[_Piece, _Piece]:
        """The first rows, and all others."""
        first = self._rows(slice(count))
        first = replace(first, samples=replace(first.samples, damaged=self.samples.damaged))  # tell what is left out
        return first, replace(self._rows(slice(count, None)), row=self.row + count)

    def _rows(self, rows: slice) -> _Piece:
        kept = {name: values[rows] for name, values in self.kept.items()}
        return replace(self, samples=self.samples.subset(rows), kept=kept)


@dataclass(frozen=True)
class InputStream:
    """The inputs in files and folders, without targets, and further columns as they are in the files.

    `format` replaces the suffixes of the files' names. `keep` names the further columns; None stands for all that have
    one value for each sample. With `is_whole`, all files are read together, as series and folders of images are.
    """

    items: Sequence[DataItem]
    data: DataSection | None
    data_spec: DataSpec
    format: str | None = None
    keep: Sequence[str] | None = ()
    is_whole: bool = False
    max_rows: int = 1 << 16
    """Rows of a part."""
    forecast: ForecastChoice | None = None
    """What is predicted of time series."""

    def parts(self, start: StreamPlace = STREAM_START) -> Iterator[InputPart]:
        """All rows from a place on, in their order, in parts of `max_rows` rows, the last one of fewer perhaps.

        Raises CompileError with the errors of the first rows that have errors, UsageError if a file cannot be read.
        """
        pending: list[_Piece] = []
        for piece in self._pieces(start):
            pending.append(piece)
            while sum(map(len, pending)) >= self.max_rows:
                part, pending = _split(pending, self.max_rows)
                yield _joined(part)
        if pending:
            yield _joined(pending)

    def has_chunks(self, item: DataItem) -> bool:
        """Whether a file is read in chunks, not as a whole."""
        return not self.is_whole and item.open_file is not None and has_chunks(item.name, self.format)

    def places(self) -> Iterator[tuple[StreamPlace, int]]:
        """The place of each part, and its number of rows, without reading the values. All files must have chunks."""
        place, row_count = STREAM_START, 0
        for number, first, count in self._chunk_sizes():
            used = 0
            while row_count + count - used >= self.max_rows:
                yield place, self.max_rows
                used += self.max_rows - row_count
                place, row_count = StreamPlace(number, first, used), 0
            row_count += count - used
        if row_count:
            yield place, row_count

    def _chunk_sizes(self) -> Iterator[tuple[int, FirstRow, int]]:
        for number, item in enumerate(self.items):
            for chunk_item in self._chunk_items(item, FIRST_ROW):
                if (chunk := chunk_item.chunk) is not None:
                    yield number, chunk.first, chunk.row_count

    def _pieces(self, start: StreamPlace) -> Iterator[_Piece]:
        for number, items in enumerate([self.items] if self.is_whole else [[item] for item in self.items]):
            if number < start.item:
                continue
            place = start if number == start.item else StreamPlace(number)
            chunked = self._chunk_items(items[0], place.first) if self.has_chunks(items[0]) else None
            for own in ([item] for item in chunked) if chunked is not None else [items]:
                samples, kept = inputs_from(own, self.data, self.data_spec, self.format, self.keep, self.forecast)
                first = own[0].chunk.first if own[0].chunk else FIRST_ROW
                piece = _Piece(samples, kept, number, first, 0)
                if number == start.item and first == start.first and start.skipped:
                    piece = piece.split(start.skipped)[1]
                if len(piece):
                    yield piece

    def _chunk_items(self, item: DataItem, first: FirstRow) -> Iterator[DataItem]:
        """The file once for each of its chunks."""
        errors = ErrorCollector(item.name, item.source)
        options = TableOptions.of(self.data, "", self.format)
        if item.open_file is None:
            raise ValueError("a folder has no chunks")
        try:
            with item.errors_located():
                file = item.open_file()
            with file:
                for chunk in table_chunks(file, item.name, options, errors, self.max_rows, first):
                    yield replace(item, chunk=chunk)
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {item.name!r}: {error_reason(error)}") from error


def _split(pieces: Sequence[_Piece], count: int) -> tuple[list[_Piece], list[_Piece]]:
    """The first rows, and all others; there are at least `count`."""
    before: list[_Piece] = []
    for number, piece in enumerate(pieces):
        if len(piece) >= count:
            first, rest = piece.split(count)
            # Rows that are none remain, so that the part ends at their place.
            return [*before, first], [rest, *pieces[number + 1 :]] if len(rest) else list(pieces[number + 1 :])
        before.append(piece)
        count -= len(piece)
    raise ValueError("fewer rows than a part has")


def _joined(pieces: Sequence[_Piece]) -> InputPart:
    last = pieces[-1]
    samples = Dataset.concatenate([piece.samples for piece in pieces])
    end = StreamPlace(last.item, last.first, last.row + len(last))
    return InputPart(samples, _joined_columns(pieces), end)


def _joined_columns(pieces: Sequence[_Piece]) -> Kept:
    """The columns that all files have. A row of a file with JSON Lines may lack a value, which is None."""
    columns: dict[int, dict[str, list[Any]]] = {}
    counts: dict[int, int] = {}
    for piece in pieces:
        own, count = columns.setdefault(piece.item, {}), counts.get(piece.item, 0)
        for name, values in piece.kept.items():
            column = own.setdefault(name, [])
            column += [None] * (count - len(column))
            column += values
        counts[piece.item] = count + len(piece)
        for column in own.values():
            column += [None] * (counts[piece.item] - len(column))
    files = [*columns.values()]
    names = [name for name in files[0] if all(name in file for file in files)]
    return {name: [value for file in files for value in file[name]] for name in names}
