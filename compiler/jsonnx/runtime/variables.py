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

from ..backend import emit, serialize
from ..ir import Builder
from ..tuning.cpu.embeddings.lazy_updates import BEFORE, INDICES, ByRows
from ..tuning.cpu.memory.pack_weights import Packs
from .flush_denormals import flushing
from .providers import PLAIN, Manners, Provider, create_session, load_runtime
from .session import element_type, runtime_failure

if TYPE_CHECKING:
    from ..ir import Graph

SETS = 3
UPDATED = "next/"
"""What the name of a variable's new value begins with, among a graph's outputs."""
LEVEL = "ORT_ENABLE_EXTENDED"
"""The blocked layouts of ORT_ENABLE_ALL cost reorders and gain nothing while weights are inputs."""
MANY = 20_000
"""Nodes of a graph from which on onnxruntime takes it as it is: what it changes in a graph, and a plan of its memory,
take it a time that grows with the square of the nodes, and bring a fortieth of a step's time at most."""


class Variables(Protocol):
    """Arrays by name, in `SETS` sets; `current` says which is valid."""

    current: int
    sets: list[dict[str, Any]]

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Copies of the current values."""

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """New current values for some variables."""

    def back(self, steps: int) -> None:
        """As they were before the last steps, at most `SETS - 1`, since nothing was written."""


class HostVariables:
    """Variables in ordinary memory. Those of a vector are its parts, which are there by their own names too; what is
    renewed in place, as tables by rows are, has the same place in all sets."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        changing: Iterable[str],
        packs: Packs,
        tables: ByRows | None = None,
        in_place: Collection[str] = (),
    ) -> None:
        """The arrays are taken over: nothing of them is left in the dict, so that there are never two of all."""
        self.current = 0
        self._names = list(arrays)
        self._tables = tables.tables if tables else ()
        self.before: list[dict[str, Any]] = [{} for _ in range(SETS)]
        """The rows that the step wrote that read a set, and what they were, by the names of its outputs."""
        changes = set(changing) - set(in_place) - (tables.variables if tables else set())
        first = _with_vectors({name: _aligned(arrays.pop(name)) for name in self._names}, packs)
        others = [
            _with_vectors(
                {name: _aligned(first[name]) if name in changes else first[name] for name in self._names}, packs
            )
            for _ in range(SETS - 1)
        ]
        self._arrays = [first, *others]
        wrap = load_runtime().OrtValue.ortvalue_from_numpy  # backed by the array's own memory
        self.sets = [{name: wrap(array) for name, array in arrays.items()} for arrays in self._arrays]

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        here = self._arrays[self.current]
        return {name: here[name].copy() for name in (self._names if names is None else names)}

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self._arrays[self.current][name][...] = array

    def back(self, steps: int) -> None:
        for _ in range(steps):
            self.current = (self.current - 1) % SETS
            before = {name: value.numpy() for name, value in self.before[self.current].items()}
            for table in self._tables:
                for name in table.variables:
                    self._arrays[0][name][before[f"{INDICES}{table.weight}"]] = before[f"{BEFORE}{name}"]


def _with_vectors(arrays: dict[str, np.ndarray], packs: Packs) -> dict[str, np.ndarray]:
    """The arrays, those of a vector as views of it, and the vectors."""
    vectors: dict[str, np.ndarray] = {}
    for name, members in packs.items():
        whole = vectors[name] = _aligned(np.concatenate([arrays[member].ravel() for member in members]))
        start = 0
        for member in members:
            end = start + arrays[member].size
            arrays[member] = whole[start:end].reshape(arrays[member].shape)
            start = end
    return arrays | vectors


def _aligned(array: np.ndarray) -> np.ndarray:
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
        self, graph: Graph, arrays: Mapping[str, np.ndarray], changing: Iterable[str], provider: Provider
    ) -> None:
        self.current = 0
        self.sets: list[dict[str, Any]] = []  # before the session, so as to go before it: its allocator made them
        self._changing, self._device = set(changing), provider.device
        g = Builder()
        values = {**graph.parameters, **graph.states}
        copies = {f"{UPDATED}{name}": g.Identity(g.input(name, values[name].type)) for name in arrays}
        self._copier = create_session(serialize(emit(g.graph(copies))), provider, optimization="ORT_DISABLE_ALL")
        self._fill(arrays)

    def _fill(self, arrays: Mapping[str, np.ndarray]) -> None:
        first = dict(zip(arrays, self._copied(arrays), strict=True))
        self.sets[:] = [first]
        for _ in range(SETS - 1):
            copy = dict(zip(arrays, self._copied(arrays), strict=True))
            self.sets.append({n: copy[n] if n in self._changing else first[n] for n in arrays})

    def _copied(self, arrays: Mapping[str, np.ndarray]) -> list[Any]:
        binding = self._copier.io_binding()
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
            binding.bind_output(f"{UPDATED}{name}", self._device)
        self._copier.run_with_iobinding(binding)
        return list(binding.get_outputs())

    def read(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        binding = self._copier.io_binding()
        for name, value in self.sets[self.current].items():
            binding.bind_ortvalue_input(name, value)
            binding.bind_output(f"{UPDATED}{name}", "cpu")
        self._copier.run_with_iobinding(binding)
        arrays = dict(zip(self.sets[0], (value.numpy() for value in binding.get_outputs()), strict=True))
        return {name: arrays[name] for name in (arrays if names is None else names)}

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._fill(self.read() | dict(arrays))
        self.current = 0

    def back(self, steps: int) -> None:
        self.current = (self.current - steps) % SETS


def place(
    graph: Graph,
    arrays: dict[str, np.ndarray],
    provider: Provider,
    packs: Packs,
    tables: ByRows | None = None,
    in_place: Collection[str] = (),
) -> Variables:
    """The variables of a training graph, where the provider wants them. The arrays are taken over."""
    if on_host(graph, provider):
        return HostVariables(arrays, graph.updates, packs, tables, in_place)
    return DeviceVariables(graph, arrays, graph.updates, provider)


def on_host(graph: Graph, provider: Provider) -> bool:
    """Whether variables stay in ordinary memory."""
    return provider.device == "cpu" or takes_text(graph)


def takes_text(graph: Graph) -> bool:
    """Whether an input is text, which cannot be bound: then arrays go in and come out at every step."""
    return any(value.dtype == "string" for value in graph.inputs.values())


class Runner:
    """A graph in onnxruntime that reads the variables and, where it has updates, renews them."""

    def __init__(
        self,
        graph: Graph,
        fetched: Iterable[str],
        variables: Variables,
        provider: Provider,
        threads: int | None,
        kept: Iterable[str] = (),
        manners: Manners = PLAIN,
    ) -> None:
        """`kept` are outputs that the variables need to go back."""
        self._variables, self._device, self._bindable = variables, provider.device, not takes_text(graph)
        # A plan saves 0.2 us a node, and lets the memory of a convolutional network's step grow to almost twice.
        many = len(graph.nodes) >= MANY and self._device == "cpu"
        planned = not graph.is_of_large and not many
        level = "ORT_DISABLE_ALL" if many else LEVEL
        self._session = session = create_session(
            serialize(emit(graph)),
            provider,
            threads,
            manners,
            optimization=level,
            planned=planned,
        )
        self._run: Callable[..., Any] = flushing(session.run) if manners.flushes else session.run
        bound = session.run_with_iobinding
        self._run_bound: Callable[..., Any] = flushing(bound) if manners.flushes else bound
        inputs = {value.name for value in self._session.get_inputs()}
        self.fed = [name for name in (*graph.inputs, *graph.randoms) if name in inputs]
        self._reads = [name for name in (*graph.parameters, *graph.states) if name in inputs]
        self._fetched, self._updates = list(fetched), list(graph.updates)
        self._kept = list(kept)
        self._bindings: dict[int, Any] = {}
        types: dict[str, Any] = {name: graph.outputs[name].type for name in self._fetched}
        self._results: dict[str, np.ndarray] | None = None
        """Places of the fetched outputs, where these have one size for good: to bind them anew takes time."""
        if self._device == "cpu" and all(type.is_fixed() for type in types.values()):
            self._results = {name: np.empty(type.shape, element_type(type.dtype)) for name, type in types.items()}

    @property
    def stays(self) -> bool:
        """Whether arrays that were bound once are read where they lie at every run. A device has copies of them."""
        return self._device == "cpu" and self._bindable

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        try:
            outputs = self._with_bound(feeds) if self._bindable else self._with_plain(feeds)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise runtime_failure(error) from error
        return dict(zip(self._fetched, outputs, strict=False))

    def _with_plain(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        fed = {name: feeds[name] for name in self.fed} | self._variables.read(self._reads)
        names = [*self._fetched, *(f"{UPDATED}{name}" for name in self._updates)]
        results: list[np.ndarray] = self._run(names, fed)
        if self._updates:
            self._variables.current = _following(self._variables.current)
            self._variables.write(dict(zip(self._updates, results[len(self._fetched) :], strict=True)))
        return results

    def _with_bound(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        binding = self._binding()
        for name in self.fed:
            binding.bind_cpu_input(name, feeds[name])
        if self._results is None:
            for name in self._fetched:  # anew: the tensor of the last run would have to have the same shape
                binding.bind_output(name, "cpu")
        here = self._variables.current
        self._run_bound(binding)
        if self._kept:
            self._keep(binding, here)
        if self._updates:
            self._variables.current = _following(here)
        if self._results is not None:
            return [array.copy() for array in self._results.values()]
        return [value.numpy() for value in binding.get_outputs()[: len(self._fetched)]]

    def bound(
        self, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray]
    ) -> Callable[[Mapping[str, np.ndarray]], None]:
        """What runs with these arrays, which stay where they are, and with those that it is called with besides."""
        wrap = load_runtime().OrtValue.ortvalue_from_numpy
        places = {name: wrap(results[name]) for name in self._fetched}
        variables, run_bound, renews = self._variables, self._run_bound, bool(self._updates)
        bindings: list[Any] = [None] * SETS
        keep = self._keep if self._kept else None

        def bind(here: int) -> Any:
            binding = bindings[here] = self._bound(here)
            for name in self.fed:
                if name in feeds:
                    binding.bind_cpu_input(name, feeds[name])
            for name, place in places.items():
                binding.bind_ortvalue_output(name, place)
            return binding

        def run(further: Mapping[str, np.ndarray]) -> None:
            here = variables.current
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
                variables.current = (here + 1) % SETS

        return run

    def _keep(self, binding: Any, here: int) -> None:
        """Takes over what a step gave of what it overwrote. The next one's is as large as it needs."""
        assert isinstance(self._variables, HostVariables)
        found = binding.get_outputs()[-len(self._kept) :]
        self._variables.before[here] = dict(zip(self._kept, found, strict=True))
        for name in self._kept:
            binding.bind_output(name, "cpu")

    def _binding(self) -> Any:
        """What reads the current set and writes the next. Fetched outputs come first.

        Kept on the CPU only: what a device binds is copied there and then where a node on the other side reads it.
        """
        here = self._variables.current
        if self._device != "cpu":
            return self._bound(here)
        if here not in self._bindings:
            self._bindings[here] = self._bound(here)
        return self._bindings[here]

    def _bound(self, here: int) -> Any:
        binding = self._session.io_binding()
        for name in self._reads:
            binding.bind_ortvalue_input(name, self._variables.sets[here][name])
        for name in self._fetched:
            if self._results is None:
                binding.bind_output(name, "cpu")
            else:
                binding.bind_ortvalue_output(name, load_runtime().OrtValue.ortvalue_from_numpy(self._results[name]))
        for name in self._updates:
            binding.bind_ortvalue_output(f"{UPDATED}{name}", self._variables.sets[_following(here)][name])
        for name in self._kept:
            binding.bind_output(name, "cpu")
        return binding


def _following(index: int) -> int:
    return (index + 1) % SETS
