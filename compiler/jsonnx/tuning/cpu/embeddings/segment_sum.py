"""Sums of rows, of which most stand alone, for onnxruntime's CPU kernels.

ScatterND adds whole rows on all threads, but copies all of what it adds to, and a number may come but once: two threads
lose each other's sums. ScatterElements adds in order, element by element on one thread, which would take half the step
of a network over words, most of which come again. So a row that stands alone is only read, and of those that come again
one stands for its number, and gets what the others with this number have. Few others are added to it in order. Many are
sorted by their numbers, eight at a time with one number are added by a product, and of each number ScatterND adds the
first of these; few are left over.
"""

from __future__ import annotations

from typing import NamedTuple

from ....ir import Builder, Value

ROWS_PER_PRODUCT = 8
"""Rows that are added at once: with more, more places of numbers that come a few times only stay empty."""
MAX_ORDERED_ELEMENTS = 1 << 14
"""Elements up to which adding in order takes no longer."""


class SegmentSums(NamedTuple):
    """Rows, and where among them each sum is: n at places [n]."""

    rows: Value
    positions: Value

    def gather(self, g: Builder, segment_ids: Value) -> Value:
        """The sums with these numbers."""
        return g.Gather(self.rows, gather(g, self.positions, segment_ids))


def segment_sum(
    g: Builder, rows: Value, first_positions: Value, segment_ids: Value, row_positions: Value
) -> SegmentSums:
    """The sums, each of the row whose place in [m, width] `first_positions` [n] tells, and of those that come besides:
    for the sum with one of the numbers [k] the row whose place `row_positions` [k] tells. The place m is that of a row
    of zeros, for sums that get nothing besides."""
    place = arange_like(g, segment_ids)
    none = g.full(0, g.Shape(first_positions), "int32")
    stands = gather(g, g.ScatterElements(none, segment_ids, place, axis=0), segment_ids)
    own = g.Equal(stands, place)
    leads, others = positions_where(g, own, place), positions_where(g, g.Not(own), place)
    group, which_others = gather(g, dense_ranks(g, own), gather(g, stands, others)), gather(g, row_positions, others)
    several = gather(g, segment_ids, leads)
    leading = g.Add(
        g.Gather(rows, gather(g, first_positions, several)), g.Gather(rows, gather(g, row_positions, leads))
    )
    more = g.cond(
        g.Greater(g.Squeeze(g.Shape(others)), MAX_ORDERED_ELEMENTS // rows.type.static_size(1)),
        lambda g: _add_sorted(g, leading, g.cast(group, "int64"), rows, which_others),
        lambda g: _add_in_order(g, leading, group, g.Gather(rows, which_others)),
    )
    behind = g.Add(g.cast(g.Shape(rows, start=0, end=1), "int32"), g.const(1, "int32"))
    places = g.ScatterElements(
        g.cast(first_positions, "int32"), several, g.Add(arange_like(g, several), behind), axis=0
    )
    zeros = g.const([[0.0] * rows.type.static_size(1)], rows.dtype)
    return SegmentSums(g.Concat(rows, zeros, more, axis=0), g.refine(places, first_positions.shape))


def _add_in_order(g: Builder, start: Value, segment_ids: Value, rows: Value) -> Value:
    """At every number one row added, in their order."""
    width = rows.type.static_size(1)
    first = g.Mul(g.Reshape(segment_ids, [-1, 1]), width)
    elements = g.Reshape(g.Add(first, list(range(width))), [-1])
    found = g.ScatterElements(g.Reshape(start, [-1]), elements, g.Reshape(rows, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(found, [-1, width]), start.shape)


def _add_sorted(g: Builder, start: Value, segment_ids: Value, rows: Value, row_positions: Value) -> Value:
    width = rows.type.static_size(1)
    found, order = g.TopK(segment_ids, g.Shape(segment_ids), axis=0, largest=0, sorted=1, outputs=2)
    rank = _rank_within_segments(g, found)
    heads = positions_where(g, g.Equal(g.Mod(rank, ROWS_PER_PRODUCT), 0))
    behind = g.const(list(range(ROWS_PER_PRODUCT)), "int32")
    members = g.Reshape(g.Add(g.Reshape(heads, [-1, 1]), behind), [-1])
    numbered = gather(g, g.Concat(found, g.const([-1] * ROWS_PER_PRODUCT, "int64"), axis=0), members)
    own = gather(g, found, heads)
    same = g.cast(g.Equal(g.Reshape(numbered, [-1, ROWS_PER_PRODUCT]), g.Reshape(own, [-1, 1])), rows.dtype)
    taken = g.Concat(gather(g, row_positions, order), g.const([0] * ROWS_PER_PRODUCT, row_positions.dtype), axis=0)
    parts = g.Reshape(g.Gather(rows, gather(g, taken, members)), [-1, ROWS_PER_PRODUCT, width])
    sums = g.Reshape(g.MatMul(g.Reshape(same, [-1, 1, ROWS_PER_PRODUCT]), parts), [-1, width])
    leads = g.Equal(gather(g, rank, heads), 0)
    first, others = positions_where(g, leads), positions_where(g, g.Not(leads))
    led = g.ScatterND(start, g.Reshape(gather(g, own, first), [-1, 1]), g.Gather(sums, first), reduction="add")
    return _add_in_order(g, g.refine(led, start.shape), gather(g, own, others), g.Gather(sums, others))


def _rank_within_segments(g: Builder, sorted_ids: Value) -> Value:
    """How many of the same sorted numbers each stands behind."""
    before = g.Concat(g.const([-1], "int64"), g.Slice(sorted_ids, [0], [-1], [0]), axis=0)
    new, place = g.Not(g.Equal(sorted_ids, before)), arange_like(g, sorted_ids)
    return g.Sub(place, gather(g, positions_where(g, new, place), dense_ranks(g, new)))


def arange_like(g: Builder, x: Value) -> Value:
    """0 to the number of elements of x [n], less one."""
    count = g.cast(g.Squeeze(g.Shape(x)), "int32")
    return g.refine(g.Range(g.const(0, "int32"), count, g.const(1, "int32")), x.shape)


def positions_where(g: Builder, mask: Value, positions: Value | None = None) -> Value:
    """Where the truths [n] hold; by the operator that takes a third of NonZero's time."""
    return g.Compress(arange_like(g, mask) if positions is None else positions, mask, axis=0)


def dense_ranks(g: Builder, mask: Value) -> Value:
    """How many of the truths [n] hold before each that does."""
    return g.Sub(g.CumSum(g.cast(mask, "int32"), g.const(0, "int64")), g.const(1, "int32"))


def gather(g: Builder, x: Value, positions: Value) -> Value:
    """The rows of x at the places; of numbers, by the operator that takes a fifth of Gather's time."""
    found: Value = g.GatherElements(x, positions, axis=0) if x.rank == 1 else g.Gather(x, positions)
    return found
