"""Where a provider runs the nodes of some models, and what the nodes on the CPU cost."""

from __future__ import annotations

from dataclasses import dataclass

from .copied_tensors import Copies
from .placement import Placement

SESSION = "session"
"""The source of a placement that a session of onnxruntime recorded on this machine."""


@dataclass(frozen=True)
class PlacedModel:
    """Where the nodes of a model run."""

    title: str
    placement: Placement
    copies: Copies
    batch_size: int
    """The number of samples for which the copies are counted."""


@dataclass(frozen=True)
class ProviderPlacement:
    """Where a provider runs the nodes of some models."""

    provider: str
    runtime_version: str
    source: str
    """The source of the table of kernels; `SESSION` if onnxruntime tells where it runs the nodes here."""
    models: tuple[PlacedModel, ...]
