"""Means, differences from them, and variances, as layers that normalize need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...ir import Builder, Value


def centered_moments(g: Builder, x: Value, axes: list[int], keep: Value | None = None) -> tuple[Value, Value, Value]:
    """Mean along axes, the difference of x from it, and its square's mean; means over the places that are kept."""
    if keep is None:
        return centered_moments_with(g, x, lambda x: g.ReduceMean(x, axes, keepdims=1))
    zero = g.const(0, x.dtype)
    counted = g.Add(g.ReduceSum(g.cast(g.Expand(keep, g.Shape(x)), x.dtype), axes, keepdims=1), 1e-7)
    mean = g.Div(g.ReduceSum(g.Where(keep, x, zero), axes, keepdims=1), counted)
    centered = g.Add(x, g.Neg(mean))
    squares = g.Where(keep, g.Mul(centered, centered), zero)
    return mean, centered, g.Div(g.ReduceSum(squares, axes, keepdims=1), counted)


def centered_moments_with(g: Builder, x: Value, reduce_mean: Callable[[Value], Value]) -> tuple[Value, Value, Value]:
    """The same with means of any kind."""
    mean = reduce_mean(x)
    centered = g.Add(x, g.Neg(mean))  # not Sub, whose gradient negates all of x' size before it sums
    # The variance does not change with the mean, of which differences sum up to 0: no gradient need go that way.
    apart = g.Add(x, g.Neg(stop_gradient(g, mean))) if g.training else centered
    return mean, centered, reduce_mean(g.Mul(apart, apart))


def stop_gradient(g: Builder, x: Value) -> Value:
    """x, through which no gradient goes."""
    with g.detached():
        return g.Identity(x)
