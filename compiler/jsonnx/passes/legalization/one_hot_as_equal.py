"""Writes operators that compare positions, OneHot, EyeLike, Trilu and ArgMax, by Equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...ir import Builder, Constant, Value
from ..rewrite import Match
from .rules import form, operand

INDEX_TYPES = {"int32", "int64"}
EXACT_TYPES = ("int32", "float64")
"""Element types in which counts and indices are exact, in the order in which they are tried."""


def _is_number(x: Value | None) -> bool:
    return isinstance(x, Constant) and x.array.size == 1


@form("OneHot")
def one_hot_as_equal(m: Match) -> Value | None:
    """OneHot(indices, depth, [off, on]) -> Where(Equal(indices, positions), on, off); negative indices count from the
    end"""
    g, indices, depth, values = m.g, operand(m), operand(m, 1), operand(m, 2)
    if indices.dtype not in INDEX_TYPES or not isinstance(depth, Constant) or not isinstance(values, Constant):
        return None
    count = int(depth.array.reshape(()))
    off, on = (g.const(value, values.dtype) for value in values.array)
    axis = m.node.attribute("axis", -1) % (indices.rank + 1)
    index = g.cast(indices, "int32")
    index = g.Where(g.Less(index, 0), g.Add(index, count), index)
    positions = g.positions(count, "int32", shape=(-1, *[1] * (indices.rank - axis)))
    hits = g.Equal(g.Unsqueeze(index, [axis]), positions)
    return g.refine(g.Where(hits, on, off), m.node.outputs[0].shape)


@form("EyeLike")
def eye_like_as_equal(m: Match) -> Value | None:
    """EyeLike(x) -> Cast(Equal(columns, rows + k)), for static sizes"""
    x, result = operand(m), m.node.outputs[0]
    if not x.type.is_static():
        return None
    difference = _column_minus_row(m.g, x)
    return m.g.cast(m.g.Equal(difference, m.g.const(m.node.attribute("k", 0), "int32")), result.dtype)


@form("Trilu")
def trilu_as_where(m: Match) -> Value | None:
    """Trilu(x, k) -> Where(GreaterOrEqual(columns - rows, k), x, 0), for static sizes; the lower triangle likewise"""
    g, x, k = m.g, operand(m), m.node.input(1)
    if not all(isinstance(size, int) for size in x.shape[-2:]) or not (k is None or _is_number(k)):
        return None
    offset = g.const(int(k.array.reshape(())) if isinstance(k, Constant) else 0, "int32")
    difference = _column_minus_row(g, x)
    kept = g.GreaterOrEqual if m.node.attribute("upper", 1) else g.LessOrEqual
    triangle: Value = g.Where(kept(difference, offset), x, g.const(0, x.dtype))
    return triangle


def _column_minus_row(g: Builder, x: Value) -> Value:
    """A matrix of the difference between the indices of column and row, for the sizes of the last axes."""
    rows, columns = x.shape[-2:]
    difference: Value = g.Sub(g.positions(columns, "int32"), g.positions(rows, "int32", shape=(-1, 1)))
    return difference


@form("ArgMax", "ArgMin")
def arg_max_of_another_type(m: Match) -> Value | None:
    """ArgMax(x) of integers -> ArgMax(Cast(x)), in a type that has a kernel and in which the integers are exact"""
    g, x = m.g, operand(m)
    if x.dtype not in INDEX_TYPES:
        return None
    for dtype in EXACT_TYPES:
        converted = Value(x.type.with_dtype(dtype))
        if dtype != x.dtype and not m.context.lacks_kernel(replace(m.node, inputs=(converted,))):
            index: Value = g.emit(m.node.op, g.cast(x, dtype), **m.node.attributes)
            return index
    return None


def first_maximum(g: Builder, x: Value, op: str, axis: int, keepdims: bool) -> Value:
    """The result of ArgMax or ArgMin as int32: the lowest position of an extremum."""
    extremum = g.ReduceMax(x, [axis]) if op == "ArgMax" else g.ReduceMin(x, [axis])
    later_axes = x.rank - 1 - axis % x.rank
    if isinstance(x.shape[axis], int):
        positions: Value = g.positions(x.shape[axis], "int32", shape=(-1, *[1] * later_axes))
    else:
        size = g.Shape(x, start=axis % x.rank, end=axis % x.rank + 1)
        counts = g.Range(g.const(0, "int64"), g.Squeeze(size, [0]), g.const(1, "int64"))
        positions = g.Reshape(g.cast(counts, "int32"), [-1, *[1] * later_axes])
    candidates = g.Where(g.Equal(x, extremum), positions, g.const(np.iinfo(np.int32).max, "int32"))
    index: Value = g.ReduceMin(candidates, [axis], keepdims=int(keepdims))
    return index


@form("ReduceMax", "ReduceMin")
def boolean_maximum_as_int32(m: Match) -> Value | None:
    """ReduceMax(x) of booleans -> Cast(ReduceMax(Cast(x, int32)), bool)"""
    g, x = m.g, operand(m)
    if x.dtype != "bool":
        return None
    integers = g.emit(m.node.op, g.cast(x, "int32"), *m.node.inputs[1:], **m.node.attributes)
    return g.cast(integers, "bool")
