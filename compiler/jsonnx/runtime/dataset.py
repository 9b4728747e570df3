"""Samples from the files that a spec names, from a file that a user names, or from arrays.

The spec's `x` and `y` assign columns of a file to inputs and targets. A name or a list of names belongs to the only
input (or target); an object assigns columns by input name; an input that is not mentioned takes the column of its own
name. Several columns become one [samples, columns] array.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError, quoted_or_list, suggestion
from ..core.files import UnsafePath, display_path, open_beneath, open_file
from ..core.numpy_types import numpy_dtype
from ..core.reserved_names import target_name
from ..core.types import TensorType
from ..training.section import DataSection
from .array_arguments import RaggedArray, is_batch_iterable, not_an_array, to_array
from .array_digest import array_digest
from .data_errors import FaultCollector, FeedError
from .data_files import DataTable, read_table
from .training_plan import TrainingPlan
from .validate_arrays import DataSpec, check_consistent_sizes, validate_array

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
    unchecked = {
        **_arrays_by_name(x, data_spec.inputs, "input", faults),
        **(_arrays_by_name(y, data_spec.targets, "target", faults) if targets else {}),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, array in unchecked.items():
        type = data_spec.inputs.get(name) or data_spec.targets[name]
        validated = validate_array(array, type, data_spec.describe(name), data_spec.index_ranges.get(name), faults)
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
                f"{kind}s: give a dict with {quoted_or_list(types)}" if len(types) > 1 else f"the {kind} is missing",
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
    path = getattr(data, part) if data is not None else None
    if data is None or path is None:
        return None
    try:
        file = open_beneath(plan.source.folder, path)
    except UnsafePath as error:
        fault = Diagnostic("unsafe-path", str(error), help="name a file beneath the spec's folder")
        raise CompileError([plan.source.locate_diagnostic(fault, ("training", "data", part))]) from error
    except UsageError as error:
        error.diagnostic = plan.source.locate_diagnostic(error.diagnostic, ("training", "data", part))
        raise
    with file:
        return _from_open_file(file, display_path(plan.source.folder / path), data, plan.data_spec, targets=True)


def from_file(
    path: str | os.PathLike[str], data: DataSection | None, data_spec: DataSpec, *, targets: bool = True
) -> Dataset:
    """The samples of any file, with the column names of the spec. Raises as `from_spec` does."""
    with open_file(path) as file:
        return _from_open_file(file, os.fspath(path), data, data_spec, targets=targets)


def _from_open_file(
    file: IO[bytes], name: str, data: DataSection | None, data_spec: DataSpec, *, targets: bool
) -> Dataset:
    faults = FaultCollector(name)
    columns = _column_names(data.x if data else None, data_spec.inputs, "x", faults)
    if targets:
        columns |= _column_names(data.y if data else None, data_spec.targets, "y", faults)
    npy_column = next((columns[name][0] for name in data_spec.inputs if name in columns), "")
    try:
        table = read_table(file, name, faults, npy_column)
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error.strerror}") from error
    arrays: dict[str, np.ndarray] = {}
    if table is not None and _check_columns_exist(table, columns, data_spec, faults):
        for key, names in columns.items():
            array = _read_columns(table, key, names, data_spec, faults)
            if array is not None:
                arrays[key] = array
        check_consistent_sizes(arrays, data_spec, faults)
    if faults:
        raise CompileError(faults.diagnostics)
    return _dataset(arrays, data_spec)


def _column_names(
    setting: Any, types: Mapping[str, TensorType], key: str, faults: FaultCollector
) -> dict[str, tuple[str, ...]]:
    """The columns of each input or target, as the spec's `x` or `y` assigns them."""
    path = f"$.training.data.{key}"
    if isinstance(setting, Mapping):
        for name in setting:
            if name not in types:
                faults.add(
                    "unknown-name",
                    f"{key!r} maps {name!r}; the names are {quoted_or_list(types)}",
                    path=f"{path}.{name}",
                )
    elif setting is not None:
        if len(types) > 1:
            message = f"{key!r} names columns without saying for which of {quoted_or_list(types)}"
            faults.add("ambiguous-columns", message, path=path, help="give an object of columns by name")
            return {}
        setting = dict.fromkeys(types, setting)
    assigned = {name: (setting or {}).get(name, name) for name in types}
    return {name: (columns,) if isinstance(columns, str) else tuple(columns) for name, columns in assigned.items()}


def _check_columns_exist(
    table: DataTable, columns: Mapping[str, tuple[str, ...]], data_spec: DataSpec, faults: FaultCollector
) -> bool:
    for key, names in columns.items():
        path = f"$.training.data.{'x' if key in data_spec.inputs else 'y'}"
        for name in names:
            if name not in table.names:
                help = suggestion(name, table.names) or f"columns: {quoted_or_list(table.names)}"
                faults.add(
                    "missing-column", f"there is no column {name!r} for {data_spec.describe(key)}", path=path, help=help
                )
    return not faults


def _read_columns(
    table: DataTable, key: str, names: tuple[str, ...], data_spec: DataSpec, faults: FaultCollector
) -> np.ndarray | None:
    """The array of an input or a target, from one column or from several, stacked along the last axis."""
    type = data_spec.inputs.get(key) or data_spec.targets[key]
    columns = [table.column(name, type, data_spec.labels.get(key, ()), faults) for name in names]
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
    return validate_array(
        array, type, data_spec.describe(key), data_spec.index_ranges.get(key), faults, table.element_locator(names)
    )
