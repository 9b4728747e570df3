"""Tables of Apache Arrow whose numbers stay in their file: Parquet by row groups, Arrow and Feather by record batches.

pyarrow has no type hints, so its objects are of type Any.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.system.optional_packages import require_package
from ..samples.mapped_samples import FileMapping
from ..samples.unpacked_size import require_unpacked_size
from .parquet_file import ParquetFile


class ArrowBlocks(NamedTuple):
    """A file whose columns are read block by block."""

    schema: Any
    """The `pa.Schema`."""
    row_counts: list[int]
    """The rows of each block."""
    read: Callable[[int, str], Iterable[Any]]
    """Reads a column of a block, as `pa.Array`s. Raises UnpackedTooLarge."""
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
    parquet = ParquetFile(os.fdopen(os.dup(file.fileno()), "rb"))

    def read(block: int, name: str) -> Iterator[Any]:
        require_unpacked_size(parquet.min_bytes(name, [block]))
        return parquet.read(block, name)

    return ArrowBlocks(parquet.schema, parquet.row_counts, read)


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

    def read(block: int, name: str) -> list[Any]:
        mapping.require_unchanged()
        batch = reader.get_batch(block)
        return [batch.column(batch.schema.get_field_index(name))]

    return ArrowBlocks(reader.schema, counts, read, mapping)
