"""The installed onnxruntime, its execution providers, and sessions on exactly the requested provider."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError, suggestion
from ...core.files.loadable_model import LoadableModel
from ...core.providers.execution_provider import ExecutionProvider, unlisted_provider
from ...core.providers.known_providers import CPU, PROVIDERS, providers_of_auto
from ...core.system.cpu_count import checked_thread_count
from ...core.system.installation import install_command
from .flush_denormals import SESSION_OPTION, denormals_flushed
from .installed_runtimes import installed_runtimes
from .memory_arena import own_arena
from .provider_errors import library_help, missing_library, preload_gpu_libraries, reason_in, without_load_errors
from .provider_options import ProviderOptions, parse_options

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

    from .session_recorder import SessionRecorder

RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"
"""The configuration entry with which a session of onnxruntime 1.24 or later can tell where its nodes run."""


@dataclass(frozen=True)
class Provider:
    """A provider with the options of a session."""

    record: ExecutionProvider
    options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The name in commands and in Python."""
        return self.record.name

    @property
    def ort_name(self) -> str:
        """The name in onnxruntime."""
        return self.record.ort_name

    @property
    def device(self) -> str:
        """Where bound tensors are kept."""
        return self.record.device

    @property
    def is_cpu(self) -> bool:
        """Whether it is the provider that runs every node."""
        return self.name == CPU

    @property
    def ort_providers(self) -> list[Any]:
        """The list for onnxruntime. Nodes that the provider cannot run are assigned to its fallback, then to the
        CPU."""
        options = {} if self.record.has_session_options else dict(self.options)
        providers: list[Any] = [(self.ort_name, options) if options else self.ort_name]
        if self.record.fallback is not None:
            fallback = PROVIDERS[self.record.fallback]
            device = {fallback.device_option: str(self.device_id)} if self.device_id else {}
            providers.append((fallback.ort_name, {**fallback.default_options, **device}))
        return providers if self.is_cpu else [*providers, PROVIDERS[CPU].ort_name]

    @property
    def label(self) -> str:
        """The name, with the options that differ from ours."""
        return f"{self.name} ({', '.join(self.chosen_options)})" if self.chosen_options else self.name

    @property
    def chosen_options(self) -> list[str]:
        """The options that differ from ours, such as `device_id=1`."""
        defaults = self.record.default_options.items()
        return [f"{name}={value}" for name, value in self.options if (name, value) not in defaults]

    @property
    def session_entries(self) -> dict[str, str]:
        """The options that a session takes as configuration entries."""
        if not self.record.has_session_options:
            return {}
        return {self.record.session_entry_prefix + name: value for name, value in self.options}

    @property
    def device_id(self) -> int:
        """The index of the device among those of its kind."""
        return next((int(value) for name, value in self.options if name == self.record.device_option), 0)

    @property
    def captures_graphs(self) -> bool | None:
        """Whether training steps are captured as device graphs; None if no option is set."""
        name = self.record.graph_capture_option
        return next((value == "1" for option, value in self.options if option == name), None)

    def with_graph_capture(self, captures: bool) -> Provider:
        """The provider for a session that captures its runs, or does not."""
        name = self.record.graph_capture_option
        others = tuple((option, value) for option, value in self.options if option != name)
        return replace(self, options=(*others, (name, "1")) if captures and name else others)


@cache
def load_runtime() -> Any:
    """The onnxruntime module. Raises UsageError `missing-runtime`."""
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C while the library was being loaded
            raise error.__cause__ from None
        message = f"onnxruntime is not installed ({error})"
        raise UsageError("missing-runtime", message, install_command(CPU)) from error
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def runtime_version() -> str:
    """The version of the installed onnxruntime. Raises UsageError `missing-runtime`."""
    return str(load_runtime().__version__)


def resolve_provider(name: str | Provider, options: ProviderOptions | None = None) -> Provider:
    """The provider of a short or a full name; for `auto`, the first in its order that starts.

    `options` have the names in onnxruntime's documentation. Raises UsageError `unknown-provider`,
    `provider-unavailable`, `bad-provider-option` or `missing-runtime`.
    """
    provider = name if isinstance(name, Provider) else _named_provider(name)
    if not options:
        return provider
    return replace(provider, options=tuple((dict(provider.options) | parse_options(provider.record, options)).items()))


def _named_provider(name: str) -> Provider:
    if not isinstance(name, str):
        raise TypeError(f"a provider is a name such as 'cpu', got {name!r}")
    chosen = find_provider(name)
    if chosen.ort_name not in load_runtime().get_available_providers():
        raise UsageError(
            "provider-unavailable", f"this onnxruntime has no {name!r} provider", how_to_get(chosen.record)
        )
    return chosen


def best_provider(present: list[str], is_usable: Callable[[Provider], bool] | None = None) -> Provider:
    """The first provider in the order of `auto` that is installed and starts on this machine."""
    candidates = [known_provider(record.name) for record in providers_of_auto() if record.ort_name in present]
    return next(provider for provider in candidates if provider.is_cpu or (is_usable or provider_starts)(provider))


def find_provider(name: str) -> Provider:
    """The provider of a short or a full name, which this onnxruntime may lack; for `auto`, the best one here.

    Raises UsageError `unknown-provider` or `missing-runtime`.
    """
    runtime = load_runtime()
    if name == "auto":
        return best_provider(runtime.get_available_providers())
    for record in PROVIDERS.values():
        if name in (record.name, record.ort_name):
            return known_provider(record.name)
    if name in runtime.get_all_providers():
        return Provider(unlisted_provider(name))
    help = suggestion(name, [*PROVIDERS, "auto", *runtime.get_all_providers()])
    raise UsageError(
        "unknown-provider", f"there is no provider {name!r}", help or f"known: {', '.join(PROVIDERS)}, auto"
    )


def known_provider(short: str) -> Provider:
    """The provider of a name of `PROVIDERS`."""
    record = PROVIDERS[short]
    return Provider(record, tuple(record.default_options.items()))


def how_to_get(record: ExecutionProvider) -> str:
    """The command that installs a provider, and the provider's requirements."""
    package = record.package
    if package is None:
        return f"install an onnxruntime that was built with {record.name}"
    # All distributions of onnxruntime install the same import package, each over the one before.
    conflicting = [name for name in installed_runtimes() if name != package.name]
    command = f"pip install {package.name}" if package.extra is None else install_command(package.extra)
    command = "".join(f"pip uninstall -y {name} && " for name in conflicting) + command
    return command + (f"; it needs {record.requirement}" if record.requirement else "")


@cache
def provider_starts(provider: Provider) -> bool:
    """Whether the provider can load a tiny model on this machine."""
    from ...backend import serialize, to_model_proto
    from ...core.types import TensorType
    from ...ir import Builder

    g = Builder()
    model = to_model_proto(g.graph({"y": g.Neg(g.input("x", TensorType("float32", (1,))))}))
    try:
        create_session(serialize(model), provider, threads=1, quiet=True)
    except (UsageError, CompileError):
        return False
    return True


_CREATION_LOCK = Lock()  # creating two sessions at once is not thread-safe (onnxruntime #27089)


COPY_OPTIMIZERS = ["BiasGeluFusion", "CommonSubexpressionElimination", "SkipLayerNormFusion"]
"""The optimizers of onnxruntime that see fewer readers of a node, or equal nodes, where values are recomputed."""

BLOCKED_LAYOUT_OPTIMIZERS = ["NchwcTransformer"]
"""The optimizers of onnxruntime whose results run only on a CPU with vectors of the same width."""

ORT_FORMAT_ENTRIES = {"session.save_model_format": "ORT", "session.qdqisint8allowed": "0"}
"""The configuration entries for files in ORT format: signed activations become unsigned on every CPU."""


@dataclass(frozen=True)
class SessionConfig:
    """Options of a session."""

    flush_denormals: bool = False
    """The session's threads treat denormals as zero; the caller of `run` must do so too (`with_denormals_flushed`)."""
    no_spinning: bool = False
    """Threads sleep as soon as a run ends, instead of spinning until the next run."""
    own_arena: bool = False
    """The session has a memory arena of its own, which grows by the requested sizes (`memory_arena`)."""
    keep_order: bool = False
    """Nodes run in the order of the model, except for Shape and Size, which run as soon as they can, and for nodes that
    onnxruntime creates, which run last."""
    keep_nodes: bool = False
    """onnxruntime rewrites nothing. With `keep_order`, nodes then run exactly in the order of the model."""
    keep_copies: bool = False
    """onnxruntime merges no equal nodes, and fuses none where a copy of a node has taken over some of its readers: a
    step with recomputed values gives the same bits as one without."""
    plan_memory: bool = True
    """From the second run with inputs of equal sizes on, all results of a graph of small operators lie in one block of
    memory."""
    recorder: SessionRecorder | None = None
    """Records when each node runs."""
    ort_file: str = ""
    """The path to which onnxruntime writes the graph that it runs, in ORT format."""


DEFAULT_CONFIG = SessionConfig()


def create_session(
    model: bytes | str | LoadableModel,
    provider: Provider,
    threads: int | None = None,
    config: SessionConfig = DEFAULT_CONFIG,
    *,
    optimization: str = "ORT_ENABLE_ALL",
    memory_pattern: bool = True,
    memory_reuse: bool = True,
    quiet: bool = False,
) -> onnxruntime.InferenceSession:
    """A session on this provider and no other. With `memory_pattern` it plans its memory by an earlier run; with
    `memory_reuse` a result may take over the memory of an earlier one of its shape, which is then kept for longer.

    A path of a model is only for a provider without workarounds. Files with weights that the model names lie beneath
    the folder of a `LoadableModel` or beside the path, or else beneath the current folder.

    Raises UsageError `provider-failed` if onnxruntime would have taken another provider, CompileError `bad-model`.
    """
    runtime = load_runtime()
    options = _session_options(runtime, checked_thread_count(threads), config)
    options.enable_mem_pattern = memory_pattern
    options.enable_mem_reuse = memory_reuse
    options.log_severity_level = 4 if quiet else 3
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, optimization)
    data, weights = model if isinstance(model, LoadableModel) else (model, None)
    _add_weights(runtime, options, weights)
    if not provider.is_cpu:
        options.add_session_config_entry(RECORD_ASSIGNMENT, "1")
    data, entries = _with_workarounds(data, provider.record)
    for key, entry in (entries | provider.session_entries).items():
        options.add_session_config_entry(key, entry)
    optimized_file = config.recorder.configure(options, provider.record) if config.recorder else ""
    # onnxruntime sets the floating-point state of this thread when it creates a session: the context restores it.
    floating_point_state = denormals_flushed(config.flush_denormals)
    if provider.record.library:
        preload_gpu_libraries(runtime)
    disabled = COPY_OPTIMIZERS if config.keep_copies else BLOCKED_LAYOUT_OPTIMIZERS if config.ort_file else None
    arena = own_arena(runtime, options) if config.own_arena else nullcontext()
    try:
        with _CREATION_LOCK, floating_point_state, arena, without_load_errors(runtime, provider.record):
            session = runtime.InferenceSession(
                data, options, providers=provider.ort_providers, enable_fallback=False, disabled_optimizers=disabled
            )
    except Exception as error:  # onnxruntime's exceptions have no base class of their own
        raise _creation_error(error, provider, model) from error
    if provider.ort_name not in session.get_providers():
        raise _start_error(runtime, provider)
    if isinstance(weights, Mapping):
        session.weights = weights  # onnxruntime reads the memory of the arrays and does not keep them alive
    if config.recorder is not None and isinstance(data, bytes):
        config.recorder.add(data, optimized_file, session)
    return session


def _add_weights(runtime: Any, options: Any, weights: str | Mapping[str, np.ndarray] | None) -> None:
    """Tells a session where the weights are that a model leaves out."""
    if isinstance(weights, Mapping):
        options.add_external_initializers([*weights], [_shared_tensor(runtime, array) for array in weights.values()])
    elif weights is not None:  # read by onnxruntime 1.21 and later
        folder = os.fsencode(weights)  # a name need not be UTF-8
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)


def _shared_tensor(runtime: Any, array: np.ndarray) -> Any:
    """An array as onnxruntime's tensor, in the same memory."""
    if array.dtype.kind in "biuf":
        return runtime.OrtValue.ortvalue_from_numpy(array)
    from ...ir import onnx_dtype

    return runtime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, onnx_dtype(array.dtype.name))


def _with_workarounds(model: bytes | str, record: ExecutionProvider) -> tuple[bytes | str, dict[str, str]]:
    """A model that computes the same without the nodes that a provider computes wrongly, and the configuration entries
    for its session."""
    if record.workarounds is None or isinstance(model, str):
        return model, {}
    module = import_module(record.workarounds, __name__.partition(".")[0])
    model = module.rewrite_model(model) if hasattr(module, "rewrite_model") else model
    return model, module.session_entries(model) if hasattr(module, "session_entries") else {}


def _start_error(runtime: Any, provider: Provider) -> UsageError:
    """The error that onnxruntime has taken the CPU in place of a provider, with the library that is missing, if any."""
    message = f"the {provider.name!r} provider is installed but does not start here"
    library = missing_library(runtime, provider.record)
    if library is None and provider.chosen_options:
        help = "try it without the options: a device that they name may not be there"
        return UsageError("provider-failed", f"{message} with {', '.join(provider.chosen_options)}", help)
    if library is None:
        return UsageError("provider-failed", message, how_to_get(provider.record))
    return UsageError("provider-failed", f"{message}: {library} is missing", library_help(library))


def _runs_on_cpu(model: bytes | str | LoadableModel) -> bool:
    try:
        create_session(model, known_provider(CPU), optimization="ORT_DISABLE_ALL", quiet=True)
    except (UsageError, CompileError):
        return False
    return True


def _session_options(runtime: Any, threads: int, config: SessionConfig) -> onnxruntime.SessionOptions:
    options: onnxruntime.SessionOptions = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if config.keep_order:
        options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
        # Otherwise it copies each DequantizeLinear that has several readers, and runs the copies last.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if config.no_spinning:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if config.flush_denormals:
        options.add_session_config_entry(SESSION_OPTION, "1")
    if config.ort_file:
        options.optimized_model_filepath = config.ort_file
        for key, entry in ORT_FORMAT_ENTRIES.items():
            options.add_session_config_entry(key, entry)
    return options


def _creation_error(
    error: Exception, provider: Provider, model: bytes | str | LoadableModel
) -> UsageError | CompileError:
    text = " ".join(str(error).split())
    if "Unsupported model IR version" in text or "till opset" in text:
        return UsageError(
            "runtime-too-old", f"this onnxruntime cannot read the model: {text}", "pip install --upgrade onnxruntime"
        )
    if not provider.is_cpu and type(error).__name__ in ("EPFail", "RuntimeError", "ValueError"):
        if missing_library(load_runtime(), provider.record):
            return _start_error(load_runtime(), provider)
        return UsageError("provider-failed", f"the {provider.name!r} provider does not start here: {reason_in(text)}")
    if not provider.is_cpu and _runs_on_cpu(model):
        message = f"the {provider.name!r} provider refuses the model: {reason_in(text)}"
        return UsageError("provider-failed", message, "run it with --provider cpu, or on another provider")
    return CompileError([Diagnostic("bad-model", f"onnxruntime cannot load the model: {text}")])
