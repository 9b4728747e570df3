"""Mean, variance and centered values for normalization layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...ir import Builder, Value


def centered_moments(g: Builder, x: Value, axes: list[int], keep: Value | None = None) -> tuple[Value, Value, Value]:
    """The mean along axes, x minus the mean, and the variance, over the positions where `keep` is true."""
    if keep is None:
        return centered_moments_with(g, x, lambda x: g.ReduceMean(x, axes, keepdims=1))
    zero = g.const(0, x.dtype)
    count = g.Add(g.ReduceSum(g.cast(g.Expand(keep, g.Shape(x)), x.dtype), axes, keepdims=1), 1e-7)
    mean = g.Div(g.ReduceSum(g.Where(keep, x, zero), axes, keepdims=1), count)
    centered = g.Add(x, g.Neg(mean))
    squares = g.Where(keep, g.Mul(centered, centered), zero)
    return mean, centered, g.Div(g.ReduceSum(squares, axes, keepdims=1), count)


def centered_moments_with(g: Builder, x: Value, reduce_mean: Callable[[Value], Value]) -> tuple[Value, Value, Value]:
    """Mean, centered values and variance, with `reduce_mean` as the averaging function."""
    mean = reduce_mean(x)
    centered = g.Add(x, g.Neg(mean))  # unlike Sub's, this gradient sums before it negates
    # The variance's gradient through the mean is 0, as the centered values sum to 0: it need not be computed.
    detached = g.Add(x, g.Neg(stop_gradient(g, mean))) if g.training else centered
    return mean, centered, reduce_mean(g.Mul(detached, detached))


def stop_gradient(g: Builder, x: Value) -> Value:
    """X with its gradient blocked."""
    with g.detached():
        return g.Identity(x)


def divide_by_root_mean_square(g: Builder, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """`x / sqrt(mean(x ** 2) + epsilon)`, with the mean along some axes."""
    mean = g.ReduceMean(g.Mul(x, x), list(axes), keepdims=1)
    return g.Mul(x, g.Reciprocal(g.Sqrt(g.Add(mean, epsilon))))
