"""Whether, and how, the rows of different requests may share a run."""

from __future__ import annotations

from typing import NamedTuple


class Batching(NamedTuple):
    """Whether the rows of different requests may share a run."""

    is_allowed: bool
    reason: str
    """Why, as a clause."""
    min_rows: int = 1
    """Runs have at least this number of rows: for fewer, a kernel of onnxruntime adds numbers in another order."""
    row_multiple: int = 1
    """The number of rows of a run is a multiple of this one: kernels round the last elements of others differently."""

    def padded_rows(self, rows: int) -> int:
        """The rows of a run for this number of requested rows."""
        if not self.is_allowed or not rows:
            return rows
        return -(-max(rows, self.min_rows) // self.row_multiple) * self.row_multiple
