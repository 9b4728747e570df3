"""The rows of time series with missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..samples.left_out import LackedValue, MissingCounts


class IncompleteRows(NamedTuple):
    """The rows of files with missing values, which stand where a complete row would stand."""

    inputs: np.ndarray
    """Whether a row lacks a value of an input that has the rows of a window."""
    future_inputs: np.ndarray
    """Whether a row lacks a value of an input that has the rows of the horizon."""
    targets: np.ndarray
    """Whether a row lacks a value of a target, or a weight."""
    reasons: Mapping[LackedValue, np.ndarray]
    """Whether a row lacks a value, by what it lacks."""

    @staticmethod
    def concatenate(parts: Sequence[IncompleteRows | None], sizes: Sequence[int]) -> IncompleteRows | None:
        """The rows of all files, of which `sizes` are the numbers of rows; None if all rows are complete."""
        if not any(parts):
            return None
        complete = [np.zeros(size, bool) for size in sizes]
        whole = [part or IncompleteRows(zeros, zeros, zeros, {}) for part, zeros in zip(parts, complete, strict=True)]
        lacked = dict.fromkeys(value for part in whole for value in part.reasons)
        reasons = {
            value: np.concatenate([part.reasons.get(value, zeros) for part, zeros in zip(whole, complete, strict=True)])
            for value in lacked
        }
        return IncompleteRows(
            np.concatenate([part.inputs for part in whole]),
            np.concatenate([part.future_inputs for part in whole]),
            np.concatenate([part.targets for part in whole]),
            reasons,
        )

    def counts(self, rows: np.ndarray) -> MissingCounts:
        """The incomplete ones of some rows."""
        incomplete = (self.inputs | self.future_inputs | self.targets)[rows]
        reasons = {str(value): count for value, mask in self.reasons.items() if (count := int(mask[rows].sum()))}
        return MissingCounts(int(incomplete.sum()), len(rows), reasons)
