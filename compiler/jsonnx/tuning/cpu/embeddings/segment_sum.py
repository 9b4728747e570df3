"""Segment sums of rows, most of whose segments have a single row, for onnxruntime's CPU kernels.

ScatterND adds whole rows on all threads, but copies the tensor that it adds to, and each index may occur only once,
since threads would overwrite each other's sums. ScatterElements adds in order, element by element on one thread, which
is slow for words, most of which are repeated. So a segment of one row is only read. In a longer segment, the first two
rows are added by Add. If few rows remain, ScatterElements adds them. If many remain, they are sorted by segment, groups
of `ROWS_PER_PRODUCT` rows are summed by a matrix product, and ScatterND adds the first group of each segment;
ScatterElements adds the few groups that are left.
"""

from __future__ import annotations

from typing import NamedTuple

from ....ir import Builder, Value

ROWS_PER_PRODUCT = 8
"""Rows that one product adds; larger groups would mostly be padding in segments of a few rows."""
MAX_ORDERED_ELEMENTS = 1 << 14
"""Maximum number of elements that are added by ScatterElements. For more, sorting is faster."""


class SegmentSums(NamedTuple):
    """Rows, and the positions [n] of the n sums among them."""

    rows: Value
    positions: Value

    def gather(self, g: Builder, segment_ids: Value) -> Value:
        """Emits the sums of these segments."""
        return g.Gather(self.rows, gather(g, self.positions, segment_ids))


def segment_sum(
    g: Builder, rows: Value, first_positions: Value, segment_ids: Value, row_positions: Value
) -> SegmentSums:
    """Emits n sums of rows [m, width].

    Segment i has the row at `first_positions[i]`, and for each j with `segment_ids[j] == i` the row at
    `row_positions[j]`; both vectors have k elements. Position m stands for a row of zeros, which is allowed
    in segments without further rows.
    """
    position = arange_like(g, segment_ids)
    zero_positions = g.full(0, g.Shape(first_positions), "int32")
    representative = gather(g, g.ScatterElements(zero_positions, segment_ids, position, axis=0), segment_ids)
    is_second = g.Equal(representative, position)  # one of the further rows of each longer segment
    seconds, others = positions_where(g, is_second, position), positions_where(g, g.Not(is_second), position)
    group = gather(g, dense_ranks(g, is_second), gather(g, representative, others))
    other_positions = gather(g, row_positions, others)
    long_segments = gather(g, segment_ids, seconds)
    first_rows = g.Gather(rows, gather(g, first_positions, long_segments))
    pair_sums = g.Add(first_rows, g.Gather(rows, gather(g, row_positions, seconds)))
    long_sums = g.cond(
        g.Greater(g.Squeeze(g.Shape(others)), MAX_ORDERED_ELEMENTS // rows.type.static_size(1)),
        lambda g: _add_sorted(g, pair_sums, g.cast(group, "int64"), rows, other_positions),
        lambda g: _add_in_order(g, pair_sums, group, g.Gather(rows, other_positions)),
    )
    offset = g.Add(g.cast(g.Shape(rows, start=0, end=1), "int32"), g.const(1, "int32"))
    positions = g.cast(first_positions, "int32")
    long_positions = g.Add(arange_like(g, long_segments), offset)
    positions = g.ScatterElements(positions, long_segments, long_positions, axis=0)
    zeros = g.const([[0.0] * rows.type.static_size(1)], rows.dtype)
    return SegmentSums(g.Concat(rows, zeros, long_sums, axis=0), g.refine(positions, first_positions.shape))


def _add_in_order(g: Builder, start: Value, segment_ids: Value, rows: Value) -> Value:
    """Adds each row to the row of `start` of its segment, in order, by ScatterElements."""
    width = rows.type.static_size(1)
    first = g.Mul(g.Reshape(segment_ids, [-1, 1]), width)
    elements = g.Reshape(g.Add(first, list(range(width))), [-1])
    sums = g.ScatterElements(g.Reshape(start, [-1]), elements, g.Reshape(rows, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(sums, [-1, width]), start.shape)


def _add_sorted(g: Builder, start: Value, segment_ids: Value, rows: Value, row_positions: Value) -> Value:
    """Adds the rows at `row_positions` to the rows of `start` of their segments, in groups of equal segments."""
    width = rows.type.static_size(1)
    sorted_ids, order = g.TopK(segment_ids, g.Shape(segment_ids), axis=0, largest=0, sorted=1, outputs=2)
    rank = _rank_within_segments(g, sorted_ids)
    heads = positions_where(g, g.Equal(g.Mod(rank, ROWS_PER_PRODUCT), 0))
    offsets = g.const(list(range(ROWS_PER_PRODUCT)), "int32")
    members = g.Reshape(g.Add(g.Reshape(heads, [-1, 1]), offsets), [-1])
    member_ids = gather(g, g.Concat(sorted_ids, g.const([-1] * ROWS_PER_PRODUCT, "int64"), axis=0), members)
    head_ids = gather(g, sorted_ids, heads)
    is_member = g.Equal(g.Reshape(member_ids, [-1, ROWS_PER_PRODUCT]), g.Reshape(head_ids, [-1, 1]))
    weights = g.cast(is_member, rows.dtype)
    padding = g.const([0] * ROWS_PER_PRODUCT, row_positions.dtype)
    sorted_positions = g.Concat(gather(g, row_positions, order), padding, axis=0)
    groups = g.Reshape(g.Gather(rows, gather(g, sorted_positions, members)), [-1, ROWS_PER_PRODUCT, width])
    sums = g.Reshape(g.MatMul(g.Reshape(weights, [-1, 1, ROWS_PER_PRODUCT]), groups), [-1, width])
    is_first = g.Equal(gather(g, rank, heads), 0)
    first, others = positions_where(g, is_first), positions_where(g, g.Not(is_first))
    first_ids = g.Reshape(gather(g, head_ids, first), [-1, 1])
    with_first = g.ScatterND(start, first_ids, g.Gather(sums, first), reduction="add")
    return _add_in_order(g, g.refine(with_first, start.shape), gather(g, head_ids, others), g.Gather(sums, others))


def _rank_within_segments(g: Builder, sorted_ids: Value) -> Value:
    """Emits for each of the sorted ids the number of equal ids before it."""
    previous = g.Concat(g.const([-1], "int64"), g.Slice(sorted_ids, [0], [-1], [0]), axis=0)
    is_first, position = g.Not(g.Equal(sorted_ids, previous)), arange_like(g, sorted_ids)
    return g.Sub(position, gather(g, positions_where(g, is_first, position), dense_ranks(g, is_first)))


def arange_like(g: Builder, x: Value) -> Value:
    """Emits 0, 1, ..., n - 1 for x [n]."""
    count = g.cast(g.Squeeze(g.Shape(x)), "int32")
    return g.refine(g.Range(g.const(0, "int32"), count, g.const(1, "int32")), x.shape)


def positions_where(g: Builder, mask: Value, positions: Value | None = None) -> Value:
    """Emits the positions where the mask [n] is true, or the elements of `positions` there. Compress is faster than
    NonZero."""
    return g.Compress(arange_like(g, mask) if positions is None else positions, mask, axis=0)


def dense_ranks(g: Builder, mask: Value) -> Value:
    """Emits for each true element of the mask [n] the number of true elements before it."""
    return g.Sub(g.CumSum(g.cast(mask, "int32"), g.const(0, "int64")), g.const(1, "int32"))


def gather(g: Builder, x: Value, positions: Value) -> Value:
    """Emits the rows of x at these positions. GatherElements is faster than Gather if x is a vector."""
    rows: Value = g.GatherElements(x, positions, axis=0) if x.rank == 1 else g.Gather(x, positions)
    return rows
