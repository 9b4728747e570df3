"""The target of a rewrite: a machine, its onnxruntime and a batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...ir import Graph
from .memory.inplace_updates import OverwrittenVariables


@dataclass(frozen=True)
class Target:
    """The machine that runs a graph, and the batches that the graph gets."""

    block_size: int = 1
    """Channels in a block of onnxruntime's NCHWc layout: 8 or 16, or 1 if this CPU has no such layout."""
    has_gated_add: bool = False
    """Whether onnxruntime has the operator GatedAdd."""
    threads: int = 1
    usual_batch: int = 1
    """Samples in most batches."""
    expected_batch: int | None = None
    """The batch size for which code may be specialised, beside a generic fallback; None: do not specialise."""
    keeps_order: bool = False
    """Whether the session runs nodes in the order of the graph."""
    overwritten: OverwrittenVariables | None = None
    """The variables that a large step overwrites in place; None if each has several copies."""
    remat: str | None = None
    """The mode of rematerialization."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The sizes of symbols in most batches, as far as they are known."""


Pass = Callable[[Graph, Target], Graph]
"""Returns a graph that computes the same values, or the graph itself if nothing matches."""
