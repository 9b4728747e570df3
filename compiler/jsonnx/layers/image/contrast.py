"""Layers that spread the values of images over their whole range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..base import Layer, layer
from ..convolution.sliding_window import DATA_FORMAT, DataFormat, channel_axis, require_spatial
from ..preprocessing.numerical import float_type

if TYPE_CHECKING:
    from ...ir import Builder, Value

VALUE_RANGE = "The least and the greatest value of an image."

Range = tuple[float, float]


def require_range(value_range: Range) -> None:
    """ShapeError where a range of values has no width."""
    require(value_range[0] != value_range[1], f"has the value_range {list(value_range)}, which has no width")


def rescale_range(g: Builder, x: Value, source: Range, target: Range) -> Value:
    """Values of one range in another; rounded as in a compiled model of Keras, for the bins that they fall into."""
    import numpy as np

    if source == target:
        return x
    width, wanted = (np.float32(high - low) for low, high in (source, target))
    return g.Add(g.Mul(g.Sub(x, source[0]), float(np.float32(1) / width * wanted)), target[0])


@layer
class AutoContrast(Layer):
    """`(x - min) / (max - min)` of each image, over its axes 1 and 2, in its range of values; even ones stay."""

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, None)
        require_range(self.value_range)
        return float_type(x)

    def lower(self, g: Builder, x: Value) -> Any:
        x = g.cast(x, g.float_dtype)
        low, high = g.ReduceMin(x, [1, 2], keepdims=1), g.ReduceMax(x, [1, 2], keepdims=1)
        even = g.Equal(low, high)
        share = g.Div(g.Sub(x, low), g.Where(even, 1.0, g.Sub(high, low)))
        least, greatest = sorted(self.value_range)
        return g.Where(even, x, rescale_range(g, g.Clip(share, 0.0, 1.0), (0.0, 1.0), (least, greatest)))


@layer
class Equalization(Layer):
    """In training every value becomes the share of the batch's values in its channel that are no greater.

    Of `bins` equal parts of the range: `round((cdf(bin) - cdf(first)) * 255 / (count - cdf(first)))`, in the range
    of 0 to 255. In inference images stay as they are, as in Keras.
    """

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)
    bins: int = attr(256, doc="Number of parts into which the range is split.", minimum=2, maximum=65536)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        require_range(self.value_range)
        x.static_size(channel_axis(x.rank, self.data_format))
        return float_type(x)

    def lower(self, g: Builder, x: Value) -> Any:
        x = g.cast(x, g.float_dtype)
        if not g.training:
            return x
        least, greatest = sorted(self.value_range)
        axis = channel_axis(x.rank, self.data_format)
        scaled = rescale_range(g, x, (least, greatest), (0.0, 255.0))
        equal = [
            self.equalize_channel(g, g.Slice(scaled, [index], [index + 1], [axis]))
            for index in range(x.type.static_size(axis))
        ]
        return rescale_range(g, g.Concat(*equal, axis=axis), (0.0, 255.0), (least, greatest))

    def equalize_channel(self, g: Builder, x: Value) -> Value:
        """One channel of all images. Keras counts and looks up by two formulas, which round differently."""
        last = self.bins - 1
        counted = g.Clip(g.cast(g.Div(g.Mul(x, float(last)), 255.0), "int64"), 0, last)
        bins = g.cast(g.Clip(g.Mul(g.Div(x, 255.0), float(last)), 0.0, float(last)), "int64")
        bins = g.Clip(bins, 0, last)  # what is no number becomes the least integer
        flat = g.reshape(counted, (x.type.elements,))
        ones = g.Expand(g.const([1], "int64"), g.Shape(flat))
        counts = g.ScatterElements(g.const([0] * self.bins, "int64"), flat, ones, axis=0, reduction="add")
        total = g.CumSum(counts, g.const(0, "int64"))
        first = g.Gather(total, g.ArgMax(g.cast(g.Greater(total, 0), "int64"), axis=0, keepdims=1), axis=0)
        rest = g.Sub(g.Gather(total, [last], axis=0), first)
        share = g.Mul(g.Sub(total, first), 255)
        table = g.Round(g.Div(g.cast(share, x.dtype), g.cast(g.Max(rest, 1), x.dtype)))
        used = g.ReduceSum(g.cast(g.Greater(counts, 0), "int64"), [0], keepdims=1)
        return g.Where(g.LessOrEqual(used, 1), x, g.Gather(g.Clip(table, 0.0, 255.0), bins, axis=0))
