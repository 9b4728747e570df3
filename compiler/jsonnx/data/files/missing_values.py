"""Rows of tables with missing values, in the columns that need one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ...sections.columns import AssignedColumns
from ..rows.incomplete_rows import IncompleteRows
from ..samples.data_spec import DataSpec
from ..samples.left_out import LackedValue, MissingCounts
from ..samples.stored_arrays import Samples, StoredArray
from ..samples.valid_values import is_missing


@dataclass(frozen=True, eq=False)
class MissingValues:
    """The rows without a value, by the input or the target that needs one."""

    masks: Mapping[str, np.ndarray]
    """Whether a row lacks a value, for each input, target or weight that some rows lack."""
    reasons: Mapping[LackedValue, np.ndarray]
    """Whether a row lacks a value, by what it lacks."""
    row_count: int
    """The number of all rows."""

    @staticmethod
    def of(arrays: Mapping[str, Samples], columns: Mapping[str, AssignedColumns], data_spec: DataSpec) -> MissingValues:
        """The missing values of columns, except of inputs that may have some.

        Raises CompileError for values of a streamed file that cannot be read.
        """
        needed = {key: array for key, array in arrays.items() if array.ndim and key not in data_spec.missing_inputs}
        if len({len(array) for array in needed.values()}) != 1:
            return MissingValues({}, {}, 0)  # the different numbers of samples are reported later
        masks: dict[str, np.ndarray] = {}
        reasons: dict[LackedValue, np.ndarray] = {}
        for key, array in needed.items():
            lacking = _lacking(array, key, len(columns[key].names), data_spec)
            if lacking.any():
                masks[key] = np.asarray(lacking.any(1))
                for name, mask in zip(columns[key].names, lacking.T, strict=False):
                    if mask.any():
                        reasons[LackedValue(_kind(array, key, data_spec), name)] = mask
        return MissingValues(masks, reasons, len(next(iter(needed.values()))))

    @property
    def counts(self) -> MissingCounts:
        complete = self.complete_rows()
        count = 0 if complete is None else self.row_count - len(complete)
        return MissingCounts(
            count, self.row_count, {str(value): int(mask.sum()) for value, mask in self.reasons.items()}
        )

    def complete_rows(self) -> np.ndarray | None:
        """The rows that have all values; None if these are all rows."""
        return np.flatnonzero(~np.logical_or.reduce([*self.masks.values()])) if self.masks else None

    @property
    def is_everywhere(self) -> bool:
        """Whether all rows lack a value of one input or target."""
        return any(mask.all() for mask in self.masks.values())

    def by_role(self, data_spec: DataSpec, future_inputs: Collection[str]) -> IncompleteRows:
        """The rows without an input of the window or of the horizon, and those without a target or a weight."""
        inputs, future, targets = (np.zeros(self.row_count, bool) for _ in range(3))
        for key, mask in self.masks.items():
            rows = future if key in future_inputs else inputs if key in data_spec.inputs else targets
            rows |= mask
        return IncompleteRows(inputs, future, targets, self.reasons)


def _lacking(array: Samples, key: str, column_count: int, data_spec: DataSpec) -> np.ndarray:
    """Whether a row lacks a value, with a column for each column of the file."""
    has_columns = array.shape[1:] == (column_count,)
    lacking = np.zeros((len(array), column_count if has_columns else 1), bool)
    for start, chunk in array.chunks() if isinstance(array, StoredArray) else [(0, array)]:
        missing = _missing_elements(chunk, data_spec.takes_empty_text(key)).reshape(len(chunk), -1)
        lacking[start : start + len(chunk)] = missing if has_columns else missing.any(1, keepdims=True)
    return lacking


def _missing_elements(array: np.ndarray, takes_empty_text: bool) -> np.ndarray:
    """Whether an element is missing; where the empty text is a value, null alone is."""
    missing = is_missing(array)
    return missing & (array != "") if takes_empty_text and array.dtype.kind in "UO" else missing


def _kind(array: Samples, key: str, data_spec: DataSpec) -> str:
    """What a row without a value of an input, a target or a weight lacks."""
    if key in data_spec.weighted_outputs:
        return "a weight"
    if key in data_spec.class_counts:
        return "a class"
    if key in data_spec.date_inputs:
        return "a date"
    return "a number" if array.dtype.kind in "fiub" else "a text"
