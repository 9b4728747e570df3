"""Which windows of time series are predicted, and which of the steps after them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class ForecastChoice(NamedTuple):
    """The windows that are predicted, and the steps after their last rows that the model predicts."""

    first_step: int
    """1 for the row after the window's last one; 0 if the prediction is about the last row itself."""
    last_step: int
    is_by_step: bool = False
    """Whether each step has a row of its own beside its time."""
    is_of_last_window: bool = False
    """Whether only the window at the end of each series is predicted."""
    target_columns: frozenset[str] = frozenset()
    """The columns that the model predicts."""

    @property
    def steps(self) -> range:
        return range(self.first_step, self.last_step + 1)

    def tells_future(self, columns: Collection[str]) -> bool:
        """Whether rows without values of these columns, which are inputs, are the rows of the future."""
        return bool(self.target_columns) and self.target_columns.issubset(columns)
