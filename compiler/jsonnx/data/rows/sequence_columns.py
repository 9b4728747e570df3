"""Reads sequences of different lengths: columns of lists, and arrays of steps with an array of lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...core.types import Size, TensorType
from ...sections.split_section import SequencesSection
from ..samples.data_errors import DataLocation, ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.sequences import Sequences
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import LocateElement, sample_location, validate_array
from ..tables.array_tables import ArrayTable
from ..tables.data_table import ColumnRequest, DataTable, ListTable
from ..tables.json_tables import JsonTable

LENGTHS_HELP = "write np.concatenate(sequences), and the numbers of their steps as an array of integers"


def takes_sequences(key: str, names: Sequence[str], data_spec: DataSpec, table: DataTable) -> bool:
    """Whether a column is read as sequences of different lengths."""
    has_lengths = len(names) == 1 and isinstance(table, ArrayTable) and table.lengths_name(names[0]) is not None
    if key in data_spec.weighted_outputs or len(names) != 1 or not (has_lengths or isinstance(table, ListTable)):
        return False
    type = data_spec.type_of(key)
    return type.rank > 1 and isinstance(type.shape[1], Size)


def read_sequences(
    table: DataTable, key: str, name: str, data_spec: DataSpec, section: SequencesSection, errors: ErrorCollector
) -> Sequences | None:
    """The sequences of an input or a target; None, and errors, if they are invalid."""
    if isinstance(table, ListTable):
        parts = _steps_of_lists(table, key, name, data_spec, errors)
    elif isinstance(table, ArrayTable):
        parts = _steps_of_arrays(table, key, name, data_spec, errors)
    else:
        raise TypeError("a table without sequences")
    return None if parts is None else _validated(parts, key, data_spec, section, errors)


def recordings_as_sequences(
    recordings: Sequence[np.ndarray],
    key: str,
    data_spec: DataSpec,
    section: SequencesSection,
    locate: LocateElement,
    errors: ErrorCollector,
) -> Sequences | None:
    """The sequences of the samples of recordings; None, and errors, if these are invalid."""
    lengths = np.array([len(recording) for recording in recordings], np.int64)
    ends = np.cumsum(lengths)
    parts = _Steps(np.concatenate(recordings), lengths, lambda index: locate((_row_of_step(ends, index[0]),)))
    return _validated(parts, key, data_spec, section, errors)


def _row_of_step(ends: np.ndarray, step: int) -> int:
    """The sequence that a step belongs to."""
    return int(np.searchsorted(ends, step, side="right"))


def _validated(
    parts: _Steps, key: str, data_spec: DataSpec, section: SequencesSection, errors: ErrorCollector
) -> Sequences | None:
    """The sequences of some steps; None, and errors, if these are invalid."""
    own = {key: _step_type(key, data_spec)}
    step_spec = replace(data_spec, learns_labels=False)  # the classes of padded lists, and of a blank, need an order
    if key in data_spec.inputs:
        step_spec = replace(step_spec, inputs={**data_spec.inputs, **own})
    else:
        step_spec = replace(step_spec, targets={**data_spec.targets, **own})
    validated = validate_array(parts.steps, key, step_spec, errors, parts.locate)
    if validated is None:
        return None
    return Sequences.of(validated, parts.lengths, _pad_value(key, data_spec, section))


class _Steps(NamedTuple):
    """The steps of all sequences, one after the other."""

    steps: np.ndarray
    lengths: np.ndarray
    locate: LocateElement


def _step_type(key: str, data_spec: DataSpec) -> TensorType:
    type = data_spec.type_of(key)
    return type.with_shape((type.shape[0], *type.shape[2:]))


def _step_request(key: str, data_spec: DataSpec) -> ColumnRequest:
    return ColumnRequest(_step_type(key, data_spec), data_spec.class_labels(key), partial(data_spec.text_help, key))


def _steps_of_lists(
    table: ListTable, key: str, name: str, data_spec: DataSpec, errors: ErrorCollector
) -> _Steps | None:
    """The steps of a column of lists; None, and errors, if there are other values."""
    values = table.lists(name, errors)
    if values is None:
        return None
    bad = [row for row, value in enumerate(values) if not isinstance(value, list)]
    locate = table.element_locator([name])
    message = f"{name!r} is not a list, but {data_spec.describe(key)} is a sequence"
    help = None
    if key in data_spec.class_counts or key in data_spec.index_ranges:
        help = 'write a list of class indices, [3, 1, 20], or of texts that `labels` names: ["c", "a", "t"]'
    errors.add_each("data-shape", bad, lambda row: (message, locate((row,))), help=help)
    if bad:
        return None
    steps = _StepTable(table, name, values)
    array = steps.column(name, _step_request(key, data_spec), errors)
    return None if array is None else _Steps(array, steps.lengths, steps.element_locator([name]))


def _steps_of_arrays(
    table: ArrayTable, key: str, name: str, data_spec: DataSpec, errors: ErrorCollector
) -> _Steps | None:
    """The steps in an array, whose lengths are in another one; None, and errors, if these do not fit."""
    lengths_name = table.lengths_name(name) or ""
    read = [table.column(column, _step_request(key, data_spec), errors) for column in (name, lengths_name)]
    if read[0] is None or read[1] is None:
        return None
    steps, lengths = np.asarray(read[0]), np.asarray(read[1])
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        message = f"the array {lengths_name!r} does not have one length for each sequence"
        errors.add("data-shape", message, help=LENGTHS_HELP)
        return None
    if not steps.ndim or len(steps) != int(lengths.sum()):
        found = f"{len(steps):,} steps" if steps.ndim else "no axis of steps"
        message = f"the lengths in {lengths_name!r} add up to {int(lengths.sum()):,}, and {name!r} has {found}"
        errors.add("data-shape", message, help=LENGTHS_HELP)
        return None
    ends = np.cumsum(lengths)

    def locate(index: ElementIndex) -> DataLocation:
        row = _row_of_step(ends, index[0])
        return sample_location((row, index[0] - int(ends[row] - lengths[row]), *index[1:]))

    return _Steps(steps, lengths.astype(np.int64), locate)


def _pad_value(key: str, data_spec: DataSpec, section: SequencesSection) -> Any:
    """The value behind the end of a sequence: for classes, the one that the loss ignores, or 0."""
    if data_spec.type_of(key).dtype == "string":
        return ""
    index_range = data_spec.index_ranges.get(key)
    if key in data_spec.targets:
        return 0 if index_range is None or index_range.ignored is None else index_range.ignored
    return section.pad_value


class _StepTable(JsonTable):
    """A column of lists as a table with one row for each of their elements."""

    def __init__(self, table: ListTable, name: str, lists: Sequence[list[Any]]) -> None:
        steps = [step for value in lists for step in value]
        super().__init__("", {name: steps}, len(steps), lambda row, name: 0)
        self.lengths = np.array([len(value) for value in lists], np.int64)
        self._starts, self._table = np.cumsum(self.lengths) - self.lengths, table

    def name_location(self, name: str | None) -> DataLocation:
        return self._table.name_location(name)

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        locate_in_row = self._table.element_locator(names)

        def locate(index: ElementIndex) -> DataLocation:
            row = int(np.searchsorted(self._starts, index[0], side="right")) - 1
            return locate_in_row((row, index[0] - int(self._starts[row]), *index[1:]))

        return locate


def check_equal_lengths(arrays: Mapping[str, Any], data_spec: DataSpec, errors: ErrorCollector) -> None:
    """Adds an error unless sequences with the same symbolic size have equal lengths in each row."""
    first: dict[Any, tuple[str, np.ndarray]] = {}
    for key, array in arrays.items():
        if isinstance(array, Sequences):
            symbol = data_spec.type_of(key).shape[1]
            other, lengths = first.setdefault(symbol, (key, array.lengths))
            if len(lengths) == len(array) and (array.lengths != lengths).any():
                row = int(np.flatnonzero(array.lengths != lengths)[0])
                message = f"row {row + 1}: {data_spec.describe(key)} has {int(array.lengths[row])} steps"
                errors.add("data-shape", f"{message}, {data_spec.describe(other)} {int(lengths[row])}")
