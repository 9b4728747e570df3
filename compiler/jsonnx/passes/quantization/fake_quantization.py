"""Rounding to quantized values in floating point, by the operations of QuantizeLinear and DequantizeLinear.

`x / scale` is rounded half to even and multiplied by the scale. Values out of range are clipped before, which gives the
same: a quotient beyond the last integer by rounding errors is rounded to it. The gradient passes the rounding
unchanged, and is zero where a value was clipped (Bengio, Leonard and Courville, 2013).
"""

from __future__ import annotations

from typing import NamedTuple

from ...ir import Builder, Node, Value
from .integers import INTEGER_BOUNDS, MAX_BIAS, MIN_SCALE, weight_bound

MIN_FACTOR = 1e-30
"""The least factor of a normalization that scales are divided by: zero stands for a channel that is left out."""


class Rounding(NamedTuple):
    """The quantized values are the multiples of the scale from `low` to `high`; all are scalars."""

    scale: Value
    low: Value
    high: Value


def rounding_of_range(g: Builder, low: Value, high: Value, dtype: str) -> Rounding:
    """The rounding that has `quantization_parameters` of a range."""
    least, largest = map(float, INTEGER_BOUNDS[dtype])
    low, high = g.Min(low, 0.0), g.Max(high, 0.0)
    scale = _normal_scale(g, g.Div(g.Sub(high, low), largest - least))
    zero_point = g.Clip(g.Round(g.Sub(least, g.Div(low, scale))), least, largest)
    return Rounding(scale, *(g.Mul(g.Sub(bound, zero_point), scale) for bound in (least, largest)))


def fake_quantized(g: Builder, x: Value, rounding: Rounding) -> Value:
    """The values of x after QuantizeLinear and DequantizeLinear."""
    return rounded_to_multiples(g, g.Clip(x, rounding.low, rounding.high), rounding.scale)


def rounded_to_multiples(g: Builder, x: Value, scale: Value) -> Value:
    """The multiples of the scale that are next to x. The gradient of x is that of the result."""
    with g.straight_through():
        rounded: Value = g.Mul(g.Round(g.Div(x, scale)), scale)
    return rounded


def weight_scale(g: Builder, weight: Value, axis: int | None, bits: int) -> Value:
    """The scales of a weight that is rounded symmetrically: of each index of the axis, in the weight's rank, or a
    scalar."""
    magnitudes = g.Abs(weight)
    if axis is None:
        largest = g.ReduceMax(magnitudes, keepdims=0)
    else:
        others = [other for other in range(weight.rank) if other != axis % weight.rank]
        largest = g.ReduceMax(magnitudes, others, keepdims=1)
    return _normal_scale(g, g.Div(largest, float(weight_bound(bits))))


def row_scale(g: Builder, rows: Value, axes: int, bits: int) -> Value:
    """The scales of rows of a table, each along the last axes."""
    largest = g.ReduceMax(g.Abs(rows), list(range(rows.rank - axes, rows.rank)), keepdims=1)
    return _normal_scale(g, g.Div(largest, float(weight_bound(bits))))


def scale_for_bias(g: Builder, scale: Value, data_scale: Value, bias: Value) -> Value:
    """The scales of a weight, made so large that the bias does not exceed its integers."""
    least = g.Div(g.Abs(bias), g.Mul(data_scale, MAX_BIAS))
    least = g.reshape(as_vector(g, least), scale.shape) if scale.rank else g.ReduceMax(least, keepdims=0)
    largest: Value = g.Max(scale, least)
    return largest


def rounded_bias(g: Builder, bias: Value, scale: Value) -> Value:
    """A bias as integers times its scales, those of the data times those of the weight."""
    with g.straight_through():
        rounded: Value = g.Mul(g.Clip(g.Round(g.Div(bias, scale)), -MAX_BIAS, MAX_BIAS), scale)
    return rounded


def normalization_factor(g: Builder, gamma: Value, variance: Value, epsilon: float, rank: int, axis: int) -> Value:
    """What a batch normalization multiplies each channel by, in the rank of a weight that has the channels on an
    axis."""
    factor = g.Div(gamma, g.Sqrt(g.Add(variance, epsilon)))
    return g.reshape(factor, [factor.shape[0] if other == axis % rank else 1 for other in range(rank)])


def as_vector(g: Builder, x: Value) -> Value:
    """The elements of x, whose shape is known, along one axis."""
    return g.reshape(x, (x.type.elements,))


def output_axis(node: Node) -> int:
    """The axis of the weight of a linear operator that counts the channels of the result."""
    return 0 if node.op == "Conv" or node.attribute("transB", 0) else 1 if node.op == "ConvTranspose" else -1


def _normal_scale(g: Builder, scale: Value) -> Value:
    """The scale; 1 for one that is zero or a denormal number."""
    normal: Value = g.Where(g.Less(scale, MIN_SCALE), 1.0, scale)
    return normal
