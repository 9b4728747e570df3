"""Runs a graph in onnxruntime over variables: the graph reads them and, if it has updates, writes their next values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backend import serialize, to_model_proto
from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import LOSS, next_name
from ...ir import with_vocabularies
from ...tuning.cpu.memory.inplace_updates import LOSS_CHECK_SCOPE
from ..providers.flush_denormals import with_denormals_flushed
from ..providers.provider_errors import runtime_failure
from ..providers.providers import (
    DEFAULT_CONFIG,
    Provider,
    SessionConfig,
    create_session,
    load_runtime,
    resolve_provider,
)
from ..providers.random import with_mask_types
from ..providers.static_shapes import set_sizes
from .variables import SET_COUNT, DonatedArrays, HostVariables, Variables, has_string_inputs

if TYPE_CHECKING:
    import onnxruntime

    from ...core.types import TensorType
    from ...ir import Graph

OPTIMIZATION_LEVEL = "ORT_ENABLE_EXTENDED"
"""ORT_ENABLE_ALL would add reorders to blocked layouts, without gain while weights are inputs."""
MIN_UNOPTIMIZED_NODES = 20_000
"""Maximum number of nodes of a graph that onnxruntime optimizes and plans memory for: both take time quadratic in the
number of nodes, and make a step little faster."""

MIN_RELEASED_BYTES = 1 << 20
"""Minimum size of a fed array, in bytes, that a binding releases after the run: each set of variables has a binding."""

RunFunction = Callable[[Mapping[str, np.ndarray]], None]
"""Runs a graph over bound arrays and the further feeds that it is called with."""


class LossNotFinite(Exception):
    """The loss of a step that overwrites variables in place, or a norm of its gradients, is NaN or infinite. The
    variables are unchanged."""


class Runner:
    """A graph in onnxruntime, over some variables."""

    def __init__(
        self,
        graph: Graph,
        fetched_names: Iterable[str],
        variables: Variables,
        provider: Provider,
        threads: int | None,
        undo_outputs: Iterable[str] = (),
        session_config: SessionConfig = DEFAULT_CONFIG,
        sizes: Mapping[str, int] = {},
    ) -> None:
        """`undo_outputs` names outputs that a rollback of the variables needs; `sizes` are the only ones that symbols
        of the inputs will have."""
        self._variables, self._device, self._is_bindable = variables, provider.device, not has_string_inputs(graph)
        self._sizes = sizes
        self._session = session = self._create_session(graph, provider, threads, session_config)
        run, run_bound = session.run, session.run_with_iobinding
        flushes = session_config.flush_denormals
        self._run: Callable[..., Any] = with_denormals_flushed(run) if flushes else run
        self._run_bound: Callable[..., Any] = with_denormals_flushed(run_bound) if flushes else run_bound
        session_inputs = {value.name for value in session.get_inputs()}
        self.fed_names = [name for name in (*graph.inputs, *graph.randoms) if name in session_inputs]
        self.randoms = graph.randoms
        self._masks = {name: random for name, random in graph.randoms.items() if random.kind == "mask"}
        self._read_names = [name for name in (*graph.parameters, *graph.states) if name in session_inputs]
        self._fetched_names, self._updates = list(fetched_names), list(graph.updates)
        self._undo_outputs = list(undo_outputs)
        self._overwrites = session_config.keep_nodes
        self._loss = np.empty((), np.float32)
        """The loss of a step that overwrites variables in place, if not all results have a fixed shape."""
        self._bindings: dict[int, Any] = {}
        self.unbound_results: dict[str, np.ndarray] = {}
        """The fetched outputs of the last run of a function of `bind` that have no array there, such as those whose
        shape differs from run to run."""
        self._result_arrays = self._allocate_results({name: graph.outputs[name].type for name in self._fetched_names})
        """Arrays for the fetched outputs, which stay bound; None if the shape of one differs from run to run."""

    def _create_session(
        self, graph: Graph, provider: Provider, threads: int | None, config: SessionConfig
    ) -> onnxruntime.InferenceSession:
        return create_graph_session(graph, provider, threads, config, sizes=self._sizes)

    def _allocate_results(self, types: Mapping[str, TensorType]) -> dict[str, np.ndarray] | None:
        if self._device != "cpu" or not all(type.is_static() for type in types.values()):
            return None
        return {name: np.empty(type.shape, numpy_dtype(type.dtype)) for name, type in types.items()}  # type: ignore[arg-type]

    @property
    def keeps_bindings(self) -> bool:
        """Whether every run may use arrays and bindings of the run before."""
        return self._device == "cpu" and self._is_bindable

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        try:
            feeds = with_mask_types(self._masks, feeds)
            outputs = self._call_bound(feeds) if self._is_bindable else self._call_unbound(feeds)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise _step_failure(error) from error
        return dict(zip(self._fetched_names, outputs, strict=False))

    def _call_unbound(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        all_feeds = {name: feeds[name] for name in self.fed_names} | self._variables.read(self._read_names)
        names = [*self._fetched_names, *(next_name(name) for name in self._updates)]
        results: list[np.ndarray] = self._run(names, all_feeds)
        if self._updates:
            self._variables.advance()
            self._variables.write(dict(zip(self._updates, results[len(self._fetched_names) :], strict=True)))
        return results

    def _call_bound(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        binding = self._current_binding()
        for name in self.fed_names:
            binding.bind_cpu_input(name, feeds[name])
        if self._result_arrays is None:
            for name in self._fetched_names:  # the output of the last run, still bound, may have another shape
                if name != LOSS or not self._overwrites:
                    binding.bind_output(name, "cpu")
        read_set = self._variables.current_set
        self._allocate_undo_outputs(binding)
        if self._overwrites:
            self._overwrite(binding, self._loss if self._result_arrays is None else self._result_arrays[LOSS])
        else:
            self._run_bound(binding)
        _release_large(binding, feeds, self.fed_names)
        self._store_undo_outputs(binding, read_set)
        if self._updates:
            self._variables.advance()
        if self._result_arrays is not None:
            return [array.copy() for array in self._result_arrays.values()]
        return [value.numpy() for value in binding.get_outputs()[: len(self._fetched_names)]]

    def bind(self, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray]) -> RunFunction:
        """A function that reads `feeds` in place, writes the fetched outputs to `results`, and may be called
        with further feeds. Fetched outputs without an array there become `unbound_results`."""
        wrap = load_runtime().OrtValue.ortvalue_from_numpy
        result_values = {name: wrap(results[name]) for name in self._fetched_names if name in results}
        unbound_names = [name for name in self._fetched_names if name not in results]
        variables, run_bound, has_updates = self._variables, self._run_bound, bool(self._updates)
        has_undo_outputs, overwrites, masks = bool(self._undo_outputs), self._overwrites, self._masks
        bindings: list[Any] = [None] * SET_COUNT

        def bind(read_set: int) -> Any:
            binding = bindings[read_set] = self._new_binding(read_set, variables.next_set, result_values)
            for name in self.fed_names:
                if name in feeds:
                    binding.bind_cpu_input(name, feeds[name])
            return binding

        def run(further_feeds: Mapping[str, np.ndarray]) -> None:
            further_feeds = with_mask_types(masks, further_feeds) if masks else further_feeds
            read_set = variables.current_set
            binding = bindings[read_set] or bind(read_set)
            for name in further_feeds:
                binding.bind_cpu_input(name, further_feeds[name])
            for name in unbound_names:  # the output of the last run, still bound, may have another shape
                binding.bind_output(name, "cpu")
            if has_undo_outputs:
                self._allocate_undo_outputs(binding)
            try:
                if overwrites:
                    self._overwrite(binding, results[LOSS])
                else:
                    run_bound(binding)
            except Exception as error:  # onnxruntime's exceptions have no base class of their own
                raise _step_failure(error) from error
            _release_large(binding, further_feeds, further_feeds)
            if unbound_names:
                values = dict(zip(self._fetched_names, binding.get_outputs(), strict=False))
                self.unbound_results = {name: values[name].numpy() for name in unbound_names}
            if has_undo_outputs:
                self._store_undo_outputs(binding, read_set)
            if has_updates:
                variables.current_set = (read_set + 1) % SET_COUNT  # as `advance`, without a call

        return run

    def _overwrite(self, binding: Any, loss: np.ndarray) -> None:
        """Runs a step that overwrites variables in place, and whose loss is bound to an array.

        onnxruntime writes the loss before it overwrites a variable. So after an error, a loss that is not written tells
        that the variables are unchanged.
        """
        variables = self._variables
        assert isinstance(variables, HostVariables)
        variables.require_usable()
        loss.fill(np.nan)
        variables.damage = "a training step failed after it had overwritten some weights and optimizer slots"
        try:
            self._run_bound(binding)
        except Exception:
            if np.isnan(loss):
                variables.damage = None
            raise
        variables.damage = None

    def _allocate_undo_outputs(self, binding: Any) -> None:
        """Lets the next run allocate new undo outputs.

        The former ones of this binding end here: onnxruntime 1.19 returns references to what is bound.
        """
        for name in self._undo_outputs:
            binding.bind_output(name, "cpu")

    def _store_undo_outputs(self, binding: Any, read_set: int) -> None:
        """Stores the undo outputs of a run in the variables."""
        if self._undo_outputs:
            assert isinstance(self._variables, HostVariables)
            values = binding.get_outputs()[-len(self._undo_outputs) :]
            self._variables.overwritten_rows[read_set] = dict(zip(self._undo_outputs, values, strict=True))

    def _current_binding(self) -> Any:
        """A binding that reads the current set and writes the next, with the fetched outputs first."""
        read_set, write_set = self._variables.current_set, self._variables.next_set
        if self._device != "cpu":  # binding copies an input at once if it lies in other memory
            return self._new_binding(read_set, write_set)
        if read_set not in self._bindings:
            self._bindings[read_set] = self._new_binding(read_set, write_set)
        return self._bindings[read_set]

    def _new_binding(self, read_set: int, write_set: int, results: Mapping[str, Any] | None = None) -> Any:
        """A binding of the variables and of the fetched outputs: to tensors `results`, else to the runner's arrays."""
        binding = self._session.io_binding()
        for name in self._read_names:
            binding.bind_ortvalue_input(name, self._variables.sets[read_set][name])
        if results is None and self._result_arrays is not None:
            wrap = load_runtime().OrtValue.ortvalue_from_numpy
            results = {name: wrap(array) for name, array in self._result_arrays.items()}
        for name in self._fetched_names:
            if results is None and name == LOSS and self._overwrites:
                binding.bind_ortvalue_output(name, load_runtime().OrtValue.ortvalue_from_numpy(self._loss))
            elif results is None or name not in results:
                binding.bind_output(name, "cpu")
            else:
                binding.bind_ortvalue_output(name, results[name])
        for name in self._updates:
            binding.bind_ortvalue_output(next_name(name), self._variables.sets[write_set][name])
        return binding


def _release_large(binding: Any, feeds: Mapping[str, np.ndarray], names: Iterable[str]) -> None:
    """Lets a binding hold no large array that its next run replaces."""
    for name in names:
        if feeds[name].nbytes >= MIN_RELEASED_BYTES:
            binding.bind_cpu_input(name, np.empty(0, feeds[name].dtype))


def _step_failure(error: Exception) -> Exception:
    """The error of a run: LossNotFinite if it comes from the check of the loss, else CompileError."""
    return LossNotFinite() if f"/{LOSS_CHECK_SCOPE}/" in str(error) else runtime_failure(error)


def runner_without_updates(
    graph: Graph,
    variables: Mapping[str, np.ndarray],
    vocabularies: Mapping[str, np.ndarray],
    config: SessionConfig = DEFAULT_CONFIG,
) -> Runner:
    """A runner on the CPU of a graph that updates nothing, over the given arrays."""
    graph = with_vocabularies(graph, vocabularies)
    arrays = {name: variables[name] for name in (*graph.parameters, *graph.states) if name in variables}
    host_variables = HostVariables(DonatedArrays(arrays), (), {}, copies=False)
    return Runner(graph, graph.outputs, host_variables, resolve_provider("cpu"), None, session_config=config)


def create_graph_session(
    graph: Graph,
    provider: Provider,
    threads: int | None,
    config: SessionConfig,
    *,
    quiet: bool = False,
    sizes: Mapping[str, int] = {},
) -> onnxruntime.InferenceSession:
    """A session of a graph."""
    is_unoptimized = _is_unoptimized(graph, provider)
    model = to_model_proto(graph)
    if sizes:
        set_sizes(model, sizes)
    return create_session(
        serialize(model),
        provider,
        threads,
        config,
        optimization="ORT_DISABLE_ALL" if is_unoptimized or config.keep_nodes else OPTIMIZATION_LEVEL,
        memory_pattern=config.plan_memory and has_small_nodes(graph, provider),
        memory_reuse=not (config.keep_nodes and graph.recomputes),
        quiet=quiet or config.keep_nodes,  # the check of the loss fails on purpose
    )


def has_small_nodes(graph: Graph, provider: Provider) -> bool:
    """Whether onnxruntime may plan the memory of a graph: a plan makes small operators a little faster, but can almost
    double the memory of a step of a convolutional network or of attention by blocks."""
    return not (graph.is_compute_bound or graph.recomputes or _is_unoptimized(graph, provider))


def _is_unoptimized(graph: Graph, provider: Provider) -> bool:
    return len(graph.nodes) >= MIN_UNOPTIMIZED_NODES and provider.device == "cpu"
