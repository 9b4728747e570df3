"""Samples: from the files that a spec names, from a file that a user names, or from arrays.

The spec's `x` and `y` say which column is what. One name, or a list of them, is the only input's (or target's); an
object gives each input its own; an input that is not mentioned takes the column that bears its name. Several columns
become one [samples, columns] array.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import IO, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError, listed, path_text, suggestion
from ..core.files import UnsafePath, open_beneath, open_file, shown
from ..core.types import TensorType
from ..training.reserved_names import target_name
from ..training.section import Data
from .data_errors import Faults, FeedError
from .data_files import Table, read_table
from .session import element_type
from .training_plan import Plan
from .validate_arrays import Wanted, agree, conform

Arrays = np.ndarray | Mapping[str, Any] | list[Any] | None


@dataclass(frozen=True, eq=False)
class Samples:
    """Checked arrays by input and by output name, the samples along their first axis.

    They keep the element type they came in: a batch is cast when it is taken.
    """

    inputs: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]
    wanted: Wanted

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
        """These samples, by the names and in the element types that the graphs have."""
        feeds = {name: _taken(array, rows, self.wanted.inputs[name]) for name, array in self.inputs.items()}
        for name, array in self.targets.items():
            feeds[target_name(name)] = _taken(array, rows, self.wanted.targets[name])
        return feeds

    def take_into(self, places: Mapping[str, np.ndarray], rows: np.ndarray | slice) -> None:
        """The same, into arrays that are there."""
        for name, place in places.items():
            array = self._fed[name]
            if isinstance(rows, slice) or array.dtype != place.dtype:
                place[...] = array[rows]
            else:
                array.take(rows, axis=0, out=place, mode="clip")  # without a copy between; all rows are there

    def sizes(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The shape of one sample, and its element type in the graphs, by the names that these have."""
        types = {**self.wanted.inputs, **{target_name(name): type for name, type in self.wanted.targets.items()}}
        return {name: (array.shape[1:], element_type(types[name].dtype)) for name, array in self._fed.items()}

    @cached_property
    def _fed(self) -> dict[str, np.ndarray]:
        return {**self.inputs, **{target_name(name): array for name, array in self.targets.items()}}

    def split(self, share: float) -> tuple[Samples, Samples]:
        """All but the last share of the samples, and these. FeedError where one would be empty."""
        first = int(len(self) * (1.0 - share))
        if not 0 < first < len(self):
            faults = Faults()
            faults.add("empty-data", f"{len(self)} samples cannot be split with a share of {share} set aside")
            raise FeedError(faults.found)
        return self._part(slice(first)), self._part(slice(first, None))

    def _part(self, rows: slice) -> Samples:
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        return Samples(inputs, {name: array[rows] for name, array in self.targets.items()}, self.wanted)

    @cached_property
    def digest(self) -> str:
        """Stands for the samples' values and order."""
        digest = blake2b(digest_size=16)
        for name, array in [*self.inputs.items(), *self.targets.items()]:
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _taken(array: np.ndarray, rows: np.ndarray | slice, type: TensorType) -> np.ndarray:
    part = array[rows] if isinstance(rows, slice) else array.take(rows, axis=0)
    return np.ascontiguousarray(part, element_type(type.dtype))


# -- from arrays -----------------------------------------------------------------------------------------------------


def from_arrays(x: Arrays, y: Arrays, wanted: Wanted, *, targets: bool = True) -> Samples:
    """Samples of arrays, or of dicts of them by input and output name. Raises FeedError with every fault."""
    faults = Faults()
    found = {
        **_by_name(x, wanted.inputs, "input", faults),
        **(_by_name(y, wanted.targets, "target", faults) if targets else {}),
    }
    arrays: dict[str, np.ndarray] = {}
    for name, array in found.items():
        type = wanted.inputs.get(name) or wanted.targets[name]
        shaped = conform(array, type, wanted.title(name), wanted.limits.get(name), faults)
        if shaped is not None:
            arrays[name] = shaped
    agree(arrays, wanted, faults)
    if faults:
        raise FeedError(faults.found)
    return _samples(arrays, wanted)


def _samples(arrays: Mapping[str, np.ndarray], wanted: Wanted) -> Samples:
    inputs = {name: arrays[name] for name in wanted.inputs}
    return Samples(inputs, {name: arrays[name] for name in wanted.targets if name in arrays}, wanted)


def _by_name(given: Arrays, types: Mapping[str, TensorType], kind: str, faults: Faults) -> dict[str, np.ndarray]:
    if not isinstance(given, Mapping):
        if len(types) != 1 or given is None:
            faults.add(
                "bad-feed", f"{kind}s: give a dict with {listed(types)}" if len(types) > 1 else f"the {kind} is missing"
            )
            return {}
        given = {next(iter(types)): given}
    for name in given:
        if name not in types:
            faults.add(
                "bad-feed",
                f"there is no {kind} {name!r}",
                help=suggestion(str(name), types) or f"known: {listed(types)}",
            )
    arrays = {}
    for name in types:
        if name not in given:
            faults.add("bad-feed", f"the {kind} {name!r} is missing")
            continue
        try:
            arrays[name] = np.asarray(given[name])
        except ValueError:
            faults.add("data-shape", f"the {kind} {name!r} is ragged: its parts have different lengths")
    return arrays


# -- from files ------------------------------------------------------------------------------------------------------


def from_spec(plan: Plan, part: str) -> Samples | None:
    """The samples of the spec's `train`, `validation` or `test` file; None where the spec names none.

    Raises CompileError with every fault, UsageError where the file cannot be read.
    """
    data = plan.training.data
    path = getattr(data, part) if data is not None else None
    if data is None or path is None:
        return None
    try:
        file = open_beneath(plan.folder, path)
    except UnsafePath as error:
        place = Diagnostic("unsafe-path", str(error), help="name a file beneath the spec's folder")
        raise CompileError([_in_spec(plan, part, place)]) from error
    except UsageError as error:
        error.diagnostic = _in_spec(plan, part, error.diagnostic)
        raise
    with file:
        return _from(file, shown(plan.folder / path), data, plan.wanted, targets=True)


def _in_spec(plan: Plan, part: str, fault: Diagnostic) -> Diagnostic:
    """The fault at the place where the spec names a file."""
    path = ("training", "data", part)
    line, column = (plan.locate(path, False) if plan.locate else None) or (None, None)
    return replace(fault, path=path_text(path), file=plan.file, line=line, column=column)


def from_file(path: str | os.PathLike[str], data: Data | None, wanted: Wanted, *, targets: bool = True) -> Samples:
    """The samples of any file, its columns named as the spec's are. Raises as `from_spec` does."""
    with open_file(path) as file:
        return _from(file, os.fspath(path), data, wanted, targets=targets)


def _from(file: IO[bytes], name: str, data: Data | None, wanted: Wanted, *, targets: bool) -> Samples:
    faults = Faults(name)
    columns = _columns(data.x if data else None, wanted.inputs, "x", faults)
    if targets:
        columns |= _columns(data.y if data else None, wanted.targets, "y", faults)
    alone = next((columns[name][0] for name in wanted.inputs if name in columns), "")
    try:
        table = read_table(file, name, faults, alone)
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error.strerror}") from error
    arrays: dict[str, np.ndarray] = {}
    if table is not None and _present(table, columns, wanted, faults):
        for key, names in columns.items():
            array = _assembled(table, key, names, wanted, faults)
            if array is not None:
                arrays[key] = array
        agree(arrays, wanted, faults)
    if faults:
        raise CompileError(faults.found)
    return _samples(arrays, wanted)


def _columns(given: Any, types: Mapping[str, TensorType], key: str, faults: Faults) -> dict[str, tuple[str, ...]]:
    """The columns of every input or target."""
    path = f"$.training.data.{key}"
    if isinstance(given, Mapping):
        for name in given:
            if name not in types:
                faults.add("unknown-name", f"{key!r} maps {name!r}, known are {listed(types)}", path=f"{path}.{name}")
    elif given is not None:
        if len(types) > 1:
            message = f"{key!r} names columns but not whose: there are {listed(types)}"
            faults.add("ambiguous-columns", message, path=path, help="give an object: columns by name")
            return {}
        given = dict.fromkeys(types, given)
    named = {name: (given or {}).get(name, name) for name in types}
    return {name: (columns,) if isinstance(columns, str) else tuple(columns) for name, columns in named.items()}


def _present(table: Table, columns: Mapping[str, tuple[str, ...]], wanted: Wanted, faults: Faults) -> bool:
    for key, names in columns.items():
        path = f"$.training.data.{'x' if key in wanted.inputs else 'y'}"
        for name in names:
            if name not in table.names:
                help = suggestion(name, table.names) or f"columns: {listed(table.names)}"
                faults.add(
                    "missing-column", f"there is no column {name!r} for {wanted.title(key)}", path=path, help=help
                )
    return not faults


def _assembled(table: Table, key: str, names: tuple[str, ...], wanted: Wanted, faults: Faults) -> np.ndarray | None:
    """One input's or target's array, of one column or several side by side."""
    type = wanted.inputs.get(key) or wanted.targets[key]
    parts = [table.column(name, type, wanted.labels.get(key, ()), faults) for name in names]
    found = [part for part in parts if part is not None]
    if not names:
        faults.add("missing-column", f"the list of columns for {wanted.title(key)} is empty")
    if len(found) < len(parts) or not found:
        return None
    try:
        array = found[0] if len(found) == 1 else np.column_stack(found)
    except ValueError:
        shapes = ", ".join(str(list(part.shape)) for part in found)
        faults.add(
            "data-shape", f"the columns of {wanted.title(key)} cannot stand side by side: their shapes are {shapes}"
        )
        return None
    return conform(array, type, wanted.title(key), wanted.limits.get(key), faults, table.places(names))
