"""Reads tables of Apache Arrow (.parquet, .arrow and .feather) with pyarrow, without trusting their contents.

pyarrow has no type hints, so its objects are of type Any: `pa.Array` and `pa.DataType` are named in comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import IO, Any

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.limits import MAX_DATA_FILE_BYTES
from ...core.system.optional_packages import require_package
from ..samples.data_errors import NO_LOCATION, DataLocation, ErrorCollector
from ..samples.stored_arrays import Samples
from ..samples.validate_arrays import MISSING_NUMBER_HELP, MISSING_TEXT_HELP, ElementIndex, LocateElement
from .data_table import ColumnRequest
from .text_tables import add_missing_values

DATE_HELP = 'an input of dates has "dtype": "string", and a DateFeatures layer after it'
BATCH_ROWS = 1 << 14
_ENCODED_MEDIA_FIELD = "bytes"
"""The field of a struct that holds an encoded image or recording, as in data sets of Hugging Face."""


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
    parquet = require_package("pyarrow.parquet", FORMAT_BY_NAME["parquet"].extra, "reading .parquet files").ParquetFile(
        file
    )

    def batches(name: str) -> Iterator[Any]:
        for batch in parquet.iter_batches(BATCH_ROWS, columns=[name]):  # a name also stands for names below it: "a.b"
            yield batch.column(batch.schema.get_field_index(name))

    return ArrowTable(parquet.schema_arrow, parquet.metadata.num_rows, batches)


def _open_ipc(pa: Any, file: IO[bytes]) -> ArrowTable:
    """A file or a stream in Arrow's IPC format, or a file of the first version of Feather."""
    start = file.read(6)
    file.seek(0)
    if start[:4] == b"FEA1":
        table = require_package("pyarrow.feather", "data", "reading .feather files").read_table(file)
        table.validate(full=True)
        return ArrowTable(table.schema, table.num_rows, lambda name: iter(table.column(name).chunks))
    reader = pa.ipc.open_file(file) if start == b"ARROW1" else pa.ipc.open_stream(file)
    record_batches: list[Any] = []
    size = 0
    for batch in _record_batches(reader):
        batch.validate(full=True)  # offsets in a file may point anywhere
        size += batch.nbytes
        _require_size(size)
        record_batches.append(batch)

    def batches(name: str) -> Iterator[Any]:
        return (batch.column(reader.schema.get_field_index(name)) for batch in record_batches)

    return ArrowTable(reader.schema, sum(batch.num_rows for batch in record_batches), batches)


def _record_batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def _require_size(size: int) -> None:
    """Raises CompileError if data are too large after decompression."""
    if size > MAX_DATA_FILE_BYTES:
        message = f"it unpacks to more than {MAX_DATA_FILE_BYTES:,} bytes, the limit"
        raise CompileError([Diagnostic("too-large", message)])


class ArrowTable:
    """Columns of Arrow arrays. `batches(name)` yields the values of a column in parts."""

    def __init__(self, schema: Any, row_count: int, batches: Callable[[str], Iterator[Any]]) -> None:
        self.names: Sequence[str] = schema.names
        self._schema, self._row_count, self._batches = schema, row_count, batches

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        if self.names.count(name) > 1:
            errors.add("duplicate-column", f"{self.names.count(name)} columns are called {name!r}")
            return None
        if not self._row_count:
            errors.add("empty-data", "the file has no rows")
            return None
        kind = Kind.of(self._schema.field(self.names.index(name)).type)
        if kind.is_time and wanted.type.dtype == "string":
            kind = Kind(is_text=True)  # as texts of ISO 8601
        if kind.error is not None:
            errors.add("bad-value", f"column {name!r} holds {kind.error}", help=kind.help)
            return None
        values = self._read(name, errors)
        if values is None:
            return None
        return to_array(values, kind, name, errors, self.element_locator([name]), wanted.accepts_missing)

    def _read(self, name: str, errors: ErrorCollector) -> Any | None:
        """The values of a column as one Arrow array; None, and an error, if they cannot be read."""
        import pyarrow as pa

        parts, size = [], 0
        try:
            for part in self._batches(name):
                size += part.nbytes
                _require_size(size)
                parts.append(plain(part))
            values = pa.concat_arrays(parts)
            values.validate(full=True)  # texts may be no UTF-8
            return values
        except CompileError as error:
            errors.diagnostics += error.diagnostics
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            errors.add("bad-data-file", f"the column {name!r} cannot be read: {first_line(error)}")
        return None

    def lists(self, name: str, errors: ErrorCollector) -> Sequence[Any] | None:
        """The value of a column in each row, as Python's lists, numbers and texts; None, and an error, if damaged."""
        column = self._read(name, errors)
        values: list[Any] | None = None if column is None else column.to_pylist()
        return values

    def values(self, name: str) -> Sequence[Any]:
        errors = ErrorCollector()
        column = self._read(name, errors)
        if column is None:
            raise CompileError(errors.diagnostics)
        kind = Kind.of(self._schema.field(self.names.index(name)).type)
        if kind.is_binary or _list_lengths(column) is not None:
            raise ValueError("has several values in a row")
        values: list[Any] = column.to_pylist()
        return [value if isinstance(value, (str, int, float, bool, type(None))) else str(value) for value in values]

    def name_location(self, name: str | None) -> DataLocation:
        return NO_LOCATION

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            is_stacked = len(names) > 1 and len(index) > 1
            name = names[index[1]] if is_stacked else names[0]
            rest = index[2:] if is_stacked else index[1:]
            element = f", element {list(rest)}" if rest else ""
            return DataLocation(f"row {index[0] + 1}, column {name!r}{element}")

        return locate


# -- values -----------------------------------------------------------------------------------------------------------


def to_array(
    values: Any, kind: Kind, name: str, errors: ErrorCollector, locate: LocateElement, accepts_missing: bool = False
) -> np.ndarray | None:
    """The values of a column, a `pa.Array`, as an array; None, and errors, if lists differ, or if some are missing.

    With `accepts_missing`, a missing number is NaN and a missing text None.
    """
    import pyarrow as pa

    missing = np.flatnonzero(_is_null(values, kind))
    if missing.size and not accepts_missing:
        help = MISSING_TEXT_HELP if kind.is_text else MISSING_NUMBER_HELP
        add_missing_values(name, "value", missing.tolist(), len(values), locate, errors, help)
        return None
    if kind.is_text or kind.is_binary:
        array = np.empty(len(values), object)
        values = values.cast(pa.string()) if pa.types.is_temporal(values.type) else values
        array[:] = values.to_pylist()
        return array
    shape: tuple[int, ...] = (len(values),)
    while (lengths := _list_lengths(values)) is not None:
        if lengths.size and (lengths != lengths[0]).any():
            _add_ragged(lengths, prod(shape[1:]), name, errors, locate)
            return None
        values = values.flatten()
        shape = (*shape, int(lengths[0]) if lengths.size else 0)
    return _to_numbers(values).reshape(shape)


def _add_ragged(
    lengths: np.ndarray, lists_per_row: int, name: str, errors: ErrorCollector, locate: LocateElement
) -> None:
    """Adds an error for the rows whose lists have another length than the first one."""
    rows = np.unique(np.flatnonzero(lengths != lengths[0]) // lists_per_row).tolist()

    def describe(row: int) -> tuple[str, DataLocation]:
        own = lengths[row * lists_per_row : (row + 1) * lists_per_row]
        return f"{name!r} has {own[own != lengths[0]][0]} elements, in row 1 it has {lengths[0]}", locate((row,))

    errors.add_each("data-shape", rows, describe)


# -- types -------------------------------------------------------------------------------------------------------------


class Kind:
    """The kind of values of an Arrow type; `error` says why a type is not read. Times are read as texts only."""

    def __init__(
        self,
        is_text: bool = False,
        is_binary: bool = False,
        is_time: bool = False,
        error: str | None = None,
        help: str = "",
    ) -> None:
        self.is_text, self.is_binary, self.is_time = is_text, is_binary, is_time
        self.error, self.help = error, help or None

    @staticmethod
    def of(type: Any) -> Kind:
        """The kind of a `pa.DataType`."""
        import pyarrow as pa

        types = pa.types
        type = getattr(type, "storage_type", type)
        if types.is_dictionary(type):
            return Kind.of(type.value_type)
        if types.is_struct(type) and _ENCODED_MEDIA_FIELD in [field.name for field in type]:
            return Kind.of(type.field(_ENCODED_MEDIA_FIELD).type)
        if types.is_string(type) or types.is_large_string(type) or types.is_string_view(type):
            return Kind(is_text=True)
        if types.is_binary(type) or types.is_large_binary(type) or types.is_binary_view(type):
            return Kind(is_binary=True)
        if types.is_temporal(type):
            return Kind(is_time=True, error=f"times ({type})", help=DATE_HELP)
        item = type
        while _is_list(item):
            item = item.value_type
        is_number = types.is_integer(item) or types.is_floating(item) or types.is_boolean(item)
        if is_number or types.is_null(type) or types.is_decimal(type):
            return Kind()
        help = "columns are numbers, booleans, texts, categories, or lists of numbers of equal length"
        return Kind(error=f"values of the type {type}, which is not read", help=help)


def _is_list(type: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type))


def plain(array: Any) -> Any:
    """An array without dictionaries and extension types; decimals as floats, structs as their encoded bytes."""
    import pyarrow as pa

    array = getattr(array, "storage", array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_struct(array.type) and _ENCODED_MEDIA_FIELD in [field.name for field in array.type]:
        array = array.field(_ENCODED_MEDIA_FIELD)
    return array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array


def _to_numbers(values: Any) -> np.ndarray:
    """The numbers or booleans of an Arrow array without lists, with NaN for each that is missing."""
    import pyarrow as pa

    is_object = values.null_count and (pa.types.is_boolean(values.type) or pa.types.is_null(values.type))
    return np.asarray((values.cast(pa.float64()) if is_object else values).to_numpy(zero_copy_only=False))


def _is_null(array: Any, kind: Kind) -> np.ndarray:
    """Whether a row has no value, or a list with a missing element."""
    nulls = np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)
    inner, repeats = array, list[np.ndarray]()
    while (lengths := _list_lengths(inner)) is not None:
        repeats.append(lengths)
        inner = inner.flatten()
        if inner.null_count:
            rows = np.arange(len(array))
            for repeat in repeats:
                rows = np.repeat(rows, repeat)
            nulls[rows[np.asarray(inner.is_null().to_numpy(zero_copy_only=False), bool)]] = True
    return nulls


def _list_lengths(array: Any) -> np.ndarray | None:
    """The lengths of the lists of an array, 0 for a missing one; None if its values are no lists."""
    if not _is_list(array.type):
        return None
    from pyarrow import compute

    lengths = compute.list_value_length(array).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
