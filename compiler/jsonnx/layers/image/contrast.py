"""Layers that stretch or equalize the values of images over their range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..base import Layer, layer
from ..preprocessing.numerical import float_type
from ..sliding_window import DATA_FORMAT, DataFormat, channel_axis, require_spatial

if TYPE_CHECKING:
    from ...ir import Builder, Value

VALUE_RANGE = "Minimum and maximum value of the images."

Range = tuple[float, float]

BYTE_RANGE: Range = (0.0, 255.0)
"""The range of values that histograms and bitwise formulas use."""


def require_range(value_range: Range) -> None:
    """Raises ShapeError if a range of values is empty."""
    require(value_range[0] != value_range[1], f"has the value_range {list(value_range)}, which is empty")


def rescale_range(g: Builder, x: Value, source: Range, target: Range) -> Value:
    """Rescales values from one range to another. Rounds as Keras' compiled models do, as the results are binned."""
    import numpy as np

    if source == target:
        return x
    width, target_width = (np.float32(high - low) for low, high in (source, target))
    return g.Add(g.Mul(g.Sub(x, source[0]), float(np.float32(1) / width * target_width)), target[0])


@layer
class AutoContrast(Layer):
    """Stretches the contrast of each image and channel to the value range.

    Constant channels are not changed.
    """

    formula = """
        low, high = min(x, axis=(1, 2), keepdims=True), max(x, axis=(1, 2), keepdims=True)
        start, end = sort(value_range)
        y = where(low == high, x, start + (end - start) * divide_no_nan(x - low, high - low))
    """
    value_range: Range = attr((0, 255), doc=VALUE_RANGE)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, None)
        require_range(self.value_range)
        return float_type(x)

    def lower(self, g: Builder, x: Value) -> Any:
        x = g.cast(x, g.float_dtype)
        low, high = g.ReduceMin(x, [1, 2], keepdims=1), g.ReduceMax(x, [1, 2], keepdims=1)
        is_constant = g.Equal(low, high)
        fraction = g.Div(g.Sub(x, low), g.Where(is_constant, 1.0, g.Sub(high, low)))
        minimum, maximum = sorted(self.value_range)
        stretched = rescale_range(g, g.Clip(fraction, 0.0, 1.0), (0.0, 1.0), (minimum, maximum))
        return g.Where(is_constant, x, stretched)


@layer
class Equalization(Layer):
    """Equalizes the histogram of each channel over the batch in training; in inference images are not changed.

    As in Keras, a value in one of `bins` equal bins becomes `round((cdf(bin) - cdf(first)) * 255 / (count -
    cdf(first)))`, scaled to the value range.
    """

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)
    bins: int = attr(256, doc="Number of histogram bins.", minimum=2, maximum=65536)
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
        value_range = (min(self.value_range), max(self.value_range))
        axis = channel_axis(x.rank, self.data_format)
        scaled = rescale_range(g, x, value_range, BYTE_RANGE)
        equalized = [
            self.equalize_channel(g, g.Slice(scaled, [index], [index + 1], [axis]))
            for index in range(x.type.static_size(axis))
        ]
        return rescale_range(g, g.Concat(*equalized, axis=axis), BYTE_RANGE, value_range)

    def equalize_channel(self, g: Builder, x: Value) -> Value:
        """Equalizes one channel of all images. As in Keras, counting and lookup use formulas that round differently."""
        last = self.bins - 1
        counted_bins = g.Clip(g.cast(g.Div(g.Mul(x, float(last)), 255.0), "int64"), 0, last)
        bins = g.cast(g.Clip(g.Mul(g.Div(x, 255.0), float(last)), 0.0, float(last)), "int64")
        bins = g.Clip(bins, 0, last)  # the cast turns NaN into the smallest integer
        flat = g.reshape(counted_bins, (x.type.elements,))
        ones = g.Expand(g.const([1], "int64"), g.Shape(flat))
        counts = g.ScatterElements(g.filled(0, [self.bins], "int64"), flat, ones, axis=0, reduction="add")
        total = g.CumSum(counts, g.const(0, "int64"))
        first = g.Gather(total, g.ArgMax(g.cast(g.Greater(total, 0), "int64"), axis=0, keepdims=1), axis=0)
        remaining = g.Sub(g.Gather(total, [last], axis=0), first)
        scaled = g.Mul(g.Sub(total, first), 255)
        table = g.Round(g.Div(g.cast(scaled, x.dtype), g.cast(g.Max(remaining, 1), x.dtype)))
        used_bins = g.ReduceSum(g.cast(g.Greater(counts, 0), "int64"), [0], keepdims=1)
        return g.Where(g.LessOrEqual(used_bins, 1), x, g.Gather(g.Clip(table, 0.0, 255.0), bins, axis=0))
