"""Emits a prepared graph into a builder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir import Builder, Value
from .graph_emitter import GraphEmitter
from .prepared_graph import ForeignWeight, PreparedGraph
from .special_operators import SPECIAL_OPERATORS


def emit_graph(
    g: Builder,
    graph: PreparedGraph,
    inputs: Sequence[Value],
    names: Sequence[str],
    weight_value: Callable[[ForeignWeight], Value],
) -> tuple[Value, ...]:
    """The values of these names, for inputs of the graph in its order. Raises ShapeError."""
    return tuple(GraphEmitter(g, graph, inputs, weight_value, SPECIAL_OPERATORS).outputs(names))
