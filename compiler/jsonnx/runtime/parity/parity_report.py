"""The results of a comparison of providers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .output_differences import OutputDifference
from .worst_node import WorstNode


class CpuNode(NamedTuple):
    """A node that a provider leaves to the CPU, with the path of its layer in the spec."""

    name: str
    path: str
    op: str
    reason: str


DEFAULT_TOLERANCE = 1e-3
"""The largest difference relative to the largest element that float32 explains in networks of usual depth."""


@dataclass(frozen=True)
class ParityOptions:
    """How providers are compared."""

    providers: tuple[str, ...] = ()
    """None: all that start here."""
    tolerance: float = DEFAULT_TOLERANCE
    seed: int = 0
    batch_size: int = 4
    steps: int = 10
    """Steps of training, if the spec can be trained."""
    scale: str | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProviderParity:
    """The results of one provider beside the reference's."""

    provider: str
    message: str = ""
    """Why the provider was not compared, or where its results differ."""
    compared: bool = True
    failed: bool = False
    """Whether it starts here, but cannot run the model, or differs beyond the tolerance."""
    outputs: tuple[OutputDifference, ...] = ()
    float64_error: float | None = None
    """The largest relative difference of the outputs from float64."""
    worst_node: WorstNode | None = None
    on_cpu: tuple[CpuNode, ...] | None = None
    """The nodes that the provider leaves to the CPU; None if onnxruntime does not tell."""
    latency_ms: float | None = None
    losses: tuple[float, ...] = ()
    loss_error: float | None = None
    """The largest relative difference of the loss of a step."""


@dataclass(frozen=True)
class ParityReport:
    """The comparison of providers."""

    model: str
    options: ParityOptions
    runtime_version: str
    float64_error: float | None
    """The largest relative difference between the reference and float64; None if the CPU cannot compute in float64."""
    losses: tuple[float, ...]
    """The losses of the steps on the CPU, without rewrites of the graph."""
    training_message: str
    """Why no training was compared."""
    providers: tuple[ProviderParity, ...] = field(default=())

    @property
    def failed(self) -> bool:
        return any(provider.failed for provider in self.providers)
