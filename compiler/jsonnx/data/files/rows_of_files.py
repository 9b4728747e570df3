"""Finds rows in the files that they were read from, for errors that concern the rows of all files together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.spec_source import SpecSource
from ..rows.row_columns import value_text
from ..samples.data_errors import DataLocation, ErrorCollector
from ..tables.data_table import DataTable
from .data_locations import DataItem

MAX_COMPARED_COLUMNS = 64
"""Columns of a file that are tried as names of series."""
MAX_COMPARED_ROWS = 100_000
"""Rows of a file by which columns are tried as names of series."""


@dataclass(frozen=True)
class RowsOfFiles:
    """The rows of all files, one file below the other."""

    items: Sequence[DataItem]
    sizes: Sequence[int]
    """The number of rows of each file."""
    source: SpecSource
    open_table: Callable[[DataItem, ErrorCollector, ExitStack], DataTable | None]

    def locate(self, rows: Sequence[int], column: str) -> list[tuple[str, DataLocation]]:
        """The file of each row, and the location of a column in it."""
        ends = np.cumsum(self.sizes)
        numbers = np.searchsorted(ends, rows, "right").tolist()
        places: dict[int, DataLocation] = {}
        for number in dict.fromkeys(numbers):
            start = int(ends[number]) - self.sizes[number]
            own = [row for row, other in zip(rows, numbers, strict=True) if other == number]
            places |= {row: DataLocation(f"row {row - start + 1}, column {column!r}") for row in own}
            with self._table(self.items[number]) as table:
                if table is not None:
                    locate = table.element_locator([column])
                    places |= {row: locate((row - start,)) for row in own}
        return [(self.items[number].name, places[row]) for row, number in zip(rows, numbers, strict=True)]

    def separating_columns(self, column: str) -> list[str]:
        """The columns by which rows with equal values of a column are told apart; none if several files have rows."""
        if len(self.items) > 1 or self.sizes[0] > MAX_COMPARED_ROWS:
            return []
        with self._table(self.items[0]) as table:
            if table is None:
                return []
            times = [value_text(value) for value in table.values(column)]
            others = [name for name in table.names if name != column][:MAX_COMPARED_COLUMNS]
            return [name for name in others if _separates([*map(value_text, table.values(name))], times)]
        return []

    @contextmanager
    def _table(self, item: DataItem) -> Iterator[DataTable | None]:
        """The table of a file, opened once more; None if it cannot be read again."""
        with suppress(OSError, ValueError, CompileError, UsageError), ExitStack() as stack:
            yield self.open_table(item, ErrorCollector(item.name, self.source), stack)


def _separates(names: Sequence[str], times: Sequence[str]) -> bool:
    """Whether a column has few values, and no time twice with the same value."""
    return len({*names}) <= len(names) // 2 and len({*zip(names, times, strict=True)}) == len(times)
