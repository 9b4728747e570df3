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

TOGETHER = 8
"""Rows that are added at once: with more, more places of numbers that come a few times only stay empty."""
MANY = 1 << 14
"""Elements up to which adding in order takes no longer."""


class Sums(NamedTuple):
    """Rows, and where among them each sum is: n at places [n]."""

    rows: Value
    places: Value

    def at(self, g: Builder, numbers: Value) -> Value:
        """The sums with these numbers."""
        return g.Gather(self.rows, at(g, self.places, numbers))


def row_sums(g: Builder, rows: Value, first: Value, numbers: Value, which: Value) -> Sums:
    """The sums, each of the row whose place in [m, width] `first` [n] tells, and of those that come besides: for the
    sum with one of the numbers [k] the row whose place `which` [k] tells. The place m is that of a row of zeros, for
    sums that get nothing besides."""
    place = places_of(g, numbers)
    none = g.repeated(0, g.Shape(first), "int32")
    stands = at(g, g.ScatterElements(none, numbers, place, axis=0), numbers)
    own = g.Equal(stands, place)
    leads, others = places_where(g, own, place), places_where(g, g.Not(own), place)
    group, which_others = at(g, ranks(g, own), at(g, stands, others)), at(g, which, others)
    several = at(g, numbers, leads)
    leading = g.Add(g.Gather(rows, at(g, first, several)), g.Gather(rows, at(g, which, leads)))
    more = g.either(
        g.Greater(g.Squeeze(g.Shape(others)), MANY // rows.type.fixed(1)),
        lambda g: _sorted(g, leading, g.cast(group, "int64"), rows, which_others),
        lambda g: _added(g, leading, group, g.Gather(rows, which_others)),
    )
    behind = g.Add(g.cast(g.Shape(rows, start=0, end=1), "int32"), g.const(1, "int32"))
    places = g.ScatterElements(g.cast(first, "int32"), several, g.Add(places_of(g, several), behind), axis=0)
    zeros = g.const([[0.0] * rows.type.fixed(1)], rows.dtype)
    return Sums(g.Concat(rows, zeros, more, axis=0), g.refine(places, first.shape))


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
    rank = _within_groups(g, found)
    heads = places_where(g, g.Equal(g.Mod(rank, TOGETHER), 0))
    behind = g.const(list(range(TOGETHER)), "int32")
    members = g.Reshape(g.Add(g.Reshape(heads, [-1, 1]), behind), [-1])
    numbered = at(g, g.Concat(found, g.const([-1] * TOGETHER, "int64"), axis=0), members)
    own = at(g, found, heads)
    same = g.cast(g.Equal(g.Reshape(numbered, [-1, TOGETHER]), g.Reshape(own, [-1, 1])), rows.dtype)
    taken = g.Concat(at(g, which, order), g.const([0] * TOGETHER, which.dtype), axis=0)
    parts = g.Reshape(g.Gather(rows, at(g, taken, members)), [-1, TOGETHER, width])
    sums = g.Reshape(g.MatMul(g.Reshape(same, [-1, 1, TOGETHER]), parts), [-1, width])
    leads = g.Equal(at(g, rank, heads), 0)
    first, others = places_where(g, leads), places_where(g, g.Not(leads))
    led = g.ScatterND(start, g.Reshape(at(g, own, first), [-1, 1]), g.Gather(sums, first), reduction="add")
    return _added(g, g.refine(led, start.shape), at(g, own, others), g.Gather(sums, others))


def _within_groups(g: Builder, found: Value) -> Value:
    """How many of the same sorted numbers each stands behind."""
    before = g.Concat(g.const([-1], "int64"), g.Slice(found, [0], [-1], [0]), axis=0)
    new, place = g.Not(g.Equal(found, before)), places_of(g, found)
    return g.Sub(place, at(g, places_where(g, new, place), ranks(g, new)))


def places_of(g: Builder, x: Value) -> Value:
    """0 to the number of elements of x [n], less one."""
    count = g.cast(g.Squeeze(g.Shape(x)), "int32")
    return g.refine(g.Range(g.const(0, "int32"), count, g.const(1, "int32")), x.shape)


def places_where(g: Builder, truths: Value, places: Value | None = None) -> Value:
    """Where the truths [n] hold; by the operator that takes a third of NonZero's time."""
    return g.Compress(places_of(g, truths) if places is None else places, truths, axis=0)


def ranks(g: Builder, truths: Value) -> Value:
    """How many of the truths [n] hold before each that does."""
    return g.Sub(g.CumSum(g.cast(truths, "int32"), g.const(0, "int64")), g.const(1, "int32"))


def at(g: Builder, x: Value, places: Value) -> Value:
    """The rows of x at the places; of numbers, by the operator that takes a fifth of Gather's time."""
    found: Value = g.GatherElements(x, places, axis=0) if x.rank == 1 else g.Gather(x, places)
    return found
