"""Samples from the files that a spec names, from a file that a user names, or from arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError, quoted_list, quoted_or_list, suggestion
from ..core.files import UnsafePath, display_path, error_reason
from ..core.numpy_types import numpy_dtype
from ..core.reserved_names import target_name
from ..core.spec_folders import UNSAFE_DATA_HELP, open_data_file
from ..core.types import TensorType
from ..training.columns import AssignedColumns, assigned_columns, column_faults
from ..training.section import DataSection
from .array_arguments import RaggedArray, is_batch_iterable, is_pair_of_arrays, not_an_array, to_array
from .array_digest import array_digest
from .data_columns import check_columns_exist, read_columns
from .data_errors import FaultCollector, FeedError
from .data_files import DataTable, read_table
from .data_spec import DataSpec
from .spec_source import NO_SPEC, SpecSource
from .training_plan import TrainingPlan
from .validate_arrays import check_consistent_sizes, validate_array

DataArgument = np.ndarray | Mapping[str, Any] | list[Any] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Validated arrays by input and by output name, with the samples along the first axis.

    Arrays keep their element types; a batch is cast when it is taken.
    """

    inputs: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]
    data_spec: DataSpec

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """The arrays of these samples, by the names and in the element types of the graphs."""
        feeds = {name: _take_rows(array, rows, self.data_spec.inputs[name]) for name, array in self.inputs.items()}
        for name, array in self.targets.items():
            feeds[target_name(name)] = _take_rows(array, rows, self.data_spec.targets[name])
        return feeds

    def copy_into(self, buffers: Mapping[str, np.ndarray], rows: np.ndarray | slice) -> None:
        """Copies these samples into existing arrays."""
        for name, buffer in buffers.items():
            array = self._feeds[name]
            if isinstance(rows, slice) or array.dtype != buffer.dtype:
                buffer[...] = array[rows]
            else:
                array.take(rows, axis=0, out=buffer, mode="clip")  # with mode "raise", `take` would buffer its output

    def sample_types(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The shape of one sample and its element type in the graphs, by the names of the graphs' inputs."""
        types = {**self.data_spec.inputs, **{target_name(name): type for name, type in self.data_spec.targets.items()}}
        return {name: (array.shape[1:], numpy_dtype(types[name].dtype)) for name, array in self._feeds.items()}

    @cached_property
    def _feeds(self) -> dict[str, np.ndarray]:
        return {**self.inputs, **{target_name(name): array for name, array in self.targets.items()}}

    def split(self, fraction: float) -> tuple[Dataset, Dataset]:
        """Splits off the last samples, a fraction of all. Raises FeedError if either part would be empty."""
        train_count = int(len(self) * (1.0 - fraction))
        if not 0 < train_count < len(self):
            faults = FaultCollector()
            faults.add("empty-data", f"{len(self)} samples cannot be split with a fraction of {fraction} set aside")
            raise FeedError(faults.diagnostics)
        return self._subset(slice(train_count)), self._subset(slice(train_count, None))

    def _subset(self, rows: slice) -> Dataset:
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        return Dataset(inputs, {name: array[rows] for name, array in self.targets.items()}, self.data_spec)

    @cached_property
    def digest(self) -> str:
        """A hash of the samples' values and their order."""
        return array_digest([*self.inputs.items(), *self.targets.items()])


def _take_rows(array: np.ndarray, rows: np.ndarray | slice, type: TensorType) -> np.ndarray:
    samples = array[rows] if isinstance(rows, slice) else array.take(rows, axis=0)
    return np.ascontiguousarray(samples, numpy_dtype(type.dtype))


# -- from arrays -----------------------------------------------------------------------------------------------------


def from_arrays(x: DataArgument, y: DataArgument, data_spec: DataSpec, *, targets: bool = True) -> Dataset:
    """Samples from arrays, or from dicts of arrays by input and output name. Raises FeedError with every fault."""
    faults = FaultCollector()
    if is_batch_iterable(x):
        faults.add("bad-feed", f"the data {not_an_array(x)}")
        raise FeedError(faults.diagnostics)
    if targets and data_spec.targets and y is None and is_pair_of_arrays(x):
        help = "pass them as two arguments, x and y"
        faults.add("bad-feed", "inputs and targets are given as one argument, a pair of arrays", help=help)
        raise FeedError(faults.diagnostics)
    unchecked = {
        **_arrays_by_name(x, data_spec.inputs, "input", faults),
        **(_arrays_by_name(y, data_spec.targets, "target", faults) if targets else {}),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, array in unchecked.items():
        validated = validate_array(array, name, data_spec, faults)
        if validated is not None:
            arrays[name] = validated
    check_consistent_sizes(arrays, data_spec, faults)
    if faults:
        raise FeedError(faults.diagnostics)
    return _dataset(arrays, data_spec)


def _dataset(arrays: Mapping[str, np.ndarray], data_spec: DataSpec) -> Dataset:
    inputs = {name: arrays[name] for name in data_spec.inputs}
    return Dataset(inputs, {name: arrays[name] for name in data_spec.targets if name in arrays}, data_spec)


def _arrays_by_name(
    argument: DataArgument, types: Mapping[str, TensorType], kind: str, faults: FaultCollector
) -> dict[str, np.ndarray]:
    if not types:
        if argument is not None:
            help = f"leave them out: no output has a loss that compares it with a {kind}"
            faults.add("bad-feed", f"{kind}s are given, and the training has none", help=help)
        return {}
    if not isinstance(argument, Mapping):
        if len(types) != 1 or argument is None:
            faults.add(
                "bad-feed",
                f"{kind}s: give a dict with {quoted_list(types)}" if len(types) > 1 else f"the {kind} is missing",
            )
            return {}
        argument = {next(iter(types)): argument}
    for name in argument:
        if name not in types:
            faults.add(
                "bad-feed",
                f"there is no {kind} {name!r}",
                help=suggestion(str(name), types) or f"known: {quoted_or_list(types)}",
            )
    arrays = {}
    for name in types:
        if name not in argument:
            faults.add("bad-feed", f"the {kind} {name!r} is missing")
            continue
        try:
            arrays[name] = to_array(argument[name])
        except RaggedArray as error:
            faults.add("data-shape", f"the {kind} {name!r} {error}")
        except ValueError as error:
            faults.add("bad-feed", f"the {kind} {name!r} {error}")
    return arrays


# -- from files ------------------------------------------------------------------------------------------------------


def from_spec(plan: TrainingPlan, part: str) -> Dataset | None:
    """The samples of the spec's `train`, `validation` or `test` file; None if the spec names none.

    Raises CompileError with every fault, UsageError if the file cannot be read.
    """
    data = plan.training.data
    if data is None or getattr(data, part) is None:
        return None
    return from_part(data, part, plan.data_spec, plan.source)


def from_part(data: DataSection, part: str, data_spec: DataSpec, source: SpecSource) -> Dataset:
    """The samples of the `train`, `validation` or `test` file that a spec names. Raises as `from_spec` does."""
    path = getattr(data, part)
    position = ("training", "data", part)
    try:
        file = source.folders.open(path, part)
        name = display_path(source.folders.path(path))
    except UnsafePath as error:
        fault = Diagnostic("unsafe-path", str(error), help=UNSAFE_DATA_HELP)
        raise CompileError([source.locate_diagnostic(fault, position)]) from error
    except UsageError as error:
        error.diagnostic = source.locate_diagnostic(error.diagnostic, position)
        raise
    with file:
        return _from_open_file(file, name, data, data_spec, source, targets=True)


def from_file(
    path: str | os.PathLike[str],
    data: DataSection | None,
    data_spec: DataSpec,
    source: SpecSource = NO_SPEC,
    *,
    targets: bool = True,
) -> Dataset:
    """The samples of any file, with the column names of the spec. Raises as `from_spec` does."""
    with open_data_file(path) as file:
        return _from_open_file(file, os.fspath(path), data, data_spec, source, targets=targets)


def inputs_from_stream(
    file: IO[bytes],
    name: str,
    data: DataSection | None,
    data_spec: DataSpec,
    format: str | None = None,
    keep: Sequence[str] | None = (),
) -> tuple[Dataset, dict[str, Sequence[Any]]]:
    """The inputs in an open file, without targets, and the values of further columns as they are in the file.

    `format` replaces the suffix of the file's name. `keep` names the further columns; None stands for all that have one
    value for each sample. Raises as `from_spec` does.
    """
    faults = FaultCollector(name)
    columns = _column_assignment(data, data_spec, faults, targets=False)
    table = _read_table(file, name, columns, data_spec, faults, format)
    samples = _samples(table, columns, data_spec, faults)
    kept = {} if table is None or samples is None else _kept_columns(table, keep, len(samples), faults)
    if faults or samples is None:
        raise CompileError(faults.diagnostics)
    return samples, kept


def _kept_columns(
    table: DataTable, names: Sequence[str] | None, count: int, faults: FaultCollector
) -> dict[str, Sequence[Any]]:
    kept: dict[str, Sequence[Any]] = {}
    for name in dict.fromkeys(table.names if names is None else names):
        if name not in table.names:
            help = suggestion(name, table.names) or f"columns: {quoted_or_list(table.names)}"
            faults.add("missing-column", f"there is no column {name!r} to keep", table.name_location(None), help=help)
            continue
        try:
            values = table.values(name)
        except (CompileError, OSError, ValueError, EOFError) as error:
            if names is not None:
                faults.add("data-shape", f"the column {name!r} cannot be kept: it {error}")
            continue
        if len(values) == count:
            kept[name] = values
        elif names is not None:
            message = f"the column {name!r} cannot be kept: it has {len(values):,} values for {count:,} samples"
            faults.add("data-shape", message)
    return kept


def _from_open_file(
    file: IO[bytes], name: str, data: DataSection | None, data_spec: DataSpec, source: SpecSource, *, targets: bool
) -> Dataset:
    faults = FaultCollector(name, source)
    columns = _column_assignment(data, data_spec, faults, targets=targets)
    samples = _samples(_read_table(file, name, columns, data_spec, faults), columns, data_spec, faults)
    if samples is None:
        raise CompileError(faults.diagnostics)
    return samples


def _column_assignment(
    data: DataSection | None, data_spec: DataSpec, faults: FaultCollector, *, targets: bool
) -> dict[str, AssignedColumns]:
    """The columns of each input, and of each target. Raises CompileError for faults of the spec."""
    columns: dict[str, AssignedColumns] = {}
    settings = [("x", data_spec.inputs), *([("y", data_spec.targets)] if targets else [])]
    for key, names in settings:
        setting = getattr(data, key, None)
        for fault in column_faults(setting, key, names):
            faults.add_in_spec(*fault)
        columns |= assigned_columns(setting, key, names)
    if faults:
        raise CompileError(faults.diagnostics)
    return columns


def _read_table(
    file: IO[bytes],
    name: str,
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    faults: FaultCollector,
    format: str | None = None,
) -> DataTable | None:
    npy_column = columns[next(iter(data_spec.inputs))].names[0]
    try:
        return read_table(file, name, faults, npy_column, format)
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error_reason(error)}") from error


def _samples(
    table: DataTable | None, columns: Mapping[str, AssignedColumns], data_spec: DataSpec, faults: FaultCollector
) -> Dataset | None:
    """The samples in the columns of a table; None, and faults, if they are invalid."""
    arrays: dict[str, np.ndarray] = {}
    if table is not None and check_columns_exist(table, columns, data_spec, faults):
        for key, assigned in columns.items():
            array = read_columns(table, key, assigned.names, data_spec, faults)
            if array is not None:
                arrays[key] = array
        check_consistent_sizes(arrays, data_spec, faults)
    return None if faults else _dataset(arrays, data_spec)
