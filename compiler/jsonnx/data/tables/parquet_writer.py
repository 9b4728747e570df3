"""Writes columns as Parquet files, and joins files of equal columns into one. pyarrow has no type hints."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.system.optional_packages import require_package


def parquet_bytes(columns: Iterable[tuple[str, Sequence[Any] | np.ndarray]]) -> bytes:
    """A Parquet file with one group of rows. Values of several types in a column become texts.

    Raises UsageError without pyarrow.
    """
    pa = _pyarrow()
    names, values = zip(*columns, strict=True)
    table = pa.table([_array(pa, own) for own in values], names=names)
    file = io.BytesIO()
    _parquet().write_table(table, file, row_group_size=max(1, table.num_rows))
    return file.getvalue()


def join_parquet(paths: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of a file with the rows of all files, a group of rows for each file.

    Integers become floats, and all other values texts, where files differ in the type of a column.
    """
    pa, parquet = _pyarrow(), _parquet()
    sink = _Sink()
    schema = common_schema(paths)
    with parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        for path in paths:
            table = _cast(pa, parquet.read_table(path, partitioning=None), schema)
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            yield from sink.take()
    yield from sink.take()


def common_schema(paths: Sequence[Path]) -> Any:
    """The `pa.Schema` that the rows of all files fit."""
    pa, parquet = _pyarrow(), _parquet()
    schemas = [parquet.read_schema(path) for path in paths]
    fields = []
    for index, name in enumerate(schemas[0].names):
        types = list(dict.fromkeys(schema.field(index).type for schema in schemas))
        fields.append(pa.field(name, _common_type(pa, types)))
    return pa.schema(fields)


def recast_parquet(path: Path, schema: Any) -> bytes | None:
    """A file with the types of a schema; None if it has them."""
    pa, parquet = _pyarrow(), _parquet()
    if parquet.read_schema(path).remove_metadata() == schema:
        return None
    table, file = _cast(pa, parquet.read_table(path, partitioning=None), schema), io.BytesIO()
    parquet.write_table(table, file, row_group_size=max(1, table.num_rows))
    return file.getvalue()


class _Sink:
    """A file that is written from its start to its end, whose bytes are taken meanwhile."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """The bytes stay."""

    def take(self) -> list[bytes]:
        """The bytes that were written since the last call."""
        parts, self._parts = self._parts, []
        return parts


def _array(pa: Any, values: Sequence[Any] | np.ndarray) -> Any:
    if isinstance(values, np.ndarray) and values.dtype.kind not in "fiub":  # bfloat16, and texts
        values = values.tolist() if values.dtype.kind in "OUS" else values.astype(np.float32)
    if isinstance(values, np.ndarray):
        return pa.array(np.ascontiguousarray(values))
    if any(isinstance(value, list) for value in values):  # also of a part in which all are empty
        return pa.array(values, pa.list_(pa.string()))
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _common_type(pa: Any, types: Sequence[Any]) -> Any:
    """The type whose values have all types."""
    known = [type for type in types if not pa.types.is_null(type)]
    if len(known) <= 1:
        return known[0] if known else types[0]
    numbers = all(pa.types.is_integer(type) or pa.types.is_floating(type) for type in known)
    return pa.float64() if numbers else pa.string()


def _cast(pa: Any, table: Any, schema: Any) -> Any:
    return table.replace_schema_metadata(None).cast(schema)


def _pyarrow() -> Any:
    return require_package("pyarrow", FORMAT_BY_NAME["parquet"].extra, "writing .parquet files")


def _parquet() -> Any:
    return require_package("pyarrow.parquet", FORMAT_BY_NAME["parquet"].extra, "writing .parquet files")
