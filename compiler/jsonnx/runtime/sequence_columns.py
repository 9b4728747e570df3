"""Reads columns of lists of different lengths, whose elements are the steps of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..core.types import Size
from ..training.split_section import SequencesSection
from .data_errors import DataLocation, FaultCollector
from .data_spec import DataSpec
from .data_table import DataTable
from .json_tables import JsonTable
from .sequences import Sequences
from .validate_arrays import ElementIndex, LocateElement, validate_array


@runtime_checkable
class ListTable(Protocol):
    """A table whose values may be lists."""

    def lists(self, name: str, faults: FaultCollector) -> Sequence[Any] | None:
        """The value of a column in each row, as Python's lists, numbers and texts."""


def takes_sequences(key: str, names: Sequence[str], data_spec: DataSpec, table: DataTable) -> bool:
    """Whether a column is read as sequences of different lengths."""
    if key in data_spec.weighted_outputs or len(names) != 1 or not isinstance(table, ListTable):
        return False
    type = data_spec.type_of(key)
    return type.rank > 1 and isinstance(type.shape[1], Size)


def read_sequences(
    table: DataTable, key: str, name: str, data_spec: DataSpec, section: SequencesSection, faults: FaultCollector
) -> Sequences | None:
    """The sequences of an input or a target; None, and faults, if they are invalid."""
    if not isinstance(table, ListTable):
        raise TypeError("a table without lists")
    values = table.lists(name, faults)
    if values is None:
        return None
    bad = [row for row, value in enumerate(values) if not isinstance(value, list)]
    locate = table.element_locator([name])
    message = f"{name!r} is not a list, but {data_spec.describe(key)} is a sequence"
    faults.add_each("data-shape", bad, lambda row: (message, locate((row,))))
    if bad:
        return None
    type = data_spec.type_of(key)
    step_type = type.with_shape((type.shape[0], *type.shape[2:]))
    steps = _StepTable(table, name, values)
    labels = data_spec.labels.get(key, ()) if key in data_spec.targets else ()
    array = steps.column(name, step_type, faults, labels, partial(data_spec.text_help, key))
    if array is None:
        return None
    own = {key: step_type}
    step_spec = (
        replace(data_spec, inputs={**data_spec.inputs, **own})
        if key in data_spec.inputs
        else replace(data_spec, targets={**data_spec.targets, **own})
    )
    validated = validate_array(array, key, step_spec, faults, steps.element_locator([name]))
    if validated is None:
        return None
    return Sequences.of(validated, steps.lengths, _pad_value(key, data_spec, section))


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

    def __init__(self, table: DataTable, name: str, lists: Sequence[list[Any]]) -> None:
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


def check_equal_lengths(arrays: Mapping[str, Any], data_spec: DataSpec, faults: FaultCollector) -> None:
    """Adds a fault unless sequences with the same symbolic size have equal lengths in each row."""
    first: dict[Any, tuple[str, np.ndarray]] = {}
    for key, array in arrays.items():
        if isinstance(array, Sequences):
            symbol = data_spec.type_of(key).shape[1]
            other, lengths = first.setdefault(symbol, (key, array.lengths))
            if len(lengths) == len(array) and (array.lengths != lengths).any():
                row = int(np.flatnonzero(array.lengths != lengths)[0])
                message = f"row {row + 1}: {data_spec.describe(key)} has {int(array.lengths[row])} steps"
                faults.add("data-shape", f"{message}, {data_spec.describe(other)} {int(lengths[row])}")
