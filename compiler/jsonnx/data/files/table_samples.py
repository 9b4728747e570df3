"""Samples in the columns of a table, with what becomes of rows with missing values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError
from ...sections.columns import AssignedColumns
from ...sections.data_section import DataSection
from ...sections.split_section import SequencesSection
from ..media.media_files import MediaReader
from ..rows.incomplete_rows import IncompleteRows
from ..rows.sequence_columns import check_equal_lengths, read_sequences
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset, make_dataset
from ..samples.left_out import MAX_DAMAGED_FILES, DamagedFiles
from ..samples.sequences import Sequences
from ..samples.stored_arrays import Samples, subset_of
from ..samples.validate_arrays import check_consistent_sizes
from ..tables.data_table import DataTable
from .combined_table import FileTable, ShardedTable, add_count_error
from .data_columns import check_columns_exist, read_columns, takes_lists, validate_columns
from .label_columns import read_label_sets, takes_label_sets
from .missing_values import MissingValues

ALL_MISSING_HELP = "leave columns without values out of `x`, or fill them with an Imputation layer"
ALL_DAMAGED_HELP = 'replace the damaged files: with `"damaged": "error"` each one is named'

MissingPolicy = Literal["error", "drop", "mark"]
"""What becomes of rows with missing values: errors, left out, or kept with a mark, so that windows leave them out."""


class TableSamples(NamedTuple):
    """The samples in the rows of a table."""

    samples: Dataset
    rows: np.ndarray | None
    """The rows of the table that the samples have; None for all."""
    row_count: int
    """The number of rows of the table."""
    incomplete: IncompleteRows | None
    """The rows with missing values, if they are kept with a mark."""


def samples_of_files(
    files: Mapping[str, FileTable],
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    data: DataSection | None,
    policy: MissingPolicy,
    future_inputs: Collection[str],
    errors: ErrorCollector,
) -> TableSamples | None:
    """The samples in the columns of the file of each input, target and weight, which may be the same file; None, and
    errors, if they are invalid. `future_inputs` have the rows of the horizon of a window."""
    for key, file in files.items():
        check_columns_exist(file.table, {key: columns[key]}, data_spec, file.errors)
    if errors:
        return None
    stored, arrays = _read_values(files, columns, data_spec, data, policy)
    if not _counts_agree(files, {**arrays, **stored}, errors):
        return None
    missing = _missing_values(stored, columns, data_spec, errors) if policy != "error" and stored else None
    rows = missing.complete_rows() if missing is not None and policy == "drop" else None
    if missing is not None and (missing.is_everywhere or (rows is not None and not len(rows))):
        errors.add("empty-data", "every row has a missing value", help=ALL_MISSING_HELP)
        return None
    arrays = {key: array if rows is None else array[rows] for key, array in arrays.items()}
    damaged: dict[int, str] = {}
    for key, array in stored.items():
        mark = missing.masks.get(key) if missing is not None and policy == "mark" else None
        own_rows = rows if mark is None else np.flatnonzero(~mark)
        kept = array if own_rows is None else subset_of(array, own_rows)
        file, names = files[key], columns[key].names
        media = replace(MediaReader.of(file.folder, data), damaged=damaged)
        validated = validate_columns(kept, file.table, key, names, data_spec, file.errors, media, own_rows)
        if validated is not None:
            arrays[key] = validated if mark is None else _with_marked_rows(validated, mark)
    weights = {output: arrays.pop(key) for key, output in data_spec.weighted_outputs.items() if key in arrays}
    check_consistent_sizes(arrays, weights, data_spec, errors)
    check_equal_lengths(arrays, data_spec, errors)
    if errors:
        return None
    samples = make_dataset(arrays, data_spec, weights)
    row_count = missing.row_count if missing is not None and rows is not None else len(samples)
    incomplete = None
    if missing is not None and missing.masks:
        incomplete = missing.by_role(data_spec, future_inputs) if policy == "mark" else None
        samples = samples if policy == "mark" else replace(samples, missing=missing.counts)
    if damaged and len(damaged) == len(samples):
        errors.add("empty-data", "every row has a damaged file", help=ALL_DAMAGED_HELP)
        return None
    if damaged:
        samples, rows = _without_damaged(samples, damaged, rows)
    return TableSamples(samples, rows, row_count, incomplete)


def _read_values(
    files: Mapping[str, FileTable],
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    data: DataSection | None,
    policy: MissingPolicy,
) -> tuple[dict[str, Samples], dict[str, Any]]:
    """The columns as they are in the files, which are validated later, and the sequences and sets of labels."""
    stored: dict[str, Samples] = {}
    arrays: dict[str, Any] = {}
    sequences = data.sequences if data is not None else None
    for key, assigned in columns.items():
        file, name = files[key], assigned.names[0]
        if sequences is not None and takes_lists(key, assigned.names, data_spec, file.table):
            arrays[key] = _read_sequences(file, key, name, data_spec, sequences)
        elif takes_label_sets(key, assigned.names, data_spec, file.table):
            arrays[key] = read_label_sets(file.table, key, name, data_spec, file.errors)
        else:
            array = read_columns(file.table, key, assigned.names, data_spec, file.errors, policy != "error")
            stored |= {} if array is None else {key: array}
    return stored, {key: array for key, array in arrays.items() if array is not None}


def _without_damaged(
    samples: Dataset, damaged: Mapping[int, str], rows: np.ndarray | None
) -> tuple[Dataset, np.ndarray]:
    """The samples without those of damaged files, and their rows of the table."""
    kept = np.delete(np.arange(len(samples)), [*damaged])
    names = tuple(damaged[index] for index in sorted(damaged))[:MAX_DAMAGED_FILES]
    files = DamagedFiles(len(damaged), len(samples), names)
    return replace(samples.subset(kept), missing=samples.missing, damaged=files), kept if rows is None else rows[kept]


def _read_sequences(
    file: FileTable, key: str, name: str, data_spec: DataSpec, section: SequencesSection
) -> Sequences | None:
    """The sequences of an input or a target in one or several files; None, and errors, if they are invalid."""
    if not isinstance(file.table, ShardedTable):
        return read_sequences(file.table, key, name, data_spec, section, file.errors)
    parts = [read_sequences(part.table, key, name, data_spec, section, part.errors) for part in file.table.parts]
    read = [part for part in parts if part is not None]
    return Sequences.concatenate(read) if len(read) == len(parts) else None


def _counts_agree(
    files: Mapping[str, FileTable], arrays: Mapping[str, Samples | Sequences], errors: ErrorCollector
) -> bool:
    """Whether files of different inputs and targets have equal numbers of rows; adds an error if not."""
    counts = {files[key].file: len(array) for key, array in arrays.items() if array.shape}
    if len({*counts.values()}) < 2:
        return True
    add_count_error(counts, errors)
    return False


def _with_marked_rows(samples: Samples | Sequences, mark: np.ndarray) -> Samples | Sequences:
    """The samples, in which each marked row repeats the row before it."""
    rows = np.maximum(np.cumsum(~mark) - 1, 0)
    return samples[rows] if isinstance(samples, Sequences) else subset_of(samples, rows)


def _missing_values(
    stored: Mapping[str, Samples],
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    errors: ErrorCollector,
) -> MissingValues | None:
    """The missing values of columns; None, and errors, if values of a streamed file cannot be read."""
    try:
        return MissingValues.of(stored, columns, data_spec)
    except CompileError as error:
        errors.add_all(error.diagnostics)
        return None


def without_missing_weights(
    columns: Mapping[str, AssignedColumns], table: DataTable, data_spec: DataSpec
) -> dict[str, AssignedColumns]:
    """The columns without those of sample weights, if the table has none of them."""
    names = set(table.names)
    return {
        key: assigned
        for key, assigned in columns.items()
        if key not in data_spec.weighted_outputs or not names.isdisjoint(assigned.names)
    }
