"""Runs a graph on a device, over variables that stay there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.reserved_names import LEARNING_RATE
from ...core.types import TensorType
from ..providers.provider_errors import runtime_failure
from ..providers.providers import DEFAULT_CONFIG, Provider, SessionConfig, load_runtime
from .device_memory import DeviceAllocator, TensorCopies, can_copy_in_place, host_tensor_names
from .runner import Runner, create_graph_session

if TYPE_CHECKING:
    import onnxruntime

    from ...ir import Graph
    from .variables import Variables

UNCAPTURABLE_OPS = frozenset({"If", "Loop", "Scan", "NonZero", "Unique", "Compress", "NonMaxSuppression"})
"""Operators whose kernels launch differently from run to run."""


class DeviceRunner(Runner):
    """A graph on a device, over variables there.

    Bindings to the variables are kept; only inputs that a node on the CPU reads are bound for each run, since
    onnxruntime copies them then. With `captures`, steps over bound arrays record their launches once for every pair of
    sets (as a CUDA graph), and replay them.
    """

    def __init__(
        self,
        graph: Graph,
        fetched_names: Iterable[str],
        variables: Variables,
        provider: Provider,
        threads: int | None,
        session_config: SessionConfig = DEFAULT_CONFIG,
        *,
        captures: bool = False,
    ) -> None:
        self._provider, self._captures = provider, captures and wants_capture(graph, provider)
        super().__init__(graph, fetched_names, variables, provider, threads, (), session_config)
        self._types: dict[str, TensorType] = {
            name: value.type for name, value in {**graph.inputs, **graph.randoms, **graph.outputs}.items()
        }
        self._host_names = host_tensor_names(self._session)
        if self._host_names:
            self._captures = False  # what a node on the CPU computes is no launch
        self._capture_ids = count(1)
        self._device_bindings: dict[tuple[int, int], Any] = {}

    def _create_session(
        self, graph: Graph, provider: Provider, threads: int | None, config: SessionConfig
    ) -> onnxruntime.InferenceSession:
        create = partial(create_graph_session, graph, threads=threads, config=config)
        if self._captures:
            try:
                return create(provider=provider.with_graph_capture(True), quiet=provider.captures_graphs is None)
            except (CompileError, UsageError):  # onnxruntime refuses if a node runs on the CPU
                if provider.captures_graphs:
                    raise
                self._captures = False
        return create(provider=provider.with_graph_capture(False))

    @property
    def captures(self) -> bool:
        """Whether steps over bound arrays are captured."""
        return self._captures

    @property
    def copies_ahead(self) -> bool:
        """Whether batches may be copied to the device by another thread while a step runs."""
        return self._provider.record.copies_while_running

    @property
    def keeps_bindings(self) -> bool:
        return self._host_names is not None and can_copy_in_place()

    def _allocate_results(self, types: Mapping[str, TensorType]) -> None:
        """Fetched outputs are new arrays of each run."""

    def _current_binding(self) -> Any:
        return self._bound_to_variables(self._device_bindings, self._new_binding)

    def _bound_to_variables(self, bindings: dict[tuple[int, int], Any], create: Any) -> Any:
        """The binding of the current pair of sets, kept in `bindings`; new for each run if onnxruntime does not tell
        which inputs it copies when they are bound."""
        sets = self._variables.current_set, self._variables.next_set
        if self._host_names is None:
            return create(*sets)
        if sets not in bindings:
            bindings[sets] = create(*sets)
        for name in self._read_names:
            if name in self._host_names:
                bindings[sets].bind_ortvalue_input(name, self._variables.sets[sets[0]][name])
        return bindings[sets]

    def bind(self, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray]) -> DeviceRun:
        """A step whose feeds are copied from these arrays to the device, and whose results are copied to arrays when
        they are read."""
        return DeviceRun(self, feeds, results)


class DeviceRun:
    """A step over arrays that are copied to tensors on the device, and results that stay there until they are read."""

    def __init__(
        self, runner: DeviceRunner, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray]
    ) -> None:
        self._runner, self._feeds = runner, dict(feeds)
        self.results = DeviceResults(results)
        self._tensors: dict[str, Any] = {}  # before the allocators, to be freed before them
        self._allocators: list[DeviceAllocator] = []
        self._copies: TensorCopies | None = None
        self._rate_copies: TensorCopies | None = None
        self._is_copied = False
        self._copied_rate: float | None = None
        self._bindings: dict[tuple[int, int], Any] = {}
        self._run_options: dict[tuple[int, int], Any] = {}

    def copy_ahead(self, further_feeds: Mapping[str, np.ndarray] = {}) -> None:
        """Copies the feeds to the device, before the step runs."""
        arrays = {name: self._feeds[name] for name in self._runner.fed_names if name in self._feeds}
        arrays |= {name: further_feeds[name] for name in self._runner.fed_names if name in further_feeds}
        if not self._tensors:
            self._allocate(arrays)
        if further_feeds or self._copies is None:
            names = [name for name in arrays if name != LEARNING_RATE]
            contiguous = [np.ascontiguousarray(arrays[name]) for name in names]
            self._copies = TensorCopies(contiguous, [self._tensors[name] for name in names])
        self._copies.to_device()
        self._is_copied = True

    def _allocate(self, arrays: Mapping[str, np.ndarray]) -> None:
        provider = self._runner._provider
        types = {name: TensorType(self._runner._types[name].dtype, array.shape) for name, array in arrays.items()}
        inputs = DeviceAllocator(types, provider)
        outputs = {
            name: TensorType(self._runner._types[name].dtype, value.shape) for name, value in self.results.arrays
        }
        results = DeviceAllocator(outputs, provider)
        self._tensors = inputs.to_device(arrays)
        self.results.tensors = results.to_device(dict(self.results.arrays))
        self._allocators = [inputs, results]
        if LEARNING_RATE in arrays:
            self._rate = np.zeros((), np.float32)
            self._rate_copies = TensorCopies([self._rate], [self._tensors[LEARNING_RATE]])

    def __call__(self, further_feeds: Mapping[str, np.ndarray]) -> None:
        runner, variables = self._runner, self._runner._variables
        try:
            if not self._is_copied:
                self.copy_ahead(further_feeds)
            self._copy_rate()
            binding = runner._bound_to_variables(self._bindings, self._new_binding)
            for name in self._tensors:
                if name in (runner._host_names or ()):
                    binding.bind_ortvalue_input(name, self._tensors[name])
            runner._run_bound(binding, self._options((variables.current_set, variables.next_set)))
        except (CompileError, UsageError):
            raise
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise runtime_failure(error) from error
        self.results.is_read = self._is_copied = False
        if runner._updates:
            variables.advance()

    def _copy_rate(self) -> None:
        """Copies the learning rate as it is now, since it may have changed after the batch was prepared."""
        if self._rate_copies is not None:
            rate = float(self._feeds[LEARNING_RATE])
            if rate != self._copied_rate:
                self._rate[...] = rate
                self._rate_copies.to_device()
                self._copied_rate = rate

    def _new_binding(self, read_set: int, write_set: int) -> Any:
        binding = self._runner._new_binding(read_set, write_set, self.results.tensors)
        for name, tensor in self._tensors.items():
            binding.bind_ortvalue_input(name, tensor)
        return binding

    def _options(self, sets: tuple[int, int]) -> Any:
        """The options of a run: the identifier of its captured launches, one for each set of addresses."""
        if not self._runner.captures:
            return None
        if sets not in self._run_options:
            self._run_options[sets] = run_options(str(next(self._runner._capture_ids)))
        return self._run_options[sets]


class DeviceResults(Mapping[str, np.ndarray]):
    """Results of a step, copied from the device when one of them is read."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)
        self.tensors: dict[str, Any] = {}
        self.is_read = True
        self._copies: TensorCopies | None = None

    @property
    def arrays(self) -> Iterable[tuple[str, np.ndarray]]:
        return self._arrays.items()

    def __getitem__(self, name: str) -> np.ndarray:
        if not self.is_read:
            if self._copies is None:
                self._copies = TensorCopies(list(self._arrays.values()), [self.tensors[key] for key in self._arrays])
            self._copies.to_host()
            self.is_read = True
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def wants_capture(graph: Graph, provider: Provider) -> bool:
    """Whether the launches of a graph should be captured: as an option says, or else where it is known to help."""
    if provider.captures_graphs is not None:
        return provider.captures_graphs
    return provider.record.captures_by_default and not any(node.op in UNCAPTURABLE_OPS for node in graph.nodes)


def run_options(capture_id: str) -> Any:
    options = load_runtime().RunOptions()
    options.add_run_config_entry("gpu_graph_id", capture_id)
    return options
