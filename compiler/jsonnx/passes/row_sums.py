"""Rows added at numbers of which many come again, for onnxruntime's CPU kernels.

ScatterND adds whole rows on all threads, so a number may come but once: two threads lose each other's sums.
ScatterElements adds in order, element by element on one thread, which would take half the step of a network over words,
most of which come again. So where there are many, rows are sorted by their numbers, eight at a time with one number are
added by a product, and of each number ScatterND adds the first of these; few are left over.
"""

from __future__ import annotations

from ..graph import Builder, Value

TOGETHER = 8
"""Rows that are added at once: with more, more places of numbers that come a few times only stay empty."""
MANY = 3
"""How many times as many rows there may be as come again, for this to be faster."""


def with_rows_added(g: Builder, start: Value, numbers: Value, rows: Value, which: Value) -> Value:
    """`start` [n, width], and at each of the numbers [k] one of the rows [m, width] added; which, [k] tells."""

    def in_order(g: Builder) -> Value:
        return _added(g, start, numbers, g.Gather(rows, which))

    many = g.Greater(g.Mul(g.Squeeze(g.Shape(which)), MANY), g.Squeeze(g.Shape(start, start=0, end=1)))
    return g.either(many, lambda g: _sorted(g, start, numbers, rows, which), in_order)


def _added(g: Builder, start: Value, numbers: Value, rows: Value) -> Value:
    """At every number one row added, in their order."""
    width = rows.type.fixed(1)
    first = g.Mul(g.Reshape(numbers, [-1, 1]), width)
    elements = g.Reshape(g.Add(first, list(range(width))), [-1])
    found = g.ScatterElements(g.Reshape(start, [-1]), elements, g.Reshape(rows, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(found, [-1, width]), start.shape)


def _sorted(g: Builder, start: Value, numbers: Value, rows: Value, which: Value) -> Value:
    width = rows.type.fixed(1)
    found, order = g.TopK(numbers, g.Shape(numbers), axis=0, largest=0, sorted=1, outputs=2)
    rank = _ranks(g, found)
    heads = places_where(g, g.Equal(g.Mod(rank, TOGETHER), 0))
    behind = g.const(list(range(TOGETHER)), "int64")
    members = g.Reshape(g.Add(g.Reshape(heads, [-1, 1]), behind), [-1])
    numbered = at(g, g.Concat(found, g.const([-1] * TOGETHER, "int64"), axis=0), members)
    own = at(g, found, heads)
    same = g.cast(g.Equal(g.Reshape(numbered, [-1, TOGETHER]), g.Reshape(own, [-1, 1])), rows.dtype)
    taken = g.Concat(at(g, which, order), g.const([0] * TOGETHER, "int64"), axis=0)
    parts = g.Reshape(g.Gather(rows, at(g, taken, members)), [-1, TOGETHER, width])
    sums = g.Reshape(g.MatMul(g.Reshape(same, [-1, 1, TOGETHER]), parts), [-1, width])
    leads = g.Equal(at(g, rank, heads), 0)
    first, others = places_where(g, leads), places_where(g, g.Not(leads))
    led = g.ScatterND(start, g.Reshape(at(g, own, first), [-1, 1]), g.Gather(sums, first), reduction="add")
    return _added(g, g.refine(led, start.shape), at(g, own, others), g.Gather(sums, others))


def _ranks(g: Builder, found: Value) -> Value:
    """How many of the same sorted numbers each stands behind."""
    place = g.Range(g.const(0, "int64"), g.Squeeze(g.Shape(found)), g.const(1, "int64"))
    before = g.Concat(g.const([-1], "int64"), g.Slice(found, [0], [-1], [0]), axis=0)
    new = g.Not(g.Equal(found, before))
    group = g.Sub(g.CumSum(g.cast(new, "int64"), g.const(0, "int64")), 1)
    return g.Sub(place, at(g, places_where(g, new), group))


def places_where(g: Builder, truths: Value) -> Value:
    """Where the truths hold."""
    found: Value = g.Reshape(g.NonZero(truths), [-1])
    return found


def at(g: Builder, x: Value, places: Value) -> Value:
    """The rows of x at the places; of numbers, by the operator that takes a fifth of Gather's time."""
    found: Value = g.GatherElements(x, places, axis=0) if x.rank == 1 else g.Gather(x, places)
    return found
