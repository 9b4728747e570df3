"""Reads the columns of inputs and targets from a data file. Several columns become one [samples, columns] array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ..core.diagnostics import CompileError, quoted_or_list, suggestion
from ..training.columns import AssignedColumns
from .data_errors import FaultCollector
from .data_spec import DataSpec
from .data_table import DataTable
from .folder_table import CLASS_FOLDERS_HELP, LABEL, FolderTable
from .media_files import MediaReader, is_media
from .sample_weights import validate_weights
from .stored_arrays import Samples, StoredArray, stack_columns
from .validate_arrays import reshape_samples, validate_array, validate_stored

MAX_LOADED_TARGET_BYTES = 16
"""Bytes of a target's sample up to which it is loaded while inputs stay in their file: class indices, numbers."""


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
            if isinstance(table, FolderTable) and name == LABEL:
                help = CLASS_FOLDERS_HELP
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
    table: DataTable,
    key: str,
    names: tuple[str, ...],
    data_spec: DataSpec,
    faults: FaultCollector,
    media: MediaReader | None = None,
) -> Samples | None:
    """The array of an input or a target, from one column or from several, stacked along the last axis.

    `media` reads the images or recordings that a column names or contains.
    """
    labels = data_spec.labels.get(key, ()) if key in data_spec.targets else ()
    text_help = partial(data_spec.text_help, key)
    type = data_spec.type_of(key)
    columns = [table.column(name, type, faults, labels, text_help) for name in names]
    readable = [column for column in columns if column is not None]
    if len(readable) < len(columns) or not readable:
        return None
    first = readable[0]
    takes_media = len(readable) == 1 and key in data_spec.inputs and media is not None
    if takes_media and isinstance(first, np.ndarray) and is_media(first, type):
        assert media is not None
        return _read_media(table, first, key, names, data_spec, faults, media)
    if isinstance(table, FolderTable) and key in data_spec.inputs and table.holds_media(names[0]):
        message = f"{data_spec.describe(key)} takes {type}, and {table.kind.dimensions}"
        faults.add("data-shape", message, help="flatten or reshape them in the network, by its first layer")
        return None
    try:
        array = stack_columns(readable)
    except ValueError:
        shapes = ", ".join(str(list(column.shape)) for column in readable)
        faults.add("data-shape", f"the columns of {data_spec.describe(key)} cannot be stacked: shapes {shapes}")
        return None
    is_weight = key in data_spec.weighted_outputs
    if isinstance(array, StoredArray):
        is_small = key in data_spec.targets and array.sample_bytes <= MAX_LOADED_TARGET_BYTES
        if not (is_weight or is_small):
            return validate_stored(array, key, data_spec, faults, table.element_locator(names), len(names))
        try:
            array = np.asarray(array)
        except CompileError as error:
            faults.diagnostics += error.diagnostics
            return None
    if is_weight:
        output = data_spec.weighted_outputs[key]
        return validate_weights(array, output, data_spec, faults, table.element_locator(names), len(names))
    return validate_array(array, key, data_spec, faults, table.element_locator(names), len(names))


def _read_media(
    table: DataTable,
    column: np.ndarray,
    key: str,
    names: tuple[str, ...],
    data_spec: DataSpec,
    faults: FaultCollector,
    media: MediaReader,
) -> Samples | None:
    """The array of the images or recordings in a column."""
    locate = table.element_locator(names)
    array = media.read(column.tolist(), data_spec.type_of(key), data_spec.describe(key), locate, faults)
    if isinstance(array, StoredArray):
        first = validate_array(array.read(slice(0, 1)), key, data_spec, faults, locate)
        return None if first is None else reshape_samples(array, data_spec.type_of(key).shape[1:])
    return None if array is None else validate_array(array, key, data_spec, faults, locate)
