"""Reads the columns of inputs and targets from a data file. Several columns become one [samples, columns] array."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, quoted_or_list, suggestion
from ...core.types import TensorType
from ...sections.columns import EXCLUSION, AssignedColumns, assigned_columns, has_patterns, matching_columns
from ...sections.data_section import DataSection
from ...sections.file_names import WHOLE_NAMES
from ..media.mask_files import mask_classes
from ..media.media_files import MediaReader, is_media
from ..media.media_names import name_media_files, takes_audio
from ..rows.sequence_columns import recordings_as_sequences, takes_sequences
from ..samples.data_errors import REQUEST_NAME, ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.sample_shapes import reshape_samples, samples_fit
from ..samples.sample_weights import validate_weights
from ..samples.sequences import Sequences
from ..samples.stored_arrays import Samples, StoredArray, stack_columns
from ..samples.valid_values import is_missing, is_text
from ..samples.validate_arrays import LocateElement, validate_array, validate_stored
from ..tables.data_table import ColumnRequest, DataTable, ListTable
from ..tables.folder_table import CLASS_FOLDERS_HELP, LABEL, FolderTable
from ..tables.python_tables import FrameTable, RowTable
from .combined_table import CombinedTable

MAX_LOADED_TARGET_BYTES = 16
"""Targets of at most this many bytes per sample are loaded even if inputs are streamed: class indices, numbers."""


MIXED_HELP = (
    'give the column an input of its own with "dtype": "string", and a StringLookup or TextVectorization after it; a '
    "Concatenate joins the result with the numbers"
)


def check_columns_exist(
    table: DataTable,
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    errors: ErrorCollector,
    file_names: Sequence[str] = (),
) -> None:
    """Adds an error at the table's header for each column that is missing. `file_names` have files of their own in the
    spec."""
    existing, is_file = {*table.names}, _is_file(table, errors)
    for key, (names, path) in columns.items():
        for name in names:
            if name in existing:
                continue
            near = similar_column(name, table.names)
            help = f"did you mean {near!r}?" if is_file else f"write {name!r} in place of {near!r}"
            help = help if near else f"columns: {quoted_or_list(table.names)}"
            if path is None and is_file:
                setting = "x" if key in data_spec.inputs else "y"
                help += f"; without `training.data.{setting}`, the column has the name {name!r}"
            help += _header_hint(table.names) + _files_hint(table, file_names, errors)
            if isinstance(table, FolderTable) and name == LABEL:
                help = CLASS_FOLDERS_HELP
            notes = [errors.source.note("the spec names the column here", path)] if path else []
            message = f"there is no column {name!r} for {data_spec.describe(key)}"
            if isinstance(table, CombinedTable) and table.has_files:
                message = f"there is neither a file nor a column {name!r} for {data_spec.describe(key)}"
                help = f'give it a file, `{name}=FILE` or in the spec `{json.dumps(name)}: "FILE"`'
            errors.add("missing-column", message, table.name_location(near), help=help, notes=notes)


def _is_file(table: DataTable, errors: ErrorCollector) -> bool:
    """Whether a table is one of files, not what a program gave or sent, which knows the spec."""
    if isinstance(table, CombinedTable):
        return table.has_files
    return not isinstance(table, (FrameTable, RowTable)) and errors.file != REQUEST_NAME


def _files_hint(table: DataTable, names: Sequence[str], errors: ErrorCollector) -> str:
    """How to give each input and target a file of its own, in place of a file that lacks a column."""
    is_array = (errors.file or "").lower().endswith(".npy")
    if not _is_file(table, errors) or isinstance(table, CombinedTable) or not (names or is_array):
        return ""
    options = " ".join(f"--data {name}=FILE" for name in names or WHOLE_NAMES)
    reason = "the spec names a file for each" if names else "an .npy file is one column"
    return f"; {reason}: `{options}`"


def _header_hint(names: Sequence[str]) -> str:
    """Further errors of a header that lacks a column: it may be a row of values, or repeat a name."""
    if any(name.replace(".", "", 1).isdecimal() for name in names):
        return "; if the first line is a row of values, write one with the names of the columns above it"
    repeated = next((name for name in names if list(names).count(name) > 1), None)
    if repeated is not None:
        return f"; several columns are called {repeated!r}: each needs a name of its own"
    return ""


def target_columns(data: DataSection | None, data_spec: DataSpec) -> set[str]:
    """The columns of targets and of inputs for training, also if only the inputs of a model are read."""
    setting: Any = getattr(data, "y", None)
    groups = (
        assigned_columns(setting, "y", data_spec.targets),
        assigned_columns(getattr(data, "x", None), "x", data_spec.training_inputs),
    )
    assigned = [column for group in groups for columns in group.values() for column in columns.names]
    values = setting.values() if isinstance(setting, Mapping) else [] if setting is None else [setting]
    return {*assigned, *(name for value in values for name in ([value] if isinstance(value, str) else value))}


def match_columns(
    table: DataTable,
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    targets: Collection[str],
    errors: ErrorCollector,
) -> dict[str, tuple[str, ...]]:
    """The columns that the patterns of inputs match, by input. Adds an error for each pattern without a match.

    A pattern matches neither the columns of targets nor those that another input names.
    """
    matched: dict[str, tuple[str, ...]] = {}
    for key, (names, path) in columns.items():
        if key not in data_spec.inputs or path is None or not has_patterns(names, table.names):
            continue
        others = {name for other, (assigned, _) in columns.items() if other != key for name in assigned}
        found = matching_columns(names, table.names, {*targets, *others})
        for pattern in found.unmatched:
            name = pattern.removeprefix(EXCLUSION)
            near = similar_column(name, table.names)
            help = f"did you mean {near!r}?" if near else f"columns: {quoted_or_list(table.names)}"
            message = f"no column matches {name!r}, for {data_spec.describe(key)}"
            notes = [errors.source.note("the spec has the pattern here", path)]
            errors.add("missing-column", message, table.name_location(near), help=help, notes=notes)
        if not found.names and not found.unmatched:
            errors.add(
                "missing-column",
                f"the patterns leave no column for {data_spec.describe(key)}",
                table.name_location(None),
            )
        matched[key] = found.names
    return matched


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


def column_request(key: str, data_spec: DataSpec, accepts_missing: bool = False) -> ColumnRequest:
    """The requested values of the columns of an input or a target."""
    return ColumnRequest(
        data_spec.type_of(key),
        data_spec.class_labels(key),
        partial(data_spec.text_help, key),
        accepts_missing or key in data_spec.missing_inputs,
    )


def read_columns(
    table: DataTable,
    key: str,
    names: tuple[str, ...],
    data_spec: DataSpec,
    errors: ErrorCollector,
    accepts_missing: bool = False,
) -> Samples | None:
    """The values of an input or a target, from one column or from several, stacked along the last axis; None, and
    errors, if they are invalid. `validate_columns` validates them. Weights and small targets are loaded."""
    wanted = column_request(key, data_spec, accepts_missing)
    columns = [table.column(name, wanted, errors) for name in names]
    readable = [column for column in columns if column is not None]
    if len(readable) < len(columns) or not readable or _has_mixed_types(readable, names, key, data_spec, errors):
        return None
    try:
        array = stack_columns(readable)
        return np.asarray(array) if _is_loaded(array, key, data_spec) else array
    except CompileError as error:  # of the values in a file
        errors.add_all(error.diagnostics)
        return None
    except ValueError:
        shapes = ", ".join(str(list(column.shape)) for column in readable)
        errors.add("data-shape", f"the columns of {data_spec.describe(key)} cannot be stacked: shapes {shapes}")
        return None


def _has_mixed_types(
    columns: Sequence[Samples], names: Sequence[str], key: str, data_spec: DataSpec, errors: ErrorCollector
) -> bool:
    """Whether columns of numbers and of texts are to be stacked; adds an error for the first one of texts, if so."""
    objects = {
        name: np.asarray(column) for name, column in zip(names, columns, strict=True) if column.dtype.kind in "UO"
    }
    texts = [name for name, column in objects.items() if is_text(column[~is_missing(column)])]
    texts = texts if len(objects) < len(columns) else []
    if not texts:
        return False
    message = f"{data_spec.describe(key)} stacks the column {texts[0]!r}, which holds texts, with columns of numbers"
    errors.add("bad-value", message, help=MIXED_HELP)
    return True


def _is_loaded(array: Samples, key: str, data_spec: DataSpec) -> bool:
    """Whether values of a streamed file are loaded."""
    sample_bytes = prod(array.shape[1:]) * array.dtype.itemsize
    return key in data_spec.weighted_outputs or (key in data_spec.targets and sample_bytes <= MAX_LOADED_TARGET_BYTES)


def validate_columns(
    array: Samples,
    table: DataTable,
    key: str,
    names: tuple[str, ...],
    data_spec: DataSpec,
    errors: ErrorCollector,
    media: MediaReader,
    rows: np.ndarray | None = None,
) -> Samples | Sequences | None:
    """The validated array of an input or a target, from the values in its columns; None, and errors, if they are
    invalid.

    `media` reads the images or recordings that a column names or contains. `rows` are the rows of the table that the
    array has; None for all.
    """
    type, locate = data_spec.type_of(key), _row_locator(table.element_locator(names), rows)
    if key in data_spec.weighted_outputs:
        weights = np.asarray(array)
        return validate_weights(weights, data_spec.weighted_outputs[key], data_spec, errors, locate, len(names))
    if isinstance(array, np.ndarray) and len(names) == 1 and is_media(np.asarray(array), type):
        return _read_media(np.asarray(array), key, data_spec, errors, media, locate)
    if isinstance(table, FolderTable) and key in data_spec.inputs and table.holds_media(names[0]):
        message = f"{data_spec.describe(key)} takes {type}, and {table.kind.dimensions}"
        errors.add("data-shape", message, help="flatten or reshape them in the network, by its first layer")
        return None
    if array.shape[1:] == (len(names),) and len(names) > 1 and not samples_fit(array.shape[1:], type.shape[1:]):
        message = f"{data_spec.describe(key)} has {len(names)} columns, the network wants {type}"
        help = f"give the input the shape [{len(names)}]; its columns are {quoted_or_list(names)}"
        errors.add("data-shape", message, table.name_location(None), help=help)
        return None
    if isinstance(array, StoredArray):
        return validate_stored(array, key, data_spec, errors, locate, len(names))
    return validate_array(array, key, data_spec, errors, locate, len(names))


def takes_lists(key: str, names: tuple[str, ...], data_spec: DataSpec, table: DataTable) -> bool:
    """Whether a column is read as sequences of different lengths, not as names of recordings."""
    type = data_spec.type_of(key)
    return takes_sequences(key, names, data_spec, table) and not _has_recordings(table, names[0], type)


def _has_recordings(table: DataTable, name: str, type: TensorType) -> bool:
    """Whether a column has recordings, or names of their files, in place of lists."""
    if not (isinstance(table, ListTable) and takes_audio(type) and name in table.names):
        return False
    first = next(iter(table.lists(name, ErrorCollector()) or ()), None)
    return isinstance(first, bytes) or (isinstance(first, str) and name_media_files([first], type))


def _read_media(
    names: np.ndarray, key: str, data_spec: DataSpec, errors: ErrorCollector, media: MediaReader, locate: LocateElement
) -> Samples | Sequences | None:
    """The array, or the sequences, of the images, masks or recordings that an array names or contains."""
    type, title = data_spec.type_of(key), data_spec.describe(key)
    if media.sequences is not None and media.takes_sequences(names.tolist(), type):
        recordings = media.read_recordings(names.tolist(), type, title, locate, errors)
        if recordings is None:
            return None
        return recordings_as_sequences(recordings, key, data_spec, media.sequences, locate, errors)
    array = media.read(names.tolist(), type, title, locate, errors, mask_classes(data_spec, key))
    data_spec = replace(data_spec, labels={})  # the pixels of masks are class indices, whatever the names
    if isinstance(array, StoredArray):
        intact = next((index for index in range(len(array)) if index not in media.damaged), None)
        if intact is None:  # each sample has a damaged file of this or of another input
            return array
        first = validate_array(array.read(slice(intact, intact + 1)), key, data_spec, errors, locate)
        return None if first is None else reshape_samples(array, type.shape[1:])
    return None if array is None else validate_array(array, key, data_spec, errors, locate)


def _row_locator(locate: LocateElement, rows: np.ndarray | None) -> LocateElement:
    """Locates the elements of an array that has only some rows of a table."""
    return locate if rows is None else lambda index: locate((int(rows[index[0]]), *index[1:]))
