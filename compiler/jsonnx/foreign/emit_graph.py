"""Emits a prepared graph into a builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..ir import Builder, Value
from .graph_emitter import EmitOperator, GraphEmitter
from .microsoft_operators import MICROSOFT_OPERATORS
from .prepared_graph import ForeignWeight, PreparedGraph
from .sequence_operators import SEQUENCE_OPERATORS
from .special_operators import SPECIAL_OPERATORS


def emit_graph(
    g: Builder,
    graph: PreparedGraph,
    inputs: Mapping[str, Value],
    names: Sequence[str],
    weight_value: Callable[[ForeignWeight], Value],
    operators: Mapping[str, EmitOperator] = {},
) -> tuple[Value, ...]:
    """The values of these names, for inputs of the graph by name; `operators` are emitted otherwise than usual.

    Raises ShapeError.
    """
    special_operators = {**SPECIAL_OPERATORS, **SEQUENCE_OPERATORS, **MICROSOFT_OPERATORS, **operators}
    return tuple(GraphEmitter(g, graph, inputs, weight_value, special_operators).outputs(names))
