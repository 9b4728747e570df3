"""Writes Max, Min, Sum and Sign by comparisons and additions."""

from __future__ import annotations

from functools import reduce
from typing import Any

from ...ir import Builder, Constant, Value
from ..rewrite import Match
from .rules import form, operand

FLOATS = {"float16", "float32", "float64"}


@form("Max", "Min")
def maximum_as_where(m: Match) -> Value:
    """Max(a, b) -> Where(Less(a, b), b, a); with a constant number: Clip(a, number). a's NaN is kept, not b's."""
    inputs = [x for x in m.node.inputs if x is not None]
    variables = [x for x in inputs if not isinstance(x, Constant)]
    constants = [x for x in inputs if isinstance(x, Constant)]
    return reduce(lambda a, b: _larger(m.g, a, b, m.node.op), [*variables, *constants])


def _larger(g: Builder, a: Value, b: Value, op: str) -> Value:
    if isinstance(b, Constant) and b.rank == 0 and b.dtype in FLOATS:
        clipped: Value = g.Clip(a, b) if op == "Max" else g.Clip(a, None, b)
        return clipped
    is_replaced = g.Less(a, b) if op == "Max" else g.Greater(a, b)
    chosen: Value = g.Where(is_replaced, b, a)
    return chosen


@form("Sum")
def sum_as_add(m: Match) -> Value:
    """Sum(a, b, c) -> Add(Add(a, b), c)"""
    inputs: list[Any] = list(m.node.inputs)
    return reduce(m.g.Add, inputs)


@form("Sign")
def sign_as_comparisons(m: Match) -> Value:
    """Sign(x) -> Cast(Greater(x, 0)) - Cast(Less(x, 0))"""
    g, x = m.g, operand(m)
    zero = g.const(0, x.dtype)
    sign: Value = g.Sub(g.cast(g.Greater(x, zero), x.dtype), g.cast(g.Less(x, zero), x.dtype))
    return sign


@form("Abs")
def absolute_as_where(m: Match) -> Value:
    """Abs(x) -> Where(Less(x, 0), 0 - x, x)"""
    g, x = m.g, operand(m)
    zero = g.const(0, x.dtype)
    absolute: Value = g.Where(g.Less(x, zero), g.Sub(zero, x), x)
    return absolute


@form("Neg")
def negative_as_sub(m: Match) -> Value:
    """Neg(x) -> 0 - x"""
    x = operand(m)
    negative: Value = m.g.Sub(m.g.const(0, x.dtype), x)
    return negative
