"""Samples from the files and folders that a spec or a user names."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import error_reason
from ...core.files.spec_source import NO_SPEC, SpecSource
from ...core.files.user_files import UserFiles
from ...core.reserved_names import sample_weight_name
from ...sections.columns import SAMPLE_WEIGHT, AssignedColumns, assigned_columns, column_errors, weight_columns
from ...sections.data_section import DATA_PARTS, DataSection
from ...sections.file_names import file_name_errors
from ...sections.label_sets import label_separator_errors
from ...sections.mask_targets import mask_errors
from ...sections.split_errors import sequence_errors, split_errors, window_errors
from ..rows.forecasts import ForecastChoice
from ..rows.incomplete_rows import IncompleteRows
from ..rows.row_columns import (
    check_times_agree,
    concatenate_row_values,
    read_row_columns,
    row_columns,
    values_of_rows,
)
from ..rows.row_samples import Kept, PartRows, Rows, SampleMaker, concatenate_complete
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..samples.dataset import Dataset
from ..samples.label_sets import LabelSets
from ..samples.learned_labels import with_learned_labels
from ..samples.memory_limit import streams
from ..samples.sequences import Sequences
from ..samples.stored_arrays import DEFAULT_BUFFER_SAMPLES
from ..tables.data_files import read_table
from ..tables.data_table import DataTable
from ..tables.folder_table import FolderTable, read_folder
from ..tables.table_file import TableOptions
from .combined_table import CombinedTable, FileTable
from .data_columns import target_columns
from .data_locations import DataItem, file_size, items_of_spec, items_of_user
from .files_by_name import FilesByKey, combine_files, open_member, require_known_names
from .folder_columns import folder_columns, with_folder_labels
from .kept_columns import concatenate_kept, kept_columns, names_to_keep
from .label_columns import label_columns
from .rows_of_files import RowsOfFiles
from .table_samples import MissingPolicy, samples_of_files, without_missing_weights

MAX_ERRORS = 20
"""Errors after which no further file is read."""


def from_part(data: DataSection, part: str, data_spec: DataSpec, source: SpecSource) -> Dataset:
    """The samples of the `train`, `validation` or `test` data that a spec names.

    Raises CompileError with every error in the files, UsageError if one cannot be read.
    """
    if data.split is not None and part in data.split.parts:
        return from_split(data, items_of_spec(data, "train", source), data_spec, source)[part]
    data_spec = replace(data_spec, learns_labels=data_spec.learns_labels or part == "train")
    reader = _Reader(data, data_spec, source, with_targets=True, needs_weights=part == "train")
    return reader.read(items_of_spec(data, part, source))[0]


def from_split(
    data: DataSection,
    items: Sequence[DataItem],
    data_spec: DataSpec,
    source: SpecSource,
    parts: Collection[str] = DATA_PARTS,
) -> dict[str, Dataset]:
    """The parts into which the spec's `split` divides the samples of files; rows of parts that are not among `parts`
    are for training.

    Raises CompileError with every error in the files or if a part is empty, UsageError if a file cannot be read.
    """
    data_spec = replace(data_spec, learns_labels=True)
    divided = rows_by_part(data, items, data_spec, source, parts)[0]
    return {part: own.samples for part, own in divided.items()}


def rows_by_part(
    data: DataSection,
    items: Sequence[DataItem],
    data_spec: DataSpec,
    source: SpecSource,
    parts: Collection[str] | None,
) -> tuple[dict[str, PartRows], Sequence[int]]:
    """The samples of files by their part, with their rows; and the number of rows of each file.

    `parts` are those of `from_split`; None if all samples are of one part, which is `train` then. Raises what
    `from_split` raises.
    """
    with_split = parts is not None
    reader = _Reader(data, data_spec, source, with_targets=True, with_split=with_split, needs_weights=with_split)
    return reader.read_parts(items, parts)


def from_file(
    files: UserFiles | os.PathLike[str],
    data: DataSection | None,
    data_spec: DataSpec,
    source: SpecSource = NO_SPEC,
    *,
    targets: bool = True,
    needs_weights: bool = False,
) -> Dataset:
    """The samples of any file, folder or pattern, or of files by name, with the column names of the spec.

    Unless `needs_weights`, files may lack the columns of sample weights. Raises CompileError with every error in the
    files, UsageError if one cannot be read.
    """
    return from_items(items_of_user(files, source), data, data_spec, source, targets, needs_weights)


def from_items(
    items: Sequence[DataItem],
    data: DataSection | None,
    data_spec: DataSpec,
    source: SpecSource,
    targets: bool,
    needs_weights: bool,
) -> Dataset:
    """The samples of files, like `from_file`."""
    return _Reader(data, data_spec, source, with_targets=targets, needs_weights=needs_weights).read(items)[0]


def inputs_from(
    items: Sequence[DataItem],
    data: DataSection | None,
    data_spec: DataSpec,
    format: str | None = None,
    keep: Sequence[str] | None = (),
    forecast: ForecastChoice | None = None,
) -> tuple[Dataset, dict[str, Sequence[Any]]]:
    """The inputs in files, without targets, and the values of further columns as they are in the files.

    `format` replaces the suffixes of the files' names. `keep` names the further columns; None stands for all that have
    one value for each sample. With a `forecast`, the series and times of predictions are among the columns. Raises
    CompileError with every error in the files, UsageError if one cannot be read.
    """
    reader = _Reader(data, data_spec, NO_SPEC, with_targets=False, format=format, keep=keep, forecast=forecast)
    return reader.read(items)


@dataclass(frozen=True)
class _Reader:
    """Reads files with the columns that a spec assigns."""

    data: DataSection | None
    data_spec: DataSpec
    source: SpecSource
    with_targets: bool
    format: str | None = None
    keep: Sequence[str] | None = ()
    with_split: bool = False
    needs_weights: bool = False
    memory: str | None = None
    """The setting `memory` of all files, if it is not the spec's."""
    forecast: ForecastChoice | None = None

    def read(self, items: Sequence[DataItem]) -> tuple[Dataset, Kept]:
        """The samples of all files, and the columns to keep. Raises CompileError with the errors of the first files
        that have errors, UsageError."""
        rows, maker = self._read(items)
        return maker.all_samples(rows, self._locator(items, rows), self.forecast)

    def read_parts(
        self, items: Sequence[DataItem], parts: Collection[str] | None
    ) -> tuple[dict[str, PartRows], Sequence[int]]:
        """The samples of all files by their part, and the number of rows of each file. Raises CompileError with the
        errors of the first files that have errors or if a part is empty, UsageError."""
        rows, maker = self._read(items)
        locator = self._locator(items, rows)
        if parts is None:
            return {"train": maker.whole(rows, locator)}, rows.file_sizes
        return maker.samples_by_part(rows, parts, locator), rows.file_sizes

    def _locator(self, items: Sequence[DataItem], rows: Rows) -> RowsOfFiles:
        """Finds rows in the files, which are opened once more."""
        columns = self._column_assignment()
        return RowsOfFiles(items, rows.sizes, self.source, partial(self._open, columns=columns))

    def _read(self, items: Sequence[DataItem]) -> tuple[Rows, SampleMaker]:
        """The rows of all files, and what makes samples of them."""
        columns = self._column_assignment()
        maker = SampleMaker.of(self.data, self.data_spec, columns, self.source)
        has_several = len(items) > 1 or any(item.members for item in items)
        memory = "stream" if has_several and self._stream_together(items) else None
        return replace(self, data_spec=maker.row_spec, memory=memory)._read_rows(items, columns), maker

    def _stream_together(self, items: Sequence[DataItem]) -> bool:
        """Whether several files are too large to be loaded, however small each is."""
        setting = self.data.memory if self.data else "auto"
        return setting == "auto" and streams(setting, sum(map(file_size, items)))

    def _read_rows(self, items: Sequence[DataItem], columns: dict[str, AssignedColumns]) -> Rows:
        """The rows of all files, with the columns to keep and those that divide the rows."""
        parts: list[Rows] = []
        errors: list[Diagnostic] = []
        for item in items:
            collector = ErrorCollector(item.name, self.source)
            part = self._read_item(item, columns, collector)
            if part is not None and not collector:
                parts.append(part)
                self._check_agreement(parts[0].samples, part.samples, items[0].name, collector)
                check_times_agree(parts[0].values, part.values, items[0].name, collector)
                columns |= {key: columns[key]._replace(names=names) for key, names in part.samples.columns.items()}
            errors += collector.diagnostics
            if len(errors) >= MAX_ERRORS:
                break
        if errors:
            raise CompileError(errors)
        collector = ErrorCollector(items[0].name, self.source)
        samples = Dataset.concatenate([part.samples for part in parts]).with_padded_targets()
        samples = with_learned_labels(samples, collector)
        if collector:
            raise CompileError(collector.diagnostics)
        return Rows(
            samples,
            concatenate_kept([part.kept for part in parts]),
            concatenate_row_values([part.values for part in parts]),
            IncompleteRows.concatenate([part.incomplete for part in parts], [len(part.samples) for part in parts]),
            [len(part.samples) for part in parts],
            *concatenate_complete(parts),
            concatenate_kept([part.places for part in parts]),
        )

    def _column_assignment(self) -> dict[str, AssignedColumns]:
        """The columns of each input, and of each target. Raises CompileError for errors of the spec."""
        errors = ErrorCollector(None, self.source)
        columns: dict[str, AssignedColumns] = {}
        spec_inputs = self.data_spec.spec_inputs
        settings = [("x", self.data_spec.inputs, spec_inputs)]
        if self.with_targets:
            settings.append(("y", self.data_spec.targets, self.data_spec.targets))
        for key, names, spec_names in settings:
            setting = getattr(self.data, key, None)
            for error in column_errors(setting, key, spec_names):
                errors.add_in_spec(error.code, error.message, error.path, error.help)
            columns |= assigned_columns(setting, key, names)
        if self.data is not None:
            targets = self.data_spec.targets if self.with_targets else {}
            windows = window_errors(self.data, spec_inputs, targets)
            sequences = sequence_errors(self.data, spec_inputs)
            masks = mask_errors(self.data, self.data_spec.mask_class_counts) if self.with_targets else ()
            separators = self.data_spec.label_separators
            labels = label_separator_errors(self.data, targets, separators) if self.with_targets else ()
            files = file_name_errors(self.data, self.data_spec.inputs, targets) if self.with_targets else ()
            for error in (*split_errors(self.data), *windows, *sequences, *masks, *labels, *files):
                errors.add_in_spec(error.code, error.message, error.path, error.help)
        if self.with_targets:
            weights = getattr(self.data, SAMPLE_WEIGHT, None)
            for error in column_errors(weights, SAMPLE_WEIGHT, self.data_spec.targets):
                errors.add_in_spec(error.code, error.message, error.path, error.help)
            by_output = weight_columns(weights, self.data_spec.sample_weights)
            columns |= {sample_weight_name(output): assigned for output, assigned in by_output.items()}
        if errors:
            raise CompileError(errors.diagnostics)
        return columns

    def _read_item(self, item: DataItem, columns: dict[str, AssignedColumns], errors: ErrorCollector) -> Rows | None:
        """The rows of a file or a folder; None, and errors, if they are invalid."""
        try:
            with ExitStack() as stack:
                table = self._open(item, errors, stack, columns)
                return None if table is None else self._rows(table, item, columns, errors)
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {item.name!r}: {error_reason(error)}") from error

    def _open(
        self, item: DataItem, errors: ErrorCollector, stack: ExitStack, columns: Mapping[str, AssignedColumns]
    ) -> DataTable | None:
        """The table of a file, a folder or several files, which stay open until the stack closes them."""
        if item.members:
            if self.with_targets:  # further files of a prediction have columns to keep
                require_known_names(item, self.data, self.data_spec)
            options = TableOptions.of(self.data, "", self.format)
            options = options._replace(memory=self.memory or options.memory)
            files = {name: open_member(name, own, options, errors, stack) for name, own in item.members.items()}
            opened = {name: file for name, file in files.items() if file is not None}
            return None if errors else combine_files(opened, columns, self.data_spec, errors)
        options = TableOptions.of(self.data, columns[next(iter(self.data_spec.inputs))].names[0], self.format)
        if item.chunk is not None:
            names = [name for assigned in columns.values() for name in assigned.names]
            return item.chunk.read(options._replace(names=(*names, *(self.keep or ()))), errors)
        with item.errors_located():
            if item.open_file is None:
                return self._read_folder(item, errors)
            file = stack.enter_context(item.open_file())
        return read_table(file, item.name, errors, options._replace(memory=self.memory or options.memory))

    def _rows(
        self, table: DataTable, item: DataItem, columns: dict[str, AssignedColumns], errors: ErrorCollector
    ) -> Rows | None:
        data_spec, data = self.data_spec, self.data
        if isinstance(table, FolderTable):
            columns = folder_columns(table, columns, data_spec)
            data_spec = with_folder_labels(table, columns, data_spec, errors)
        if not self.needs_weights:
            columns = without_missing_weights(columns, table, data_spec)
        whole, targets = FileTable(table, errors, item.folder), target_columns(data, data_spec)
        by_key = FilesByKey(table.files if isinstance(table, CombinedTable) else {}, whole, columns, data_spec)
        matched = by_key.match_columns(targets)
        row_values = row_columns(data, with_split=self.with_split)
        kept_names = table.names if self.keep is None else self.keep
        texts = [*kept_names, *(column.name for column in row_values), *label_columns(by_key.columns, data_spec)]
        if not by_key.load(self._missing != "error", texts):
            return None
        future = data.windows.future_inputs if data and data.windows else ()
        read = samples_of_files(by_key.files, by_key.columns, data_spec, data, self._missing, future, errors)
        if read is None:
            return None
        samples, rows, row_count, incomplete = read
        skipping = data is not None and data.skips_damaged_files and not self.with_targets
        names = names_to_keep(self.keep, skipping, table, by_key.columns, data_spec)
        kept = kept_columns(table, names, row_count, errors)
        if rows is not None:
            kept = {name: [column[row] for row in rows.tolist()] for name, column in kept.items()}
        values = read_row_columns(table, row_values, row_count, errors)
        samples = replace(
            samples, columns=matched, shuffle_buffer=data.shuffle_buffer if data else DEFAULT_BUFFER_SAMPLES
        )
        places = (
            {column.name: table.values(column.name) for column in row_values} if self.forecast and not errors else {}
        )
        values = values if rows is None else values_of_rows(values, rows)
        return Rows(samples, kept, values, incomplete, complete=rows, file_sizes=[row_count], places=places)

    @property
    def _missing(self) -> MissingPolicy:
        """What becomes of rows with missing values. A prediction has one for each row, or for each window."""
        windows = self.data.windows if self.data is not None else None
        if windows is not None and windows.future_inputs:
            return "mark"  # the rows of the future lack values
        if self.data is None or self.data.missing == "error":
            return "error"
        if windows is not None:
            return "mark"
        return "drop" if self.with_targets else "error"

    def _read_folder(self, item: DataItem, errors: ErrorCollector) -> FolderTable | None:
        takes_text = any(type.dtype == "string" for type in self.data_spec.inputs.values())
        return read_folder(item.folder, item.name, takes_text, self.with_targets, errors, item.files)

    def _check_agreement(self, first: Dataset, last: Dataset, first_file: str, errors: ErrorCollector) -> None:
        """Adds an error unless the samples of a file have the shapes and the classes of those of the first one."""
        if last.data_spec.labels != first.data_spec.labels:
            message = f"the folder has other classes than {first_file!r}"
            errors.add("data-shape", message, help="list the classes in `labels` of the spec")
        for name, array in [*last.inputs.items(), *last.targets.items()]:
            expected = first.inputs[name] if name in first.inputs else first.targets[name]
            if array.shape[1:] != expected.shape[1:] and not isinstance(array, (Sequences, LabelSets)):
                shape, other = list(array.shape[1:]), list(expected.shape[1:])
                message = f"samples of {self.data_spec.describe(name)} have shape {shape}, in {first_file!r} {other}"
                errors.add("data-shape", message, help="all files need samples of one shape")
