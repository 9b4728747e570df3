"""A Parquet file whose texts are read as dictionaries, and the least memory that its columns take.

A dictionary has each text once, however many rows refer to it, so a file of kilobytes may unpack to gigabytes. pyarrow
has no type hints, so its objects are of type Any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

from ...core.files.data_formats import FORMAT_BY_NAME
from ...core.system.optional_packages import require_package

TEXT_TYPE = "BYTE_ARRAY"
"""The physical type of texts and binary values."""
DICTIONARY_ENCODINGS = frozenset(("PLAIN_DICTIONARY", "RLE_DICTIONARY", "PLAIN", "RLE"))
"""The encodings that pyarrow reads as a dictionary."""
TYPE_BYTES = {"BOOLEAN": 1, "INT32": 1, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8, TEXT_TYPE: 8}
"""The least bytes of a value in memory, by its physical type: an integer may have 8 bits, a text is a reference."""
MAX_DICTIONARY_BATCHES = 16
"""Batches of a group of rows if there are more than MIN_DICTIONARY_ROWS: each has a copy of the dictionary."""
MIN_DICTIONARY_ROWS = 1 << 20
MIN_TEXT_ROWS, MAX_TEXT_ROWS = 1 << 8, 1 << 14
"""Rows of a batch with texts that are not read as a dictionary."""
MAX_TEXT_BATCH_BYTES = 1 << 30
"""Bytes of such a batch, of more than MIN_TEXT_ROWS, if each text is as long as all bytes of its column."""


class ParquetFile:
    """The columns of a file by name, in the groups of rows that it consists of."""

    def __init__(self, file: IO[bytes]) -> None:
        """Raises an exception of pyarrow for a malformed file."""
        parquet = require_package("pyarrow.parquet", FORMAT_BY_NAME["parquet"].extra, "reading .parquet files")
        reader = parquet.ParquetFile(file)
        self._metadata, self.schema = reader.metadata, reader.schema_arrow
        self._groups = [self._metadata.row_group(number) for number in range(self._metadata.num_row_groups)]
        self.row_counts = [group.num_rows for group in self._groups]
        self._leaves: dict[str, list[int]] = {}
        """The columns of the file that each column of the table consists of."""
        names, leaves = {*self.schema.names}, self._metadata.schema
        for index in range(len(leaves)):
            self._leaves.setdefault(_root(leaves.column(index).path, names), []).append(index)
        texts = [index for index in range(len(leaves)) if leaves.column(index).physical_type == TEXT_TYPE]
        self._with_dictionary = {*filter(self._has_dictionary, texts)}
        paths = [leaves.column(index).path for index in self._with_dictionary]
        self._reader = parquet.ParquetFile(file, metadata=self._metadata, read_dictionary=paths) if paths else reader

    def _has_dictionary(self, leaf: int) -> bool:
        return all(DICTIONARY_ENCODINGS.issuperset(group.column(leaf).encodings) for group in self._groups)

    def min_bytes(self, name: str, numbers: Iterable[int] | None = None) -> int:
        """The least bytes that a column takes in memory, in all groups of rows or in those with these numbers."""
        groups = self._groups if numbers is None else [self._groups[number] for number in numbers]
        chunks = (group.column(leaf) for leaf in self._leaves.get(name, ()) for group in groups)
        return sum(chunk.num_values * TYPE_BYTES.get(chunk.physical_type, 1) for chunk in chunks)

    def read(self, number: int, name: str, max_rows: int | None = None) -> Iterator[Any]:
        """The values of a column in a group of rows as `pa.Array`s of at most so many rows, perhaps with
        dictionaries."""
        row_count = self._batch_rows(number, name)
        if max_rows is not None:
            row_count = min(row_count, max_rows)
        # a name also stands for names below it: "a.b"
        for batch in self._reader.iter_batches(row_count, row_groups=[number], columns=[name]):
            yield batch.column(batch.schema.get_field_index(name))

    def _batch_rows(self, number: int, name: str) -> int:
        """The rows that are read together, which limit the memory for texts."""
        leaves, row_count = self._leaves.get(name, []), max(1, self.row_counts[number])
        columns = [self._groups[number].column(leaf) for leaf in leaves if leaf not in self._with_dictionary]
        text_bytes = max((c.total_uncompressed_size for c in columns if c.physical_type == TEXT_TYPE), default=0)
        if text_bytes:
            return max(MIN_TEXT_ROWS, min(MAX_TEXT_ROWS, MAX_TEXT_BATCH_BYTES // text_bytes))
        if self._with_dictionary.isdisjoint(leaves):
            return row_count
        return max(MIN_DICTIONARY_ROWS, -(-row_count // MAX_DICTIONARY_BATCHES))


def _root(path: str, names: set[str]) -> str:
    """The column of the table that a column of the file belongs to; both names may contain points."""
    while path not in names and "." in path:
        path = path.rpartition(".")[0]
    return path
