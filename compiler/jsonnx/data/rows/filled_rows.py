"""Rows that fill the gaps of series: the inputs of the row before, missing values, and times of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..samples.stored_arrays import Samples, StoredArray, subset_of
from .series_times import SeriesTimes
from .time_spacing import later_time


@dataclass(frozen=True, eq=False)
class FilledOrder:
    """The positions of rows in series without gaps."""

    rows: np.ndarray
    """The row at each position; where a row was added, the one before it."""
    steps: np.ndarray
    """The number of steps from that row to the position: 0 for a row of the files."""
    follows_gap: np.ndarray
    """Whether the position before is not one step earlier: rows that no window with a target reaches are not added."""

    @staticmethod
    def of(times: SeriesTimes, max_rows: int) -> FilledOrder:
        """The positions that fill gaps; of long gaps, only the last `max_rows` are filled."""
        count = len(times.order)
        missing = np.zeros(count, np.int64)
        missing[times.pairs] = np.maximum(times.counts - 1, 0)
        added = np.minimum(missing, max_rows)
        rows = np.repeat(np.arange(count), 1 + added)
        number = np.arange(len(rows)) - np.repeat(np.cumsum(1 + added) - (1 + added), 1 + added)
        steps = np.where(number > 0, number + (missing - added)[rows], 0)
        return FilledOrder(rows, steps, (number == 1) & (missing > added)[rows])

    @property
    def is_filled(self) -> np.ndarray:
        return self.steps > 0


@dataclass(frozen=True, eq=False)
class InputFilling:
    """What the added rows of an input have besides the values of the row before."""

    is_blank: bool
    """Whether they have missing values, which an Imputation fills."""
    time_column: int | None
    """The number of the column that has the times of the rows; None if none has."""

    def fill(self, array: Samples, order: FilledOrder, times: SeriesTimes) -> Samples:
        """The values of an input in all positions."""
        values = subset_of(array, order.rows)
        if not self.is_blank and self.time_column is None:
            return values
        if isinstance(values, StoredArray):
            return StoredArray(_FilledSamples(values, self, order, times))
        return self.filled(values, np.arange(len(values)), order, times)

    def dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The element type that also holds missing values and times."""
        if dtype.kind not in "iub":
            return dtype
        return np.result_type(dtype, np.float64 if self.time_column is not None else np.float32)

    def filled(self, values: np.ndarray, rows: np.ndarray, order: FilledOrder, times: SeriesTimes) -> np.ndarray:
        """The values of some positions, with what the added ones among them have."""
        values = np.array(values, self.dtype(values.dtype), order="C")
        added = np.flatnonzero(order.steps[rows])
        before = values.reshape(len(values), -1)[added, self.time_column or 0]
        if self.is_blank:
            values[added] = "" if values.dtype.kind in "UO" else np.nan
        if self.time_column is not None and times.step is not None and added.size:
            columns = values.reshape(len(values), -1)
            for position, old in zip(added.tolist(), before.tolist(), strict=True):
                columns[position, self.time_column] = later_time(old, int(order.steps[rows[position]]), times.step)
        return values


class _FilledSamples:
    """An input in a file, with the rows that fill gaps."""

    def __init__(self, array: StoredArray, filling: InputFilling, order: FilledOrder, times: SeriesTimes) -> None:
        self._array, self._filling, self._order, self._times = array, filling, order, times
        self.shape, self.dtype = array.shape, filling.dtype(array.dtype)

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self._filling.filled(self._array.read(rows), rows, self._order, self._times)

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return self.read(np.arange(start, stop))

    def block_starts(self) -> None:
        return None
