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
from .flush_denormals import OPTION, flushed
from .memory_arena import own_arena

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"
AUTO = ("cuda", "migraphx", "directml", "coreml", "webgpu", "openvino", "cpu")
"""What `auto` tries, in this order. TensorRT and QNN build an engine for minutes: only on demand."""


class Known(NamedTuple):
    """A provider: onnxruntime's name for it, what brings it, where tensors can stay on its device, its options.

    `entries` is what a session of a model is told besides.
    """

    full: str
    package: str
    device: str = "cpu"
    options: dict[str, str] = {}
    hint: str = ""
    entries: Callable[[bytes], Mapping[str, str]] = lambda model: {}


_EXACT = {"use_tf32": "0"}  # TF32 has errors of 1e-3, too coarse for gradients

PROVIDERS: dict[str, Known] = {
    "cpu": Known(CPU, "jsonnx[cpu]"),
    "cuda": Known(
        "CUDAExecutionProvider", "jsonnx[cuda]", "cuda", _EXACT, "an NVIDIA GPU with its driver, CUDA and cuDNN"
    ),
    "tensorrt": Known("TensorrtExecutionProvider", "jsonnx[cuda]", "cuda", hint="an NVIDIA GPU, CUDA and TensorRT"),
    "openvino": Known("OpenVINOExecutionProvider", "jsonnx[openvino]"),
    "coreml": Known("CoreMLExecutionProvider", "jsonnx[cpu]", hint="macOS"),
    "directml": Known("DmlExecutionProvider", "jsonnx[directml]", "dml", hint="Windows"),
    "migraphx": Known("MIGraphXExecutionProvider", "onnxruntime-migraphx", hint="an AMD GPU with ROCm"),
    "qnn": Known("QNNExecutionProvider", "onnxruntime-qnn", hint="a Qualcomm processor"),
    "webgpu": Known(
        "WebGpuExecutionProvider",
        "jsonnx[webgpu]",
        "gpu",
        hint="a GPU with Vulkan, Metal or Direct3D 12",
        entries=webgpu_exclusions.session_entries,
    ),
}


@dataclass(frozen=True)
class Provider:
    """A provider that was chosen: short name, onnxruntime's list, and where its tensors can stay."""

    name: str
    full: str
    device: str = "cpu"
    options: tuple[tuple[str, str], ...] = ()

    @property
    def listed(self) -> list[Any]:
        """What onnxruntime wants; nodes that the provider cannot run go to the CPU."""
        first = (self.full, dict(self.options)) if self.options else self.full
        return [first] if self.full == CPU else [first, CPU]


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


def resolve(name: str) -> Provider:
    """The provider of a short or a full name, or the best there is for `auto`.

    Raises UsageError `unknown-provider`, `provider-unavailable` or `missing-runtime`.
    """
    if not isinstance(name, str):
        raise TypeError(f"a provider is a name such as 'cpu', got {name!r}")
    runtime = load_runtime()
    present = runtime.get_available_providers()
    if name == "auto":
        return best(present)
    chosen = _named(name, runtime)
    if chosen.full not in present:
        raise UsageError("provider-unavailable", f"this onnxruntime has no {name!r} provider", how_to_get(chosen.name))
    return chosen


def best(present: list[str], works: Callable[[Provider], bool] | None = None) -> Provider:
    """The first of `AUTO` that is there and really runs here."""
    candidates = [_provider(name) for name in AUTO if PROVIDERS[name].full in present]
    return next(provider for provider in candidates if provider.name == "cpu" or (works or runs)(provider))


def _named(name: str, runtime: Any) -> Provider:
    for short, known in PROVIDERS.items():
        if name in (short, known.full):
            return _provider(short)
    if name in runtime.get_all_providers():
        return Provider(name, name)
    near = suggestion(name, [*PROVIDERS, "auto", *runtime.get_all_providers()])
    raise UsageError(
        "unknown-provider", f"there is no provider {name!r}", near or f"known: {', '.join(PROVIDERS)}, auto"
    )


def _provider(short: str) -> Provider:
    known = PROVIDERS[short]
    return Provider(short, known.full, known.device, tuple(known.options.items()))


def how_to_get(name: str) -> str:
    """The command that brings a provider, and what it needs besides."""
    known = PROVIDERS.get(name)
    if known is None:
        return f"install an onnxruntime that was built with {name}"
    package = f'"{known.package}"' if "[" in known.package else known.package
    replaced = [other for other in installed() if other != _distribution(known.package)]
    # All runtimes install the same import package, each over the one before.
    command = "".join(f"pip uninstall -y {other} && " for other in replaced) + f"pip install {package}"
    return command + (f"; it needs {known.hint}" if known.hint else "")


def _distribution(package: str) -> str:
    """The onnxruntime that a package, or an extra of ours, brings."""
    extra = package.removeprefix("jsonnx[").removesuffix("]")
    named = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu", package: package}
    return named.get(extra, f"onnxruntime-{extra}")


def available() -> list[Availability]:
    """Every known provider and every other one of this onnxruntime, tried out on a tiny model."""
    try:
        present = load_runtime().get_available_providers()
    except UsageError:
        present = []
    others = [full for full in present if full not in {known.full for known in PROVIDERS.values()}]
    rows = [_provider(name) for name in PROVIDERS] + [Provider(full, full) for full in others]
    return [_availability(provider, provider.full in present) for provider in rows]


def _availability(provider: Provider, present: bool) -> Availability:
    if not present:
        return Availability(provider.name, provider.full, False, how_to_get(provider.name))
    known = PROVIDERS.get(provider.name)
    works = runs(provider)
    how = (
        ""
        if works
        else f"installed, but it does not start here; it needs {known.hint if known and known.hint else 'its device'}"
    )
    return Availability(provider.name, provider.full, works, how)


@cache
def runs(provider: Provider) -> bool:
    """Whether the provider starts on this machine."""
    from ..backend import emit, serialize
    from ..core.types import TensorType
    from ..ir import Builder

    g = Builder()
    model = emit(g.graph({"y": g.Neg(g.input("x", TensorType("float32", (1,))))}))
    try:
        create_session(serialize(model), provider, threads=1, quiet=True)
    except (UsageError, CompileError):
        return False
    return True


def installed() -> list[str]:
    """The distributions that install onnxruntime."""
    from importlib.metadata import distributions

    apart = ("onnxruntime-ep-", "onnxruntime-extensions", "onnxruntime-genai", "onnxruntime-tools")
    names = {
        str(found.metadata["Name"]).lower().replace("_", "-") for found in distributions() if found.metadata["Name"]
    }
    return sorted(n for n in names if n == "onnxruntime" or (n.startswith("onnxruntime-") and not n.startswith(apart)))


def conflicts() -> list[Diagnostic]:
    """A warning where two runtimes are installed over one another."""
    found = installed()
    if len(found) < 2:
        return []
    message = f"{' and '.join(found)} are installed over one another: which of them is imported is left to chance"
    help = f"pip uninstall -y {' '.join(found)}, then install the one you want"
    return [Diagnostic("runtime-conflict", message, help=help, severity="warning")]


_CREATION = Lock()  # making two sessions at once is not safe (onnxruntime #27089)


@dataclass(frozen=True)
class Manners:
    """How a session runs."""

    flushes: bool = False
    """Its threads take denormals for zero: its calls are to be `flushing`, too."""
    rests: bool = False
    """They rest when a run ends, and do not wait for the next one for a while, each on a processor."""
    exact: bool = False
    """Memory is taken in pieces of the sizes that are needed (`own_arena`)."""
    in_order: bool = False
    """Operators run as they stand in the model, but for Shape and Size, which come as soon as they can, and for those
    that onnxruntime makes of others, which come last."""


PLAIN = Manners()


def create_session(
    model: bytes,
    provider: Provider,
    threads: int | None = None,
    manners: Manners = PLAIN,
    *,
    optimization: str = "ORT_ENABLE_ALL",
    planned: bool = True,
    quiet: bool = False,
) -> onnxruntime.InferenceSession:
    """A session on this provider and no other; `planned` says whether it lays its memory out by an earlier run.

    Raises UsageError `provider-failed` where onnxruntime would have taken another one, CompileError `bad-model`.
    """
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or thread_count()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = planned
    options.log_severity_level = 4 if quiet else 3
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, optimization)
    if provider.name in PROVIDERS:
        for key, text in PROVIDERS[provider.name].entries(model).items():
            options.add_session_config_entry(key, text)
    if manners.in_order:
        options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
    if manners.rests:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if manners.flushes:
        options.add_session_config_entry(OPTION, "1")
    # `flushed` also puts back this thread's state, which onnxruntime sets here, and leaves so.
    flushes, arena = flushed(manners.flushes), own_arena(runtime, options) if manners.exact else nullcontext()
    try:
        with _CREATION, flushes, arena:
            session = runtime.InferenceSession(model, options, providers=provider.listed, enable_fallback=False)
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise _refused(error, provider) from error
    if provider.full not in session.get_providers():
        help = how_to_get(provider.name)
        raise UsageError(
            "provider-failed", f"the {provider.name!r} provider is installed but does not start here", help
        )
    return session


def _refused(error: Exception, provider: Provider) -> UsageError | CompileError:
    text = " ".join(str(error).split())
    if "Unsupported model IR version" in text or "till opset" in text:
        return UsageError(
            "runtime-too-old", f"this onnxruntime cannot read the model: {text}", "pip install --upgrade onnxruntime"
        )
    if provider.full != CPU and type(error).__name__ in ("EPFail", "RuntimeError", "ValueError"):
        return UsageError("provider-failed", f"the {provider.name!r} provider does not start here: {text}")
    return CompileError([Diagnostic("bad-model", f"onnxruntime does not take the model: {text}")])
