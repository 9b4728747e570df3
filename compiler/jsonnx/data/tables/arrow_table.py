"""Reads tables of Apache Arrow (.parquet, .arrow and .feather) with pyarrow, without trusting their contents.

pyarrow has no type hints, so its objects are of type Any: `pa.Array` and `pa.DataType` are named in comments.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import IO, Any

import numpy as np

from ...core.diagnostics import CompileError
from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.system.optional_packages import require_package
from ..media.media_names import takes_audio, takes_images
from ..samples.data_errors import NO_LOCATION, DataLocation, ErrorCollector
from ..samples.stored_arrays import Samples
from ..samples.unpacked_size import UNPACKED_HELP, UnpackedTooLarge, require_unpacked_size
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import BINARY_HELP, LocateElement
from .arrow_values import (
    Kind,
    check_missing,
    first_line,
    is_list,
    loaded_bytes,
    plain,
    to_array,
    to_objects,
)
from .data_table import ColumnRequest
from .parquet_file import ParquetFile


def open_arrow_file(file: IO[bytes], format: str) -> ArrowTable:
    """The columns of a file. Raises ValueError or OSError for a malformed file, UsageError without pyarrow."""
    pa = require_package("pyarrow", FORMAT_BY_NAME[format].extra, f"reading .{format} files")
    with malformed_files_refused(pa):
        return _open_parquet(file) if format == "parquet" else _open_ipc(pa, file)


@contextmanager
def malformed_files_refused(pa: Any) -> Iterator[None]:
    """Raises ValueError for the errors that pyarrow raises for malformed files."""
    try:
        yield
    except (pa.ArrowException, KeyError, TypeError, MemoryError) as error:  # MemoryError: a forged size
        raise ValueError(first_line(error)) from error


def _open_parquet(file: IO[bytes]) -> ArrowTable:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    parquet = ParquetFile(file)

    def batches(name: str) -> Iterator[Any]:
        return chain.from_iterable(parquet.read(number, name) for number in range(len(parquet.row_counts)))

    return ArrowTable(parquet.schema, sum(parquet.row_counts), batches, parquet.min_bytes, size)


def _open_ipc(pa: Any, file: IO[bytes]) -> ArrowTable:
    file_size = file.seek(0, io.SEEK_END)
    schema, read_batches = ipc_batches(pa, file)
    record_batches: list[Any] = []
    size = 0
    for batch in read_batches:
        batch.validate(full=True)  # offsets in a file may point anywhere
        size += batch.nbytes
        require_unpacked_size(size, file_size)
        record_batches.append(batch)

    def batches(name: str) -> Iterator[Any]:
        return (batch.column(schema.get_field_index(name)) for batch in record_batches)

    return ArrowTable(schema, sum(batch.num_rows for batch in record_batches), batches, file_size=file_size)


def ipc_batches(pa: Any, file: IO[bytes]) -> tuple[Any, Iterator[Any]]:
    """The schema and the record batches of a file or a stream in Arrow's IPC format, or of a file of the first version
    of Feather."""
    file.seek(0)
    start = file.read(6)
    file.seek(0)
    if start[:4] == b"FEA1":
        table = require_package("pyarrow.feather", "data", "reading .feather files").read_table(file)
        return table.schema, iter(table.to_batches())
    reader = pa.ipc.open_file(file) if start == b"ARROW1" else pa.ipc.open_stream(file)
    if hasattr(reader, "num_record_batches"):
        return reader.schema, (reader.get_batch(index) for index in range(reader.num_record_batches))
    return reader.schema, iter(reader)


class ArrowTable:
    """Columns of Arrow arrays. `batches(name)` yields the values of a column in parts, `min_bytes(name)` is the least
    memory that they take."""

    def __init__(
        self,
        schema: Any,
        row_count: int,
        batches: Callable[[str], Iterator[Any]],
        min_bytes: Callable[[str], int] = lambda name: 0,
        file_size: int = 0,
        first_row: int = 0,
    ) -> None:
        """`first_row` is the number of rows of the file before these."""
        self.names: Sequence[str] = schema.names
        self._schema, self._row_count, self._batches = schema, row_count, batches
        self._min_bytes, self._file_size, self._first_row = min_bytes, file_size, first_row
        self._counts = Counter(self.names)
        self._positions = {name: position for position, name in enumerate(self.names)}
        self._sizes: dict[str, int] = {}
        """The bytes of the columns that have been read."""

    def load(self, names: Iterable[str], errors: ErrorCollector) -> bool:
        """Whether columns fit in memory, as far as is known before they are read; adds an error if not."""
        try:
            self._require_size(sum(map(self._min_bytes, {*names} & self._positions.keys())))
        except UnpackedTooLarge as error:
            errors.add("too-large", str(error), help=UNPACKED_HELP)
            return False
        return True

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        if self._counts[name] > 1:
            errors.add("duplicate-column", f"{self._counts[name]} columns are called {name!r}")
            return None
        if not self._row_count:
            errors.add("empty-data", "the file has no rows")
            return None
        kind = self._kind(name)
        if kind.is_time and wanted.type.dtype == "string":
            kind = Kind(is_text=True)  # as texts of ISO 8601
        if kind.is_binary and not (takes_images(wanted.type) or takes_audio(wanted.type)):
            kind = Kind(error="binary values", help=BINARY_HELP)
        if kind.error is not None:
            errors.add("bad-value", f"column {name!r} holds {kind.error}", help=kind.help)
            return None
        locate = self.element_locator([name])
        if kind.is_text or kind.is_binary:
            objects = self._objects(name, errors)
            is_complete = (
                objects is None or wanted.accepts_missing or check_missing(objects, kind, name, errors, locate)
            )
            return objects if is_complete else None
        values = self._read(name, errors)
        return None if values is None else to_array(values, name, errors, locate, wanted.accepts_missing)

    def has_numbers(self, name: str) -> bool:
        """Whether a column has numbers, booleans or lists of these."""
        return self._kind(name).is_number

    def _kind(self, name: str) -> Kind:
        return Kind.of(self._schema.field(self._positions[name]).type)

    def _require_size(self, size: int, name: str | None = None) -> None:
        """Raises UnpackedTooLarge if a column of a size does not fit in memory beside those that have been read."""
        require_unpacked_size(size + sum(own for key, own in self._sizes.items() if key != name), self._file_size)

    def _parts(self, name: str) -> Iterator[Any]:
        """The parts of a column, whose size is counted as they are read."""
        self._require_size(self._min_bytes(name), name)
        size = 0
        for part in self._batches(name):
            part.validate(full=True)  # texts may be no UTF-8
            part = plain(part)
            size += loaded_bytes(part)
            self._require_size(size, name)
            yield part
        self._sizes[name] = size

    @contextmanager
    def _errors_added(self, name: str, errors: ErrorCollector) -> Iterator[None]:
        """Adds the error of a column that cannot be read."""
        import pyarrow as pa

        try:
            yield
        except UnpackedTooLarge as error:
            errors.add("too-large", str(error), help=UNPACKED_HELP)
        except CompileError as error:
            errors.diagnostics += error.diagnostics
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            errors.add("bad-data-file", f"the column {name!r} cannot be read: {first_line(error)}")

    def _read(self, name: str, errors: ErrorCollector) -> Any | None:
        """The values of a column as one Arrow array; None, and an error, if they cannot be read."""
        import pyarrow as pa

        with self._errors_added(name, errors):
            return pa.concat_arrays([*self._parts(name)])
        return None

    def _objects(self, name: str, errors: ErrorCollector) -> np.ndarray | None:
        """The texts or binary values of a column as objects, None for a missing one; None, and an error, if they cannot
        be read."""
        with self._errors_added(name, errors):
            return np.concatenate([np.empty(0, object), *map(to_objects, self._parts(name))])
        return None

    def lists(self, name: str, errors: ErrorCollector) -> Sequence[Any] | None:
        """The value of a column in each row, as Python's lists, numbers and texts; None, and an error, if damaged."""
        values = [*self.iterate_values(name, errors)]
        return None if errors else values

    def iterate_values(self, name: str, errors: ErrorCollector) -> Iterator[Any]:
        """The value of a column in each row, as Python's lists, numbers and texts. A damaged value adds an error and is
        the end."""
        with self._errors_added(name, errors):
            for part in self._parts(name):
                yield from part.to_pylist()

    def values(self, name: str) -> Sequence[Any]:
        kind, errors = self._kind(name), ErrorCollector()
        if kind.is_binary or is_list(self._schema.field(self._positions[name]).type):
            raise ValueError("has several values in a row")
        objects = self._objects(name, errors) if kind.is_text else None
        values = objects.tolist() if objects is not None else self.lists(name, errors)
        if values is None or errors:
            raise CompileError(errors.diagnostics)
        return [value if isinstance(value, (str, int, float, bool, type(None))) else str(value) for value in values]

    def name_location(self, name: str | None) -> DataLocation:
        return NO_LOCATION

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            is_stacked = len(names) > 1 and len(index) > 1
            name = names[index[1]] if is_stacked else names[0]
            rest = index[2:] if is_stacked else index[1:]
            element = f", element {list(rest)}" if rest else ""
            return DataLocation(f"row {self._first_row + index[0] + 1}, column {name!r}{element}")

        return locate
