"""Tables of Apache Arrow whose numbers stay in their file: Parquet by row groups, Arrow and Feather by record batches.

pyarrow has no type hints, so its objects are of type Any.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any, NamedTuple

from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.system.optional_packages import require_package
from ..samples.mapped_samples import FileMapping


class ArrowBlocks(NamedTuple):
    """A file whose columns are read block by block."""

    schema: Any
    """The `pa.Schema`."""
    row_counts: list[int]
    """The rows of each block."""
    read: Callable[[int, str], Any]
    """Reads a column of a block, as a `pa.Array` or a `pa.ChunkedArray`."""
    mapping: FileMapping | None = None
    """The mapping that the values of uncompressed record batches lie in."""

    def is_mapped(self, address: int) -> bool:
        """Whether values at an address of memory lie in the mapped file."""
        if self.mapping is None:
            return False
        buffer = require_package("pyarrow", FORMAT_BY_NAME["arrow"].extra, "reading Arrow files").py_buffer(
            self.mapping.buffer
        )
        return bool(buffer.address <= address < buffer.address + buffer.size)


def open_parquet_blocks(file: IO[bytes]) -> ArrowBlocks:
    """The row groups of a Parquet file, which stays open."""
    parquet = require_package("pyarrow.parquet", FORMAT_BY_NAME["parquet"].extra, "reading .parquet files")
    reader = parquet.ParquetFile(os.fdopen(os.dup(file.fileno()), "rb"))
    counts = [reader.metadata.row_group(index).num_rows for index in range(reader.num_row_groups)]

    def read(block: int, name: str) -> Any:
        table = reader.read_row_group(block, columns=[name])  # a name also stands for names below it: "a.b"
        return table.column(table.schema.get_field_index(name))

    return ArrowBlocks(reader.schema_arrow, counts, read)


def open_ipc_blocks(pa: Any, file: IO[bytes], name: str) -> ArrowBlocks | None:
    """The record batches of a mapped file in Arrow's IPC format; None for a stream, and for the first version of
    Feather."""
    start = file.read(6)
    file.seek(0)
    if start != b"ARROW1":
        return None
    mapping = FileMapping(file, name)
    reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapping.buffer)))
    counts = [reader.get_batch(index).num_rows for index in range(reader.num_record_batches)]

    def read(block: int, name: str) -> Any:
        mapping.require_unchanged()
        batch = reader.get_batch(block)
        return batch.column(batch.schema.get_field_index(name))

    return ArrowBlocks(reader.schema, counts, read, mapping)
