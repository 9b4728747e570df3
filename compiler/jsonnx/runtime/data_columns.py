"""The columns of a data file that inputs and targets read.

The spec's `x` and `y` assign columns of a file to inputs and targets. A name or a list of names belongs to the only
input (or target); an object assigns columns by input name; an input that is not mentioned takes the column of its own
name. Several columns become one [samples, columns] array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..core.diagnostics import JsonPath, quoted_or_list, suggestion
from ..core.types import TensorType
from .data_errors import FaultCollector
from .data_files import DataTable
from .data_spec import DataSpec
from .validate_arrays import validate_array


class AssignedColumns(NamedTuple):
    """The columns of an input or a target, and the path in the spec that names them; None if it does not."""

    names: tuple[str, ...]
    path: JsonPath | None


def column_names(
    setting: Any, types: Mapping[str, TensorType], key: str, faults: FaultCollector
) -> dict[str, AssignedColumns]:
    """The columns of each input or target, as the spec's `x` or `y` assigns them."""
    path = ("training", "data", key)
    if isinstance(setting, Mapping):
        for name in setting:
            if name not in types:
                message = f"{key!r} maps {name!r}; the names are {quoted_or_list(types)}"
                faults.add_in_spec("unknown-name", message, (*path, name))
        paths: dict[str, JsonPath] = {name: (*path, name) for name in setting}
        assigned = {name: setting.get(name, name) for name in types}
    elif setting is None:
        paths, assigned = {}, {name: name for name in types}
    elif len(types) > 1:
        message = f"{key!r} names columns without saying for which of {quoted_or_list(types)}"
        faults.add_in_spec("ambiguous-columns", message, path, "give an object of columns by name")
        return {}
    else:
        paths, assigned = dict.fromkeys(types, path), dict.fromkeys(types, setting)
    return {
        name: AssignedColumns((columns,) if isinstance(columns, str) else tuple(columns), paths.get(name))
        for name, columns in assigned.items()
    }


def check_columns_exist(
    table: DataTable, columns: Mapping[str, AssignedColumns], data_spec: DataSpec, faults: FaultCollector
) -> bool:
    """Whether the table has all columns; adds a fault at the table's header for each that is missing."""
    for key, (names, path) in columns.items():
        for name in names:
            if name in table.names:
                continue
            near = similar_column(name, table.names)
            help = f"did you mean {near!r}?" if near else f"columns: {quoted_or_list(table.names)}"
            if path is None:
                setting = "x" if key in data_spec.inputs else "y"
                help += f"; without `training.data.{setting}`, the column has the name {name!r}"
            notes = [faults.source.note("the spec names the column here", path)] if path else []
            message = f"there is no column {name!r} for {data_spec.describe(key)}"
            faults.add("missing-column", message, table.name_location(near), help=help, notes=notes)
    return not faults


def similar_column(name: str, columns: Sequence[str]) -> str | None:
    """The column whose name is a misspelling of another; None if there is not exactly one.

    Columns often share a prefix or a suffix (`seats_missing`, `built_missing`), so only the words that differ are
    compared, each by itself.
    """
    similar = [column for column in columns if _is_misspelling(name.lower(), column.lower())]
    return similar[0] if len(similar) == 1 else None


def _is_misspelling(name: str, column: str) -> bool:
    words, others = name.replace(" ", "_").split("_"), column.replace(" ", "_").split("_")
    if len(words) != len(others):
        return suggestion(name, [column]) is not None
    return all(word == other or suggestion(word, [other]) for word, other in zip(words, others, strict=True))


def read_columns(
    table: DataTable, key: str, names: tuple[str, ...], data_spec: DataSpec, faults: FaultCollector
) -> np.ndarray | None:
    """The array of an input or a target, from one column or from several, stacked along the last axis."""
    labels = data_spec.labels.get(key, ()) if key in data_spec.targets else ()
    text_help = partial(data_spec.text_help, key)
    type = data_spec.type_of(key)
    columns = [table.column(name, type, faults, labels, text_help) for name in names]
    readable = [column for column in columns if column is not None]
    if not names:
        faults.add("missing-column", f"the list of columns for {data_spec.describe(key)} is empty")
    if len(readable) < len(columns) or not readable:
        return None
    try:
        array = readable[0] if len(readable) == 1 else np.column_stack(readable)
    except ValueError:
        shapes = ", ".join(str(list(column.shape)) for column in readable)
        faults.add("data-shape", f"the columns of {data_spec.describe(key)} cannot be stacked: shapes {shapes}")
        return None
    return validate_array(array, key, data_spec, faults, table.element_locator(names), len(names))
