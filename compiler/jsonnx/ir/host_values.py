"""Values that onnxruntime computes on the CPU for every provider: from shapes, which are there, and from texts."""

from __future__ import annotations

from collections.abc import Collection

from .graph import Constant, Graph, Value

SHAPE_OPERATORS = {"Shape", "Size"}
"""Operators whose results are on the CPU."""
SHAPE_TYPES = {"int32", "int64", "bool"}
"""Element types of the vectors that shape arithmetic computes; its scalars have any type."""


def host_values(graph: Graph, known: Collection[Value] = ()) -> set[Value]:
    """The values that a graph computes from texts alone, and the scalars and vectors of integers that it computes from
    shapes alone; `known` are such values from outside. Other results of shapes may be large, as a matrix of zeros."""
    texts = {x for x in (*graph.inputs.values(), *known) if x.dtype == "string"}
    host = {*known, *texts}
    for node in graph.nodes:
        variables = [x for x in node.inputs if x is not None and not isinstance(x, Constant)]
        is_host = bool(variables) and host.issuperset(variables)
        if is_host and not texts.isdisjoint(variables):
            texts.update(node.outputs)
            host.update(node.outputs)
        elif node.op in SHAPE_OPERATORS or (is_host and all(map(_is_small_shape, node.outputs))):
            host.update(node.outputs)
    return host


def _is_small_shape(x: Value) -> bool:
    return x.rank == 0 or (x.dtype in SHAPE_TYPES and x.rank == 1)
