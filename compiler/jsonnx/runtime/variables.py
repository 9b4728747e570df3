"""Weights and slots, kept where the provider computes, and the graphs that read and renew them.

There are three sets of every variable that changes. A step reads one set and writes the next, so nothing is bound to
the place it is read from (nothing orders the write after the last read), and the set before the last step is there to
go back to. The bindings are made once: making them anew took a tenth of a small step.

Large slots of an optimizer (`tuning.cpu.memory.inplace_slots`) and tables that are renewed by rows
(`tuning.cpu.embeddings.lazy_updates`) are there once:
what is written was made of what was read. To go back there are the rows that the last steps wrote, as they were before;
large slots do not go back. Neither slots nor rows are as they were where a step did not end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..backend import serialize, to_model_proto
from ..core.reserved_names import next_name, rows_before_name, touched_rows_name
from ..ir import Builder
from ..tuning.cpu.embeddings.lazy_updates import LazyTables
from ..tuning.cpu.memory.pack_weights import PackedVectors
from .flush_denormals import with_denormals_flushed
from .providers import DEFAULT_CONFIG, Provider, SessionConfig, create_session, load_runtime
from .session import numpy_dtype, runtime_failure

if TYPE_CHECKING:
    from ..ir import Graph

SET_COUNT = 3
OPTIMIZATION_LEVEL = "ORT_ENABLE_EXTENDED"
"""The blocked layouts of ORT_ENABLE_ALL cost reorders and gain nothing while weights are inputs."""
MIN_UNOPTIMIZED_NODES = 20_000
"""Nodes of a graph from which on onnxruntime takes it as it is: what it changes in a graph, and a plan of its memory,
take it a time that grows with the square of the nodes, and bring a fortieth of a step's time at most."""


class Variables(Protocol):
    """Arrays by name, in `SET_COUNT` sets; `current_set` says which is valid."""

    current_set: int
    sets: list[dict[str, Any]]

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Copies of the current values."""

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """New current values for some variables."""

    def rollback(self, steps: int) -> None:
        """As they were before the last steps, at most `SETS - 1`, since nothing was written."""


class HostVariables:
    """Variables in ordinary memory. Those of a vector are its parts, which are there by their own names too; what is
    renewed in place, as tables by rows are, has the same place in all sets."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        updated: Iterable[str],
        packs: PackedVectors,
        lazy_tables: LazyTables | None = None,
        inplace_slots: Collection[str] = (),
    ) -> None:
        """The arrays are taken over: nothing of them is left in the dict, so that there are never two of all."""
        self.current_set = 0
        self._names = list(arrays)
        self._lazy_tables = lazy_tables.tables if lazy_tables else ()
        self.overwritten_rows: list[dict[str, Any]] = [{} for _ in range(SET_COUNT)]
        """The rows that the step wrote that read a set, and what they were, by the names of its outputs."""
        changes = set(updated) - set(inplace_slots) - (lazy_tables.variable_names if lazy_tables else set())
        first = _with_packed_vectors({name: _aligned_copy(arrays.pop(name)) for name in self._names}, packs)
        others = [
            _with_packed_vectors(
                {name: _aligned_copy(first[name]) if name in changes else first[name] for name in self._names}, packs
            )
            for _ in range(SET_COUNT - 1)
        ]
        self._arrays = [first, *others]
        wrap = load_runtime().OrtValue.ortvalue_from_numpy  # backed by the array's own memory
        self.sets = [{name: wrap(array) for name, array in arrays.items()} for arrays in self._arrays]

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        here = self._arrays[self.current_set]
        return {name: here[name].copy() for name in (self._names if names is None else names)}

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self._arrays[self.current_set][name][...] = array

    def rollback(self, steps: int) -> None:
        for _ in range(steps):
            self.current_set = (self.current_set - 1) % SET_COUNT
            before = {name: value.numpy() for name, value in self.overwritten_rows[self.current_set].items()}
            for table in self._lazy_tables:
                for name in table.variable_names:
                    self._arrays[0][name][before[touched_rows_name(table.weight)]] = before[rows_before_name(name)]


def _with_packed_vectors(arrays: dict[str, np.ndarray], packs: PackedVectors) -> dict[str, np.ndarray]:
    """The arrays, those of a vector as views of it, and the vectors."""
    vectors: dict[str, np.ndarray] = {}
    for name, members in packs.items():
        whole = vectors[name] = _aligned_copy(np.concatenate([arrays[member].ravel() for member in members]))
        start = 0
        for member in members:
            end = start + arrays[member].size
            arrays[member] = whole[start:end].reshape(arrays[member].shape)
            start = end
    return arrays | vectors


def _aligned_copy(array: np.ndarray) -> np.ndarray:
    """A copy at an address that suits the widest vector instructions."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class DeviceVariables:
    """Variables in the memory of a device.

    They get there as results of a graph that computes nothing: the one way that works with every provider.
    """

    def __init__(
        self, graph: Graph, arrays: Mapping[str, np.ndarray], updated: Iterable[str], provider: Provider
    ) -> None:
        self.current_set = 0
        self.sets: list[dict[str, Any]] = []  # before the session, so as to go before it: its allocator made them
        self._updated, self._device = set(updated), provider.device
        g = Builder()
        values = {**graph.parameters, **graph.states}
        copies = {next_name(name): g.Identity(g.input(name, values[name].type)) for name in arrays}
        self._copy_session = create_session(
            serialize(to_model_proto(g.graph(copies))), provider, optimization="ORT_DISABLE_ALL"
        )
        self._fill(arrays)

    def _fill(self, arrays: Mapping[str, np.ndarray]) -> None:
        first = dict(zip(arrays, self._copy_to_device(arrays), strict=True))
        self.sets[:] = [first]
        for _ in range(SET_COUNT - 1):
            copy = dict(zip(arrays, self._copy_to_device(arrays), strict=True))
            self.sets.append({n: copy[n] if n in self._updated else first[n] for n in arrays})

    def _copy_to_device(self, arrays: Mapping[str, np.ndarray]) -> list[Any]:
        binding = self._copy_session.io_binding()
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
            binding.bind_output(next_name(name), self._device)
        self._copy_session.run_with_iobinding(binding)
        return list(binding.get_outputs())

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        binding = self._copy_session.io_binding()
        for name, value in self.sets[self.current_set].items():
            binding.bind_ortvalue_input(name, value)
            binding.bind_output(next_name(name), "cpu")
        self._copy_session.run_with_iobinding(binding)
        arrays = dict(zip(self.sets[0], (value.numpy() for value in binding.get_outputs()), strict=True))
        return {name: arrays[name] for name in (arrays if names is None else names)}

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._fill(self.read() | dict(arrays))
        self.current_set = 0

    def rollback(self, steps: int) -> None:
        self.current_set = (self.current_set - steps) % SET_COUNT


def allocate_variables(
    graph: Graph,
    arrays: dict[str, np.ndarray],
    provider: Provider,
    packs: PackedVectors,
    lazy_tables: LazyTables | None = None,
    inplace_slots: Collection[str] = (),
) -> Variables:
    """The variables of a training graph, where the provider wants them. The arrays are taken over."""
    if is_on_host(graph, provider):
        return HostVariables(arrays, graph.updates, packs, lazy_tables, inplace_slots)
    return DeviceVariables(graph, arrays, graph.updates, provider)


def is_on_host(graph: Graph, provider: Provider) -> bool:
    """Whether variables stay in ordinary memory."""
    return provider.device == "cpu" or has_string_inputs(graph)


def has_string_inputs(graph: Graph) -> bool:
    """Whether an input is text, which cannot be bound: then arrays go in and come out at every step."""
    return any(value.dtype == "string" for value in graph.inputs.values())


class Runner:
    """A graph in onnxruntime that reads the variables and, where it has updates, renews them."""

    def __init__(
        self,
        graph: Graph,
        fetched_names: Iterable[str],
        variables: Variables,
        provider: Provider,
        threads: int | None,
        undo_outputs: Iterable[str] = (),
        session_config: SessionConfig = DEFAULT_CONFIG,
    ) -> None:
        """`undo_outputs` are outputs that the variables need to go back."""
        self._variables, self._device, self._bindable = variables, provider.device, not has_string_inputs(graph)
        # A plan saves 0.2 us a node, and lets the memory of a convolutional network's step grow to almost twice.
        many = len(graph.nodes) >= MIN_UNOPTIMIZED_NODES and self._device == "cpu"
        planned = not graph.is_compute_bound and not many
        level = "ORT_DISABLE_ALL" if many else OPTIMIZATION_LEVEL
        self._session = session = create_session(
            serialize(to_model_proto(graph)),
            provider,
            threads,
            session_config,
            optimization=level,
            memory_pattern=planned,
        )
        self._run: Callable[..., Any] = (
            with_denormals_flushed(session.run) if session_config.flush_denormals else session.run
        )
        bound = session.run_with_iobinding
        self._run_bound: Callable[..., Any] = with_denormals_flushed(bound) if session_config.flush_denormals else bound
        inputs = {value.name for value in self._session.get_inputs()}
        self.fed_names = [name for name in (*graph.inputs, *graph.randoms) if name in inputs]
        self._read_names = [name for name in (*graph.parameters, *graph.states) if name in inputs]
        self._fetched_names, self._updates = list(fetched_names), list(graph.updates)
        self._undo_outputs = list(undo_outputs)
        self._bindings: dict[int, Any] = {}
        types: dict[str, Any] = {name: graph.outputs[name].type for name in self._fetched_names}
        self._result_arrays: dict[str, np.ndarray] | None = None
        """Places of the fetched outputs, where these have one size for good: to bind them anew takes time."""
        if self._device == "cpu" and all(type.is_static() for type in types.values()):
            self._result_arrays = {name: np.empty(type.shape, numpy_dtype(type.dtype)) for name, type in types.items()}

    @property
    def keeps_bindings(self) -> bool:
        """Whether arrays that were bound once are read where they lie at every run. A device has copies of them."""
        return self._device == "cpu" and self._bindable

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        try:
            outputs = self._call_bound(feeds) if self._bindable else self._call_unbound(feeds)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise runtime_failure(error) from error
        return dict(zip(self._fetched_names, outputs, strict=False))

    def _call_unbound(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        fed = {name: feeds[name] for name in self.fed_names} | self._variables.read(self._read_names)
        names = [*self._fetched_names, *(next_name(name) for name in self._updates)]
        results: list[np.ndarray] = self._run(names, fed)
        if self._updates:
            self._variables.current_set = _next_set(self._variables.current_set)
            self._variables.write(dict(zip(self._updates, results[len(self._fetched_names) :], strict=True)))
        return results

    def _call_bound(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        binding = self._current_binding()
        for name in self.fed_names:
            binding.bind_cpu_input(name, feeds[name])
        if self._result_arrays is None:
            for name in self._fetched_names:  # anew: the tensor of the last run would have to have the same shape
                binding.bind_output(name, "cpu")
        here = self._variables.current_set
        self._run_bound(binding)
        if self._undo_outputs:
            self._store_undo_outputs(binding, here)
        if self._updates:
            self._variables.current_set = _next_set(here)
        if self._result_arrays is not None:
            return [array.copy() for array in self._result_arrays.values()]
        return [value.numpy() for value in binding.get_outputs()[: len(self._fetched_names)]]

    def bind(
        self, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray]
    ) -> Callable[[Mapping[str, np.ndarray]], None]:
        """What runs with these arrays, which stay where they are, and with those that it is called with besides."""
        wrap = load_runtime().OrtValue.ortvalue_from_numpy
        places = {name: wrap(results[name]) for name in self._fetched_names}
        variables, run_bound, renews = self._variables, self._run_bound, bool(self._updates)
        bindings: list[Any] = [None] * SET_COUNT
        keep = self._store_undo_outputs if self._undo_outputs else None

        def bind(here: int) -> Any:
            binding = bindings[here] = self._new_binding(here)
            for name in self.fed_names:
                if name in feeds:
                    binding.bind_cpu_input(name, feeds[name])
            for name, place in places.items():
                binding.bind_ortvalue_output(name, place)
            return binding

        def run(further: Mapping[str, np.ndarray]) -> None:
            here = variables.current_set
            binding = bindings[here] or bind(here)
            for name in further:
                binding.bind_cpu_input(name, further[name])
            try:
                run_bound(binding)
            except Exception as error:  # onnxruntime's exceptions share no base of their own
                raise runtime_failure(error) from error
            if keep is not None:
                keep(binding, here)
            if renews:
                variables.current_set = (here + 1) % SET_COUNT

        return run

    def _store_undo_outputs(self, binding: Any, here: int) -> None:
        """Takes over what a step gave of what it overwrote. The next one's is as large as it needs."""
        assert isinstance(self._variables, HostVariables)
        found = binding.get_outputs()[-len(self._undo_outputs) :]
        self._variables.overwritten_rows[here] = dict(zip(self._undo_outputs, found, strict=True))
        for name in self._undo_outputs:
            binding.bind_output(name, "cpu")

    def _current_binding(self) -> Any:
        """What reads the current set and writes the next. Fetched outputs come first.

        Kept on the CPU only: what a device binds is copied there and then where a node on the other side reads it.
        """
        here = self._variables.current_set
        if self._device != "cpu":
            return self._new_binding(here)
        if here not in self._bindings:
            self._bindings[here] = self._new_binding(here)
        return self._bindings[here]

    def _new_binding(self, here: int) -> Any:
        binding = self._session.io_binding()
        for name in self._read_names:
            binding.bind_ortvalue_input(name, self._variables.sets[here][name])
        for name in self._fetched_names:
            if self._result_arrays is None:
                binding.bind_output(name, "cpu")
            else:
                binding.bind_ortvalue_output(
                    name, load_runtime().OrtValue.ortvalue_from_numpy(self._result_arrays[name])
                )
        for name in self._updates:
            binding.bind_ortvalue_output(next_name(name), self._variables.sets[_next_set(here)][name])
        for name in self._undo_outputs:
            binding.bind_output(name, "cpu")
        return binding


def _next_set(index: int) -> int:
    return (index + 1) % SET_COUNT
