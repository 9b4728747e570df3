"""Which onnxruntime there is, what it can run on, and sessions on exactly the provider that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.diagnostics import CompileError, Diagnostic, UsageError, suggestion
from . import webgpu_exclusions
from .cpu_count import thread_count
from .flush_denormals import SESSION_OPTION, denormals_flushed
from .memory_arena import own_arena

if TYPE_CHECKING:
    import onnxruntime

CPU_PROVIDER = "CPUExecutionProvider"
AUTO_ORDER = ("cuda", "migraphx", "directml", "coreml", "webgpu", "openvino", "cpu")
"""What `auto` tries, in this order. TensorRT and QNN build an engine for minutes: only on demand."""


class ProviderInfo(NamedTuple):
    """A provider: onnxruntime's name for it, what brings it, where tensors can stay on its device, its options.

    `session_entries` is what a session of a model is told besides.
    """

    ort_name: str
    package: str
    device: str = "cpu"
    options: dict[str, str] = {}
    requirement: str = ""
    session_entries: Callable[[bytes], Mapping[str, str]] = lambda model: {}


_NO_TF32 = {"use_tf32": "0"}  # TF32 has errors of 1e-3, too coarse for gradients

PROVIDERS: dict[str, ProviderInfo] = {
    "cpu": ProviderInfo(CPU_PROVIDER, "jsonnx[cpu]"),
    "cuda": ProviderInfo(
        "CUDAExecutionProvider", "jsonnx[cuda]", "cuda", _NO_TF32, "an NVIDIA GPU with its driver, CUDA and cuDNN"
    ),
    "tensorrt": ProviderInfo(
        "TensorrtExecutionProvider", "jsonnx[cuda]", "cuda", requirement="an NVIDIA GPU, CUDA and TensorRT"
    ),
    "openvino": ProviderInfo("OpenVINOExecutionProvider", "jsonnx[openvino]"),
    "coreml": ProviderInfo("CoreMLExecutionProvider", "jsonnx[cpu]", requirement="macOS"),
    "directml": ProviderInfo("DmlExecutionProvider", "jsonnx[directml]", "dml", requirement="Windows"),
    "migraphx": ProviderInfo("MIGraphXExecutionProvider", "onnxruntime-migraphx", requirement="an AMD GPU with ROCm"),
    "qnn": ProviderInfo("QNNExecutionProvider", "onnxruntime-qnn", requirement="a Qualcomm processor"),
    "webgpu": ProviderInfo(
        "WebGpuExecutionProvider",
        "jsonnx[webgpu]",
        "gpu",
        requirement="a GPU with Vulkan, Metal or Direct3D 12",
        session_entries=webgpu_exclusions.session_entries,
    ),
}


@dataclass(frozen=True)
class Provider:
    """A provider that was chosen: short name, onnxruntime's list, and where its tensors can stay."""

    name: str
    ort_name: str
    device: str = "cpu"
    options: tuple[tuple[str, str], ...] = ()

    @property
    def ort_providers(self) -> list[Any]:
        """What onnxruntime wants; nodes that the provider cannot run go to the CPU."""
        first = (self.ort_name, dict(self.options)) if self.options else self.ort_name
        return [first] if self.ort_name == CPU_PROVIDER else [first, CPU_PROVIDER]


class Availability(NamedTuple):
    """A row of `jsonnx providers`."""

    name: str
    full: str
    available: bool
    how: str


@cache
def load_runtime() -> Any:
    """The onnxruntime module. Raises UsageError `missing-runtime`."""
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C while its library was being loaded
            raise error.__cause__ from None
        message = f"onnxruntime is not installed ({error})"
        raise UsageError("missing-runtime", message, 'pip install "jsonnx[cpu]"') from error
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def resolve_provider(name: str) -> Provider:
    """The provider of a short or a full name, or the best there is for `auto`.

    Raises UsageError `unknown-provider`, `provider-unavailable` or `missing-runtime`.
    """
    if not isinstance(name, str):
        raise TypeError(f"a provider is a name such as 'cpu', got {name!r}")
    runtime = load_runtime()
    present = runtime.get_available_providers()
    if name == "auto":
        return best_provider(present)
    chosen = _find_provider(name, runtime)
    if chosen.ort_name not in present:
        raise UsageError("provider-unavailable", f"this onnxruntime has no {name!r} provider", how_to_get(chosen.name))
    return chosen


def best_provider(present: list[str], is_usable: Callable[[Provider], bool] | None = None) -> Provider:
    """The first of `AUTO_ORDER` that is there and really runs here."""
    candidates = [_provider(name) for name in AUTO_ORDER if PROVIDERS[name].ort_name in present]
    return next(
        provider for provider in candidates if provider.name == "cpu" or (is_usable or provider_starts)(provider)
    )


def _find_provider(name: str, runtime: Any) -> Provider:
    for short, known in PROVIDERS.items():
        if name in (short, known.ort_name):
            return _provider(short)
    if name in runtime.get_all_providers():
        return Provider(name, name)
    near = suggestion(name, [*PROVIDERS, "auto", *runtime.get_all_providers()])
    raise UsageError(
        "unknown-provider", f"there is no provider {name!r}", near or f"known: {', '.join(PROVIDERS)}, auto"
    )


def _provider(short: str) -> Provider:
    known = PROVIDERS[short]
    return Provider(short, known.ort_name, known.device, tuple(known.options.items()))


def how_to_get(name: str) -> str:
    """The command that brings a provider, and what it needs besides."""
    known = PROVIDERS.get(name)
    if known is None:
        return f"install an onnxruntime that was built with {name}"
    package = f'"{known.package}"' if "[" in known.package else known.package
    replaced = [other for other in installed_runtimes() if other != _distribution(known.package)]
    # All runtimes install the same import package, each over the one before.
    command = "".join(f"pip uninstall -y {other} && " for other in replaced) + f"pip install {package}"
    return command + (f"; it needs {known.requirement}" if known.requirement else "")


def _distribution(package: str) -> str:
    """The onnxruntime that a package, or an extra of ours, brings."""
    extra = package.removeprefix("jsonnx[").removesuffix("]")
    named = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu", package: package}
    return named.get(extra, f"onnxruntime-{extra}")


def provider_availability() -> list[Availability]:
    """Every known provider and every other one of this onnxruntime, tried out on a tiny model."""
    try:
        present = load_runtime().get_available_providers()
    except UsageError:
        present = []
    others = [full for full in present if full not in {known.ort_name for known in PROVIDERS.values()}]
    rows = [_provider(name) for name in PROVIDERS] + [Provider(full, full) for full in others]
    return [_availability(provider, provider.ort_name in present) for provider in rows]


def _availability(provider: Provider, present: bool) -> Availability:
    if not present:
        return Availability(provider.name, provider.ort_name, False, how_to_get(provider.name))
    known = PROVIDERS.get(provider.name)
    works = provider_starts(provider)
    how = (
        ""
        if works
        else f"installed, but it does not start here; it needs {known.requirement if known and known.requirement else 'its device'}"
    )
    return Availability(provider.name, provider.ort_name, works, how)


@cache
def provider_starts(provider: Provider) -> bool:
    """Whether the provider starts on this machine."""
    from ..backend import serialize, to_model_proto
    from ..core.types import TensorType
    from ..ir import Builder

    g = Builder()
    model = to_model_proto(g.graph({"y": g.Neg(g.input("x", TensorType("float32", (1,))))}))
    try:
        create_session(serialize(model), provider, threads=1, quiet=True)
    except (UsageError, CompileError):
        return False
    return True


def installed_runtimes() -> list[str]:
    """The distributions that install onnxruntime."""
    from importlib.metadata import distributions

    apart = ("onnxruntime-ep-", "onnxruntime-extensions", "onnxruntime-genai", "onnxruntime-tools")
    names = {
        str(found.metadata["Name"]).lower().replace("_", "-") for found in distributions() if found.metadata["Name"]
    }
    return sorted(n for n in names if n == "onnxruntime" or (n.startswith("onnxruntime-") and not n.startswith(apart)))


def runtime_conflicts() -> list[Diagnostic]:
    """A warning where two runtimes are installed over one another."""
    found = installed_runtimes()
    if len(found) < 2:
        return []
    message = f"{' and '.join(found)} are installed over one another: which of them is imported is left to chance"
    help = f"pip uninstall -y {' '.join(found)}, then install the one you want"
    return [Diagnostic("runtime-conflict", message, help=help, severity="warning")]


_CREATION_LOCK = Lock()  # making two sessions at once is not safe (onnxruntime #27089)


@dataclass(frozen=True)
class SessionConfig:
    """How a session runs."""

    flush_denormals: bool = False
    """Its threads take denormals for zero: its calls are to be `flushing`, too."""
    no_spinning: bool = False
    """They rest when a run ends, and do not wait for the next one for a while, each on a processor."""
    own_arena: bool = False
    """Memory is taken in pieces of the sizes that are needed (`own_arena`)."""
    keep_order: bool = False
    """Operators run as they stand in the model, but for Shape and Size, which come as soon as they can, and for those
    that onnxruntime makes of others, which come last."""


DEFAULT_CONFIG = SessionConfig()


def create_session(
    model: bytes,
    provider: Provider,
    threads: int | None = None,
    config: SessionConfig = DEFAULT_CONFIG,
    *,
    optimization: str = "ORT_ENABLE_ALL",
    memory_pattern: bool = True,
    quiet: bool = False,
) -> onnxruntime.InferenceSession:
    """A session on this provider and no other; `memory_pattern` says whether it lays its memory out by an earlier run.

    Raises UsageError `provider-failed` where onnxruntime would have taken another one, CompileError `bad-model`.
    """
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or thread_count()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = memory_pattern
    options.log_severity_level = 4 if quiet else 3
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, optimization)
    if provider.name in PROVIDERS:
        for key, text in PROVIDERS[provider.name].session_entries(model).items():
            options.add_session_config_entry(key, text)
    if config.keep_order:
        options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
    if config.no_spinning:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if config.flush_denormals:
        options.add_session_config_entry(SESSION_OPTION, "1")
    # `denormals_flushed` also puts back this thread's state, which onnxruntime sets here, and leaves so.
    flushes, arena = (
        denormals_flushed(config.flush_denormals),
        own_arena(runtime, options) if config.own_arena else nullcontext(),
    )
    try:
        with _CREATION_LOCK, flushes, arena:
            session = runtime.InferenceSession(model, options, providers=provider.ort_providers, enable_fallback=False)
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise _creation_error(error, provider) from error
    if provider.ort_name not in session.get_providers():
        help = how_to_get(provider.name)
        raise UsageError(
            "provider-failed", f"the {provider.name!r} provider is installed but does not start here", help
        )
    return session


def _creation_error(error: Exception, provider: Provider) -> UsageError | CompileError:
    text = " ".join(str(error).split())
    if "Unsupported model IR version" in text or "till opset" in text:
        return UsageError(
            "runtime-too-old", f"this onnxruntime cannot read the model: {text}", "pip install --upgrade onnxruntime"
        )
    if provider.ort_name != CPU_PROVIDER and type(error).__name__ in ("EPFail", "RuntimeError", "ValueError"):
        return UsageError("provider-failed", f"the {provider.name!r} provider does not start here: {text}")
    return CompileError([Diagnostic("bad-model", f"onnxruntime does not take the model: {text}")])
