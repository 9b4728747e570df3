"""Shape arithmetic: what onnxruntime computes on the CPU for every provider, since shapes are there."""

from __future__ import annotations

from collections.abc import Collection

from .graph import Constant, Graph, Value

SHAPE_OPERATORS = {"Shape", "Size"}
"""Operators whose results are on the CPU."""
SHAPE_TYPES = {"int32", "int64", "bool"}
"""Element types of the results of shape arithmetic."""


def shape_values(graph: Graph, known: Collection[Value] = ()) -> set[Value]:
    """The scalars and vectors of integers that a graph computes from shapes alone; `known` are such values from
    outside."""
    shapes = set(known)
    for node in graph.nodes:
        if node.op in SHAPE_OPERATORS:
            shapes.update(node.outputs)
            continue
        variables = [x for x in node.inputs if x is not None and not isinstance(x, Constant)]
        are_small = all(x.dtype in SHAPE_TYPES and x.rank <= 1 for x in node.outputs)
        if variables and are_small and shapes.issuperset(variables) and not node.bodies:
            shapes.update(node.outputs)
    return shapes
