"""The gradient of a large table with every row written once, for onnxruntime's CPU kernels.

The rows that are read at a step are few of a large table's, and most are read once. ScatterElements, which adds up what
belongs to one row, works on one thread and element by element, all over the memory. ScatterND copies whole rows on all
threads, but may not add: where an index occurs twice, sums get lost. So what occurs again is added among the rows at
hand, to the one that stands for its index, and the sums are copied, each by all that it belongs to: that several write
the same does no harm. For 8,192 rows of 50,000 this takes less than half the time.
"""

from __future__ import annotations

from math import prod

from ....ir import Builder, Graph, Value
from ....passes.canonicalize import canonicalize
from ..target import Target
from .segment_sum import arange_like, gather, positions_where, segment_sum

MIN_TABLE_ELEMENTS = 1 << 20
"""Elements of a table from which on this is faster: adding no longer stays in a core's cache."""
MIN_ROW_ELEMENTS = 32
"""Elements of a row below which finding out what occurs again takes longer than to add."""


def scatter_embedding_gradients(graph: Graph, target: Target) -> Graph:
    """The graph with its large tables' gradients in that form."""
    g = Builder.extending(graph)
    g.nodes = []
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        table, told = node.outputs[0], graph.gradients.get(node.outputs[0])
        if told is None or told.op != "Gather" or not _is_profitable(table):
            g.nodes.append(node)
            continue
        with g.inherit(node):
            told = told.remapped(new)
            new[table] = embedding_gradient(g, table, told.x, told.dy)
    return canonicalize(graph.with_nodes(g.nodes, new)) if new else graph


def _is_profitable(table: Value) -> bool:
    elements = table.type.elements
    return isinstance(elements, int) and elements >= MIN_TABLE_ELEMENTS and prod(table.shape[1:]) >= MIN_ROW_ELEMENTS


def embedding_gradient(g: Builder, table: Value, indices: Value, rows: Value) -> Value:
    """Zeros in the table's shape, and every one of the rows added at its index."""
    size, width = table.shape[0], prod(table.shape[1:])
    indices, rows = g.Reshape(g.cast(indices, "int64"), [-1]), g.Reshape(rows, [-1, width])
    place = arange_like(g, indices)
    places = g.ScatterElements(g.full(0, g.const([size], "int64"), "int32"), indices, place, axis=0)
    stands = gather(g, places, indices)  # for each row the place of the last with its index
    again = positions_where(g, g.Not(g.Equal(stands, place)), place)
    sums = segment_sum(g, rows, place, gather(g, stands, again), again).gather(g, stands)
    zeros = g.Reshape(g.runtime_zeros(table, rows), [size, width])
    return g.reshape(g.ScatterND(zeros, g.Reshape(indices, [-1, 1]), sums), table.shape)
