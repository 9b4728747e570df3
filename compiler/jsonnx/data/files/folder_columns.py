"""The columns of folders of images, recordings or texts, and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...core.diagnostics import quoted_or_list
from ...sections.columns import AssignedColumns
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..tables.folder_table import LABEL, FolderTable

MAX_LISTED_CLASSES = 20
"""Classes that a message names."""


def folder_columns(
    table: FolderTable, columns: dict[str, AssignedColumns], data_spec: DataSpec
) -> dict[str, AssignedColumns]:
    """The assignment. By default, the only input and the only target take the files and their classes."""
    assigned = dict(columns)
    for names, column in ((data_spec.inputs, table.kind.column), (data_spec.targets, LABEL)):
        for key in names:
            if len(names) == 1 and key in assigned and assigned[key].path is None:
                assigned[key] = AssignedColumns((column,), None)
    return assigned


def with_folder_labels(
    table: FolderTable, columns: Mapping[str, AssignedColumns], data_spec: DataSpec, errors: ErrorCollector
) -> DataSpec:
    """The data spec with the names of the folders as labels of targets that the spec gives no labels."""
    labels = dict(data_spec.labels)
    for key in data_spec.targets:
        if key not in columns or columns[key].names != (LABEL,) or key in labels or not table.class_names:
            continue
        index_range = data_spec.index_ranges.get(key)
        count = 2 if index_range is None else index_range.size
        labels[key] = tuple(table.class_names)
        if len(labels[key]) != count:
            number = "1 class" if len(labels[key]) == 1 else f"{len(labels[key])} classes"
            message = f"the folder has {number}, the network {count}"
            names = quoted_or_list(labels[key]) if len(labels[key]) <= MAX_LISTED_CLASSES else "many"
            errors.add(
                "data-shape", message, help=f"the folders are {names}; or list the classes in `labels` of the spec"
            )
    return replace(data_spec, labels=labels)
