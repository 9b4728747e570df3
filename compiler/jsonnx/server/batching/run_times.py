"""How long runs take, learned from the latest ones."""

from __future__ import annotations

DECAY = 0.98
"""The weight of a run relative to the next one: the latest 50 runs determine the result."""
MIN_ROW_VARIANCE = 0.25
"""Below it, the sizes of the latest runs do not tell costs by row from costs by run."""
CALL_S = 0.0001
"""What a run costs apart from the session: its batch is put together, handed to a thread, and split."""
MAX_CALL_SHARE = 0.1
"""Larger batches hardly raise the throughput once the costs by run are this share of the costs by row."""
SHORT_RUN_S = 0.01
"""Larger batches are harmless as long as a run takes less than this."""
MAX_OUTLIER_FACTOR = 4.0
"""A run that takes longer than this many times the expected duration counts as such a run: other programs have stopped
it. If runs have become slower for good, the expectation doubles in a dozen of them."""
MIN_RUNS = 5
"""Runs before which there are no outliers."""
FIRST_MAX_ROWS = 8
"""Maximum size of a batch before the duration of a run is known."""


class RunTimes:
    """Fits `seconds = row_s * rows + run_s` to the latest runs by least squares."""

    def __init__(self) -> None:
        self._weight = self._rows = self._squares = self._seconds = self._products = 0.0
        self._largest = FIRST_MAX_ROWS // 2

    def add(self, rows: int, seconds: float) -> None:
        """Records a run. One without rows does not count."""
        if not rows:
            return
        if self._weight > MIN_RUNS:
            seconds = min(seconds, MAX_OUTLIER_FACTOR * (self.expected_s(rows) or seconds))
        self._weight = self._weight * DECAY + 1.0
        self._rows = self._rows * DECAY + rows
        self._squares = self._squares * DECAY + rows * rows
        self._seconds = self._seconds * DECAY + seconds
        self._products = self._products * DECAY + rows * seconds
        self._largest = max(self._largest, rows)

    def _costs(self) -> tuple[float, float] | None:
        """The costs by row and by run; None if all runs have about the same size."""
        if not self._weight:
            return None
        mean_rows, mean_seconds = self._rows / self._weight, self._seconds / self._weight
        variance = self._squares / self._weight - mean_rows**2
        if variance < MIN_ROW_VARIANCE:
            return None
        row_s = max(0.0, (self._products / self._weight - mean_rows * mean_seconds) / variance)
        return row_s, max(0.0, mean_seconds - row_s * mean_rows)

    def expected_s(self, rows: int) -> float | None:
        """The duration of a run with this number of rows; None if nothing is known."""
        costs = self._costs()
        if costs is not None:
            return costs[0] * rows + costs[1]
        if not self._weight:
            return None
        mean_rows, mean_seconds = self._rows / self._weight, self._seconds / self._weight
        return mean_seconds * max(1.0, rows / mean_rows)

    def efficient_rows(self) -> int:
        """The size from which on larger batches cost more latency than they gain throughput, at most twice the largest
        run so far."""
        limit, costs = 2 * self._largest, self._costs()
        if costs is None or not costs[0]:
            return limit
        row_s, run_s = costs
        rows = max((run_s + CALL_S) / (row_s * MAX_CALL_SHARE), (SHORT_RUN_S - run_s) / row_s)
        return max(1, min(limit, round(rows)))
