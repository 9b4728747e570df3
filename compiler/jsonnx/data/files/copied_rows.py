"""Copies rows of data files to new files of the same format, as they are in the files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.data_formats import FORMAT_BY_NAME, split_suffix
from ...core.files.files import error_reason
from ...core.system.optional_packages import require_package
from ..samples.data_errors import ErrorCollector
from ..tables.array_tables import ArrayTable
from ..tables.arrow_table import ipc_batches
from ..tables.csv_rows import LocatedRows, RowSyntax
from ..tables.data_files import read_table
from ..tables.table_chunks import text_pieces
from ..tables.table_file import TableOptions
from .data_locations import DataItem

BATCH_ROWS = 1 << 16
"""Rows of an Arrow table that are copied together."""
Json = Any


class CopiedRows(NamedTuple):
    """Rows of a file, to be copied."""

    item: DataItem
    rows: np.ndarray
    """The indices of the rows, in ascending order."""
    row_count: int
    """All rows of the file."""
    options: TableOptions

    @property
    def suffix(self) -> str:
        """The suffix of a copy."""
        return f".{_FORMATS[self.format_name].suffix}"

    @property
    def format_name(self) -> str:
        return split_suffix(self.item.name)[0]

    def write(self, path: Path) -> None:
        """Writes the rows to a new file. Raises UsageError, CompileError."""
        errors = ErrorCollector(self.item.name, self.item.source)
        if self.item.open_file is None:
            raise ValueError("a folder has no rows of a table")
        try:
            with self.item.errors_located():
                file = self.item.open_file()
            with file:
                _FORMATS[self.format_name].write(self, file, path, errors)
        except OSError as error:
            message = f"cannot copy rows of {self.item.name!r}: {error_reason(error)}"
            raise UsageError("unwritable-file", message) from error
        if errors:
            raise CompileError(errors.diagnostics)

    def between(self, first: int, count: int) -> np.ndarray:
        """The indices of the rows among `count` rows from one on."""
        start, stop = np.searchsorted(self.rows, (first, first + count))
        return self.rows[start:stop] - first


# -- text --------------------------------------------------------------------------------------------------------------


def _write_text(copied: CopiedRows, file: IO[bytes], path: Path, errors: ErrorCollector) -> None:
    """Copies the header and the rows, byte for byte."""
    pieces = text_pieces(file, copied.item.name, copied.options, errors)
    header, first = next(pieces), 0
    line_end = next((end for end in (b"\r\n", b"\r") if header.endswith(end)), b"\n")
    with open(path, "wb") as copy:
        copy.write(header)
        for piece in pieces:
            lines = _lines(copied, piece)
            copy.writelines(lines[row] + line_end for row in copied.between(first, len(lines)).tolist())
            first += len(lines)


def _lines(copied: CopiedRows, piece: bytes) -> list[bytes]:
    """The rows of a part of a table of text, without their line ends."""
    separator = copied.options.separator or FORMAT_BY_NAME[copied.format_name].separator
    if separator is None:
        return [line.rstrip(b"\r") for line in piece.split(b"\n") if line.strip()]
    return [piece[start:stop] for start, stop in LocatedRows(piece, 1, RowSyntax(separator)).spans]


def _write_json(copied: CopiedRows, file: IO[bytes], path: Path, errors: ErrorCollector) -> None:
    """Copies rows of a list of objects, or of an object of lists."""
    pieces = b"".join(text_pieces(file, copied.item.name, copied.options, errors))
    document, rows = json.loads(pieces.decode("utf-8-sig")), copied.rows.tolist()
    copy: Json
    if isinstance(document, list):
        copy = [document[row] for row in rows]
    else:
        copy = {name: [values[row] for row in rows] for name, values in document.items()}
    path.write_text(json.dumps(copy, ensure_ascii=False) + "\n", encoding="utf-8")


# -- arrays ------------------------------------------------------------------------------------------------------------


def _write_npy(copied: CopiedRows, file: IO[bytes], path: Path, errors: ErrorCollector) -> None:
    for _, array in _sample_arrays(copied, file, errors):
        np.save(path, array, allow_pickle=False)


def _write_npz(copied: CopiedRows, file: IO[bytes], path: Path, errors: ErrorCollector) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in _sample_arrays(copied, file, errors):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _sample_arrays(copied: CopiedRows, file: IO[bytes], errors: ErrorCollector) -> Iterator[tuple[str, np.ndarray]]:
    """The samples of each array; arrays that have none of the samples are copied as a whole."""
    table = read_table(file, copied.item.name, errors, copied.options._replace(memory="load"))
    if not isinstance(table, ArrayTable):  # has errors
        return
    for name in table.names:
        array = table.array(name)
        if (lengths_name := table.lengths_name(name)) is not None:
            yield name, array[_steps(table.array(lengths_name), copied.rows)]
        else:
            yield name, array[copied.rows] if array.ndim and len(array) == copied.row_count else array


def _steps(lengths: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The indices of the steps of some sequences."""
    ends = np.cumsum(lengths)
    steps = [np.arange(ends[row] - lengths[row], ends[row]) for row in rows.tolist()]
    return np.concatenate([np.zeros(0, np.int64), *steps])


# -- Arrow -------------------------------------------------------------------------------------------------------------


def _write_parquet(copied: CopiedRows, file: IO[bytes], path: Path, errors: ErrorCollector) -> None:
    """Copies rows, with the schema of the file."""
    parquet = require_package("pyarrow.parquet", FORMAT_BY_NAME["parquet"].extra, "writing .parquet files")
    source = parquet.ParquetFile(file)
    with parquet.ParquetWriter(path, source.schema_arrow) as writer:
        for batch in _selected(copied, source.iter_batches(BATCH_ROWS)):
            writer.write_batch(batch)


def _write_ipc(copied: CopiedRows, file: IO[bytes], path: Path, errors: ErrorCollector) -> None:
    """Copies rows, with the schema of the file."""
    pa = require_package("pyarrow", FORMAT_BY_NAME["arrow"].extra, "writing .arrow files")
    schema, batches = ipc_batches(pa, file)
    table = pa.Table.from_batches(batches, schema).unify_dictionaries()  # of a stream, each batch may have its own
    with pa.ipc.new_file(str(path), schema) as writer:
        for batch in _selected(copied, table.to_batches(BATCH_ROWS)):
            writer.write_batch(batch)


def _selected(copied: CopiedRows, batches: Any) -> Iterator[Any]:
    """The rows in batches of a table."""
    first = 0
    for batch in batches:
        rows = copied.between(first, batch.num_rows)
        if len(rows):
            yield batch.take(rows)
        first += batch.num_rows


class _CopyFormat(NamedTuple):
    suffix: str
    write: Callable[[CopiedRows, IO[bytes], Path, ErrorCollector], None]


_FORMATS = {
    "csv": _CopyFormat("csv", _write_text),
    "tsv": _CopyFormat("tsv", _write_text),
    "jsonl": _CopyFormat("jsonl", _write_text),
    "json": _CopyFormat("json", _write_json),
    "npz": _CopyFormat("npz", _write_npz),
    "npy": _CopyFormat("npy", _write_npy),
    "safetensors": _CopyFormat("npz", _write_npz),
    "parquet": _CopyFormat("parquet", _write_parquet),
    "arrow": _CopyFormat("arrow", _write_ipc),
    "feather": _CopyFormat("feather", _write_ipc),
}
"""The format of the copy, and what writes it, by the format of a file."""
