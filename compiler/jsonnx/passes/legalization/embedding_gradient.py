"""Writes the gradient of an embedding by ScatterND."""

from __future__ import annotations

from math import prod

from ...ir import Graph, Node, Value
from ..canonicalize import prune
from ..rewrite import Match, RuleSet
from .rules import TargetContext

scattering = RuleSet(cleanup=prune)


def scatter_embedding_rows(graph: Graph, context: TargetContext) -> Graph:
    """Adds the rows of an embedding's gradient by ScatterND where ScatterElements has no kernel."""
    return scattering.apply(graph, context) if graph.gradients else graph


@scattering("Reshape")
def embedding_gradient_as_scatter_nd(m: Match) -> Value | None:
    """Reshape(ScatterElements(zeros, indices, dy)) -> ScatterND(zeros, indices, dy), by the gradient info"""
    g, table, info = m.g, m.node.outputs[0], m.gradient_info
    scatter = m.original_producer(m.node.inputs[0])
    if info is None or info.op != "Gather" or not table.type.is_static():
        return None
    if scatter is None or not m.context.lacks_kernel(scatter):
        return None
    indices = Value(info.x.type.with_dtype("int64"))
    if m.context.lacks_kernel(Node("ScatterND", (table, indices, table), (table,), {"reduction": "add"})):
        return None
    width = prod(table.shape[1:])
    rows = g.Reshape(info.dy, [-1, width])
    zeros = g.Expand(g.const(0, table.dtype), g.const([table.shape[0], width], "int64"))
    positions = g.Reshape(g.cast(info.x, "int64"), [-1, 1])
    return g.reshape(g.ScatterND(zeros, positions, rows, reduction="add"), table.shape)
