"""The record of an execution provider of onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from typing import NamedTuple


class RuntimePackage(NamedTuple):
    """A distribution of onnxruntime."""

    name: str
    extra: str | None = None
    """The extra of jsonnx that installs it."""
    library_extras: str = ""
    """The extras of the distribution that install the libraries it needs, separated by commas."""


@dataclass(frozen=True)
class OptionType:
    """The values of an option: numbers in a range, a choice of words, or any text."""

    minimum: int | None = None
    choices: tuple[str, ...] = ()

    def parse(self, value: object) -> str:
        """The value as onnxruntime takes it. Raises ValueError with what is expected."""
        text = str(int(value)) if isinstance(value, bool) else str(value)
        if self.choices == FLAG.choices:
            text = {"true": "1", "false": "0"}.get(text.lower(), text)
        if self.choices and text not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        if self.minimum is not None and not (text.isascii() and text.isdigit() and int(text) >= self.minimum):
            raise ValueError(f"an integer of at least {self.minimum}")
        return text


FLAG = OptionType(choices=("0", "1"))
COUNT, POSITIVE, TEXT = OptionType(0), OptionType(1), OptionType()


@dataclass(frozen=True, eq=False)
class ExecutionProvider:
    """An execution provider: its names, how to get it, its options and its capabilities.

    The defaults are the answers of a provider of which nothing else is known.
    """

    name: str
    """The name in commands and in Python, such as `cuda`."""
    ort_name: str
    """The name in onnxruntime, such as `CUDAExecutionProvider`."""
    title: str
    """The name in sentences, such as `CUDA`."""
    package: RuntimePackage | None = None
    """The distribution of onnxruntime that has it; None if users must build one."""
    _: KW_ONLY
    requirement: str = ""
    """The hardware and software that the machine must have."""
    auto_rank: int = 0
    """The rank by which `auto` tries it, the lowest one first; 0 if it must be named, as one that builds engines."""
    target_rank: int = 0
    """The rank by which `compile --for` lists it, the lowest one first; 0 if it is not a target."""

    # -- options --

    options: Mapping[str, OptionType] | None = None
    """The options in onnxruntime's documentation; None if any option is passed on."""
    default_options: Mapping[str, str] = field(default_factory=dict)
    """The options of a session where the user sets none."""
    device_option: str = "device_id"
    """The option with the index of the device."""
    graph_capture_option: str | None = None
    """The option with which a session records its kernel launches once and replays them."""
    has_session_options: bool = False
    """Whether options are configuration entries of the session."""

    # -- capabilities --

    device: str = "cpu"
    """Where bound tensors are kept, as onnxruntime calls it."""
    runs_in_browsers: bool = False
    """Whether browsers have it, which download a model."""
    compute_types: tuple[str, ...] | None = ()
    """The 16-bit types that it has kernels for, besides float32; None if they are not known."""
    fallback: str | None = None
    """The provider that runs nodes without a kernel before the CPU does."""
    builds_engines: bool = False
    """Whether it builds an engine for each session, which takes minutes."""
    captures_by_default: bool = False
    """Whether training steps are captured if the user sets no option."""
    copies_while_running: bool = False
    """Whether another thread may write its device memory while a step runs."""
    keeps_nodes: bool = False
    """Whether its optimized model can be written: others compile nodes to code that no ONNX file has."""
    needs_static_kernels: bool = False
    """Whether it refuses convolutions whose kernel has an unknown shape."""

    # -- tables, workarounds and messages --

    kernel_source: str = ""
    """The file of onnxruntime's sources that `placement/kernels/NAME.json` is read from; empty without a table."""
    workarounds: str | None = None
    """The module, relative to `jsonnx`, that defines `rewrite_model(model: bytes) -> bytes`, a model that computes the
    same without the nodes that the provider computes wrongly, or `session_entries(model: bytes) -> dict[str, str]`,
    configuration entries for a session of a model."""
    library: str | None = None
    """The part of onnxruntime that is loaded only when a session needs it, such as `providers_cuda`."""
    message_prefix: str | None = None
    """The beginning of the provider's own text within a message of onnxruntime."""

    @property
    def session_entry_prefix(self) -> str:
        """The beginning of the names of the provider's configuration entries."""
        return f"ep.{self.ort_name.lower()}."


@cache
def unlisted_provider(ort_name: str) -> ExecutionProvider:
    """The record of a provider of which only onnxruntime's name is known."""
    return ExecutionProvider(ort_name, ort_name, ort_name, compute_types=None)
