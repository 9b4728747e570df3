"""Weights, states and optimizer slots, kept in the memory of the provider that computes with them.

Every variable that changes has three copies, one in each of three sets. A step reads one set and writes the next, since
onnxruntime does not order a write to a bound tensor after the last read of it; the set before the current one is the
state to return to if the loss diverges. Sets rotate, so bindings to them are made once. On a device
(`device_variables`), losses are read after several steps, and the set before them is kept until then.

Large optimizer slots (`tuning.cpu.memory.inplace_slots`) and lazily updated tables
(`tuning.cpu.embeddings.lazy_updates`) have one copy, which a step overwrites. A rollback restores the tables from the
overwritten rows, which the step returns; overwritten slots cannot be restored. After a step that was interrupted, the
contents of both are undefined.

If the weights are large, they have one copy, too (`tuning.cpu.memory.inplace_updates`). Such a step checks its loss
before it overwrites anything. If it fails later, variables cannot be read until all of them are written.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import rows_before_name, touched_rows_name
from ...core.system.mapped_pages import release_pages
from ...tuning.cpu.embeddings.lazy_updates import LazyTables
from ...tuning.cpu.memory.pack_weights import PackedVectors
from ...tuning.cpu.memory.split_updates import RowSlice
from ..providers.aligned_arrays import AlignedArrays
from ..providers.host_tensors import host_tensor
from ..providers.providers import Provider

if TYPE_CHECKING:
    from ...ir import Graph

SET_COUNT = 3


class DonatedArrays:
    """Arrays that are taken one by one, with the ownership.

    The caller of `take` gets the only reference to an array. Copying donated arrays to other memory therefore never
    needs memory for two copies of all of them.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)

    @property
    def names(self) -> list[str]:
        """The names of the arrays that are not taken yet."""
        return list(self._arrays)

    def take(self, name: str) -> np.ndarray:
        return self._arrays.pop(name)

    def take_all(self) -> dict[str, np.ndarray]:
        arrays, self._arrays = self._arrays, {}
        return arrays


class Variables(Protocol):
    """Arrays by name, in `SET_COUNT` sets; `current_set` is the index of the valid set."""

    current_set: int

    @property
    def sets(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def next_set(self) -> int:
        """The index of the set that the next step writes."""

    def advance(self) -> None:
        """Makes the set that a step has written the current one."""

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Copies of the current values."""

    def views(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """The current values, read-only, until a step or `write` changes them."""

    def types(self) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Element types and shapes."""

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replaces the current values of some variables."""

    def rollback(self, steps: int) -> None:
        """To the values before the last steps: at most `SET_COUNT - 1`, and none older than the last
        `write`."""


class HostVariables:
    """Variables in ordinary memory.

    Members of a packed vector are views of it, which keep their own names. A variable that is updated in place is the
    same array in all sets.
    """

    def __init__(
        self,
        arrays: DonatedArrays,
        updated: Iterable[str],
        packed_vectors: PackedVectors,
        lazy_tables: LazyTables | None = None,
        inplace_names: Collection[str] = (),
        slices: Mapping[str, RowSlice] = {},
        *,
        copies: bool = True,
    ) -> None:
        """Without `copies`, the arrays themselves are the first set, which no step may write."""
        self.current_set = 0
        self.damage: str | None = None
        """Why the variables are unusable, such as a step that failed while it overwrote them; None if they are not."""
        self._names = arrays.names
        self._lazy_tables = lazy_tables.tables if lazy_tables else ()
        self.overwritten_rows: list[dict[str, Any]] = [{} for _ in range(SET_COUNT)]
        """By set: the undo outputs of the step that read the set, the indices and former contents of the rows
        written."""
        self._inplace_names = inplace = {*inplace_names, *(lazy_tables.variable_names if lazy_tables else ())}
        rotating = set(updated).intersection(self._names) - inplace
        memory = AlignedArrays()
        own = memory.adopt if copies else np.ascontiguousarray
        first = {name: own(arrays.take(name)) for name in self._names}
        self._arrays = [first | _pack(first, packed_vectors, memory)]
        for name in itertools.chain(*packed_vectors.values()):
            self._arrays[0][name][...] = first[name]
        rotating.difference_update(*packed_vectors.values())
        for _ in range(SET_COUNT - 1):  # without the values: a step writes all of a set that rotates
            others = {name: memory.zeros(first[name].shape, first[name].dtype) for name in rotating}
            self._arrays.append(first | others | _pack(first, packed_vectors, memory))
        for values in self._arrays:
            values |= {name: _rows(values[rows.variable], rows) for name, rows in slices.items()}
        self.sets = [_OrtValues(arrays) for arrays in self._arrays]

    @property
    def next_set(self) -> int:
        return (self.current_set + 1) % SET_COUNT

    def advance(self) -> None:
        self.current_set = self.next_set

    def require_usable(self) -> None:
        """Raises CompileError `unusable-weights` after a step that damaged them."""
        if self.damage is not None:
            help = "load a checkpoint, or create another Trainer"
            raise CompileError([Diagnostic("unusable-weights", self.damage, help=help)])

    def views(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        self.require_usable()
        current = self._arrays[self.current_set]
        return {name: _read_only(current[name]) for name in (self._names if names is None else names)}

    def types(self) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        return {name: (self._arrays[0][name].dtype, self._arrays[0][name].shape) for name in self._names}

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self.views(names).items()}

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        if arrays.keys() >= self._inplace_names:
            self.damage = None
        self.require_usable()
        for name, array in arrays.items():
            self._arrays[self.current_set][name][...] = array
            release_pages(array)

    def rollback(self, steps: int) -> None:
        for _ in range(steps):
            self.current_set = (self.current_set - 1) % SET_COUNT
            undo = {name: value.numpy() for name, value in self.overwritten_rows[self.current_set].items()}
            for table in self._lazy_tables:
                for name in table.variable_names:
                    self._arrays[0][name][undo[touched_rows_name(table.weight)]] = undo[rows_before_name(name)]


def _pack(
    arrays: Mapping[str, np.ndarray], packed_vectors: PackedVectors, memory: AlignedArrays
) -> dict[str, np.ndarray]:
    """New vectors, and their members, which are views of them."""
    vectors: dict[str, np.ndarray] = {}
    for vector_name, members in packed_vectors.items():
        size = sum(arrays[member].size for member in members)
        vector = vectors[vector_name] = memory.zeros((size,), arrays[members[0]].dtype)
        start = 0
        for member in members:
            end = start + arrays[member].size
            vectors[member] = vector[start:end].reshape(arrays[member].shape)
            start = end
    return vectors


class _OrtValues(Mapping[str, Any]):
    """Tensors of onnxruntime that share the memory of arrays, made when they are first read."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = host_tensor(self._arrays[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _rows(array: np.ndarray, rows: RowSlice) -> np.ndarray:
    """The view of some rows of an array."""
    return array.reshape(-1, array.shape[-1])[rows.start : rows.end]


def is_on_host(graph: Graph, provider: Provider) -> bool:
    """Whether the variables of a graph are kept in ordinary memory."""
    return provider.device == "cpu" or has_string_inputs(graph)


def has_string_inputs(graph: Graph) -> bool:
    """Whether an input holds strings, which onnxruntime cannot bind: every run then copies all inputs and outputs."""
    return any(value.dtype == "string" for value in graph.inputs.values())
