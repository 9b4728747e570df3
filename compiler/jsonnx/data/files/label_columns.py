"""Reads columns with any number of labels in a row: texts with separators, and lists of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from ...core.diagnostics import CompileError
from ...sections.columns import AssignedColumns
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.label_sets import LabelSets, label_sets
from ..tables.data_table import DataTable, ListTable
from ..tables.folder_table import FolderTable


@runtime_checkable
class _StoredListTable(Protocol):
    """A table in a file whose values may be lists."""

    def iterate_values(self, name: str, errors: ErrorCollector) -> Iterator[Any]:
        """The value of a column in each row."""


def label_columns(columns: Mapping[str, AssignedColumns], data_spec: DataSpec) -> list[str]:
    """The columns that may have any number of labels in a row."""
    return [columns[key].names[0] for key in data_spec.label_separators if _has_one_column(key, columns)]


def _has_one_column(key: str, columns: Mapping[str, AssignedColumns]) -> bool:
    return key in columns and len(columns[key].names) == 1


def takes_label_sets(key: str, names: Sequence[str], data_spec: DataSpec, table: DataTable) -> bool:
    """Whether a column is read as sets of labels, and not as vectors of numbers."""
    if key not in data_spec.label_separators or len(names) != 1 or isinstance(table, FolderTable):
        return False
    unit_count = data_spec.targets[key].shape[-1]
    try:
        values = _values(table, names[0], ErrorCollector())
        first = next((value for value in values if not _is_empty(value)), None)
    except (CompileError, ValueError):
        return False
    if isinstance(first, list):
        is_vector = len(first) == unit_count and all(item in (0, 1) for item in first)
        return not is_vector and not any(isinstance(item, (float, list, dict)) for item in first)
    return first is None or isinstance(first, str)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, list) and not value)


def _values(table: DataTable, name: str, errors: ErrorCollector) -> Iterable[Any]:
    """The value of a column in each row. Raises CompileError, and ValueError if a row of an array has several."""
    if isinstance(table, _StoredListTable):
        return table.iterate_values(name, errors)
    if isinstance(table, ListTable):
        return table.lists(name, errors) or ()
    return table.values(name)


def read_label_sets(
    table: DataTable, key: str, name: str, data_spec: DataSpec, errors: ErrorCollector
) -> LabelSets | None:
    """The labels in each row of a column; None, and errors, if they are invalid."""
    try:
        return label_sets(_values(table, name, errors), key, data_spec, errors, table.element_locator([name]))
    except CompileError as error:
        errors.add_all(error.diagnostics)
        return None
