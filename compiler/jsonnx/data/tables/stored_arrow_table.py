"""The columns of a table of Apache Arrow: numbers as arrays that stay in the file, all others in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import IO, Any

import numpy as np

from ...core.diagnostics import CompileError
from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.system.optional_packages import require_package
from ..samples.data_errors import DataLocation, ErrorCollector
from ..samples.mapped_samples import MappedSamples
from ..samples.stored_arrays import BlockSamples, ConcatenatedSamples, Samples, StoredArray
from ..samples.unpacked_size import UNPACKED_HELP, UnpackedTooLarge
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import LocateElement
from .arrow_blocks import ArrowBlocks, open_ipc_blocks, open_parquet_blocks
from .arrow_table import ArrowTable, malformed_files_refused, open_arrow_file
from .arrow_values import first_line, plain, to_array
from .data_table import ColumnRequest
from .table_file import TableFile


def read_arrow(source: TableFile) -> ArrowTable:
    """The columns of a file. Raises ValueError or CompileError for a malformed file."""
    if source.is_streamed:
        return open_stored_arrow_file(source.file, source.format.name, source.name, source.options.shuffle_buffer)
    return open_arrow_file(source.file, source.format.name)


def open_stored_arrow_file(file: IO[bytes], format: str, name: str, buffer_samples: int) -> ArrowTable:
    """The columns of a file as `open_arrow_file` returns them, numbers as arrays that stay in the file.

    Where numbers can only be read in blocks, `buffer_samples` are shuffled among one another.
    """
    pa = require_package("pyarrow", FORMAT_BY_NAME[format].extra, f"reading .{format} files")
    with malformed_files_refused(pa):
        blocks = open_parquet_blocks(file) if format == "parquet" else open_ipc_blocks(pa, file, name)
        return open_arrow_file(file, format) if blocks is None else StoredArrowTable(blocks, buffer_samples)


class StoredArrowTable(ArrowTable):
    """The columns of a file that is read in blocks.

    Uncompressed record batches are mapped, so that samples are read one by one. All other blocks are read as a whole.
    """

    def __init__(self, blocks: ArrowBlocks, buffer_samples: int) -> None:
        self._blocks, self._buffer_samples = blocks, buffer_samples
        self._numbers = [number for number, count in enumerate(blocks.row_counts) if count]
        super().__init__(blocks.schema, sum(blocks.row_counts), self._blocks_of)

    def _blocks_of(self, name: str) -> Iterator[Any]:
        return chain.from_iterable(self._blocks.read(number, name) for number in self._numbers)

    def load(self, names: Iterable[str], errors: ErrorCollector) -> bool:
        return super().load([name for name in names if name in self._counts and not self.has_numbers(name)], errors)

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> Samples | None:
        if self._counts[name] == 1 and self._numbers and self.has_numbers(name):
            try:
                return self._stored(name, wanted.accepts_missing, errors)
            except CompileError as error:
                errors.add_all(error.diagnostics)
                return None
        return super().column(name, wanted, errors)

    def _stored(self, name: str, accepts_missing: bool, errors: ErrorCollector) -> StoredArray:
        """The numbers of a column. Raises CompileError with the errors of the blocks that are read for it."""
        read = partial(self._read_block, name, accepts_missing, ErrorCollector(errors.file, errors.source))
        first = read(self._numbers[0], None)
        mapped = self._mapped_blocks(read, first)
        if mapped is not None:
            return StoredArray(ConcatenatedSamples(mapped))
        readers = [partial(read, number, first.shape[1:]) for number in self._numbers]
        starts = np.cumsum([0, *(self._blocks.row_counts[number] for number in self._numbers)]).tolist()
        dtype = first.dtype
        if accepts_missing and dtype.kind != "f":  # integers are floats in blocks with missing values
            dtype = np.dtype(np.float64)
        return StoredArray(BlockSamples(readers, starts, first.shape[1:], dtype, self._buffer_samples))

    def _mapped_blocks(self, read: Any, first: np.ndarray) -> list[StoredArray] | None:
        """The blocks of a column that lie in the mapped file; None if one does not."""
        mapping, blocks = self._blocks.mapping, list[StoredArray]()
        for number in self._numbers if mapping is not None else ():
            block = read(number, first.shape[1:])
            if mapping is None or not self._blocks.is_mapped(block.__array_interface__["data"][0]):
                return None
            blocks.append(StoredArray(MappedSamples(mapping, block)))
        return blocks or None

    def _read_block(
        self,
        name: str,
        accepts_missing: bool,
        parent: ErrorCollector,
        number: int,
        sample_shape: tuple[int, ...] | None,
    ) -> np.ndarray:
        """The array of a column in a block, its samples of a shape if one is given. Raises CompileError."""
        import pyarrow as pa

        errors = ErrorCollector(parent.file, parent.source)
        first_row = sum(self._blocks.row_counts[:number])
        locate = partial(_locate_from, self.element_locator([name]), first_row)
        array = None
        try:
            chunks = [plain(chunk) for chunk in self._blocks.read(number, name)]
            values = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
            values.validate(full=True)  # offsets in a file may point anywhere
            array = to_array(values, name, errors, locate, accepts_missing)
        except UnpackedTooLarge as error:
            errors.add("too-large", str(error), help=UNPACKED_HELP)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            errors.add("bad-data-file", f"the column {name!r} cannot be read: {first_line(error)}")
        if array is not None and sample_shape is not None and array.shape[1:] != sample_shape:
            message = f"{name!r} has shape {list(array.shape[1:])}, in row 1 it has {list(sample_shape)}"
            errors.add("data-shape", message, locate((0,)))
        if errors or array is None:
            raise CompileError(errors.diagnostics)
        return array


def _locate_from(locate: LocateElement, first_row: int, index: ElementIndex) -> DataLocation:
    return locate((index[0] + first_row, *index[1:]))
