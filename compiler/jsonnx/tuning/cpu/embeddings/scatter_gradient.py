"""Computes the gradient of a large embedding so that every row is written once, for onnxruntime's CPU kernels.

A step reads few rows of a large table, most of them once. ScatterElements, which adds up the cotangents of one row,
works element by element on one thread. ScatterND copies whole rows on all threads, but must not add: where an index
occurs twice, sums get lost. So the cotangents of a repeated index are added up first, in the row of one of its
occurrences, and ScatterND then copies that sum for each of the occurrences: it does no harm that several write the same
row.
"""

from __future__ import annotations

from math import prod

from ....ir import Builder, Graph, Value
from ....passes.rewrite import Match, RuleSet
from ..target import Target
from .segment_sum import arange_like, gather, positions_where, segment_sum

MIN_TABLE_ELEMENTS = 1 << 20
"""Minimum size of a table, in elements. A smaller one stays in a core's cache, where adding single elements is
faster."""
MIN_ROW_ELEMENTS = 32
"""Minimum length of a row, in elements. For a shorter one, finding repeated indices takes longer than adding
elements."""

scattering = RuleSet()


def scatter_embedding_gradients(graph: Graph, target: Target) -> Graph:
    """Computes the gradients of large tables by ScatterND."""
    return scattering.apply(graph)


@scattering("Reshape")
def scatter_rows(m: Match) -> Value | None:
    """Reshape(ScatterElements(zeros, indices, dy)) -> ScatterND(zeros, indices, sums of dy), by the gradient info"""
    table, info = m.node.outputs[0], m.gradient_info
    if info is None or info.op != "Gather" or not _is_profitable(table):
        return None
    return embedding_gradient(m.g, table, info.x, info.dy)


def _is_profitable(table: Value) -> bool:
    elements = table.type.elements
    return isinstance(elements, int) and elements >= MIN_TABLE_ELEMENTS and prod(table.shape[1:]) >= MIN_ROW_ELEMENTS


def embedding_gradient(g: Builder, table: Value, indices: Value, rows: Value) -> Value:
    """Emits zeros in the shape of the table with each of the rows added at its index."""
    size, width = table.shape[0], prod(table.shape[1:])
    indices, rows = g.Reshape(g.cast(indices, "int64"), [-1]), g.Reshape(rows, [-1, width])
    position = arange_like(g, indices)
    last_positions = g.ScatterElements(g.full(0, g.const([size], "int64"), "int32"), indices, position, axis=0)
    representative = gather(g, last_positions, indices)  # the last position with the same index
    repeated = positions_where(g, g.Not(g.Equal(representative, position)), position)
    sums = segment_sum(g, rows, position, gather(g, representative, repeated), repeated).gather(g, representative)
    zeros = g.Reshape(g.runtime_zeros(table, rows), [size, width])
    return g.reshape(g.ScatterND(zeros, g.Reshape(indices, [-1, 1]), sums), table.shape)
