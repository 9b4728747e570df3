"""ContrastLimitedAdaptiveHistogramEqualization: the histograms of the tiles of an image, and what lies between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.components import attr
from ...core.types import Dim, TensorType, require
from ..base import Layer, layer
from ..convolution.sliding_window import DATA_FORMAT, DataFormat, require_spatial, with_channels_first
from ..preprocessing.numerical import float_type
from .contrast import VALUE_RANGE, Range, require_range, rescale_range

if TYPE_CHECKING:
    from ...ir import Builder, Value

BYTE_LEVELS = 256
"""The values that are counted: 0 to 255."""

BYTE_RANGE: Range = (0.0, 255.0)

MAX_HISTOGRAM_ELEMENTS = 2**31 - 1
"""Counts that a channel of an image may have."""


class TiledAxis(NamedTuple):
    """The tiles along one axis of n pixels. The last ones go beyond it, where the image is reflected.

    Pixel i lies between the centres of the tiles `tile_before` and `tile_behind`, `interpolation_weight` of the way.
    The tiles have `size` pixels each, all of them together those at `sources`, each in its `tile`.
    """

    size: Value
    sources: Value
    tile: Value
    tile_before: Value
    tile_behind: Value
    interpolation_weight: Value


def tile_axis(g: Builder, x: Value, axis: int, count: int) -> TiledAxis:
    """An axis of x as `count` tiles of `ceil(n / count)` pixels."""
    known, last = x.shape[axis], count - 1
    n = g.const(known, "int64") if isinstance(known, int) else g.Squeeze(g.Shape(x, start=axis, end=axis + 1), [0])
    size = g.Div(g.Add(n, last), count)
    places = g.refine(g.Range(0, g.Mul(size, count), 1), (tiled_size(known, count),))
    turn = g.Mod(places, g.Mul(n, 2))
    sources = g.Min(turn, g.Sub(g.Sub(g.Mul(n, 2), 1), turn))
    pixels = g.refine(g.Range(0, n, 1), (known,))
    real = g.cast(size, x.dtype)
    at = g.Add(g.Div(g.Sub(g.cast(pixels, x.dtype), g.Div(real, 2.0)), real), 1.0)  # the order in which Keras rounds
    floor = g.Floor(at)
    behind = g.cast(floor, "int64")
    ends = g.Clip(g.Sub(behind, 1), 0, last), g.Clip(behind, 0, last)
    return TiledAxis(size, sources, g.Div(places, size), *ends, g.Sub(at, floor))


def tiled_size(n: Dim, count: int) -> Dim:
    """The pixels of all tiles along an axis."""
    return (n + count - 1) // count * count


@layer
class ContrastLimitedAdaptiveHistogramEqualization(Layer):
    """Every value becomes the share of the values of its tile that are no greater, in training and in inference.

    In the range of 0 to 255, of each channel by itself: what exceeds `clip_limit * pixels / 256` in a tile's histogram
    is spread over all of its 256 values; `(cdf(value) - cdf(0)) * 255 / (pixels - cdf(0))`, interpolated between the
    centres of the four nearest tiles. Where tiles go beyond the image, it is reflected. It has no slope.
    """

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)
    clip_limit: float = attr(4.0, doc="How many times its mean a histogram may be; 0 or less for no limit.")
    tile_grid_size: tuple[int, int] = attr((8, 8), doc="Number of tiles along height and width.", minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        require_range(self.value_range)
        float_type(x)
        numbers = self.tile_grid_size[0] * self.tile_grid_size[1] * BYTE_LEVELS
        text = f"counts {BYTE_LEVELS} values in each of {list(self.tile_grid_size)} tiles, {numbers} numbers a channel"
        require(numbers <= MAX_HISTOGRAM_ELEMENTS, text, f"the limit is {MAX_HISTOGRAM_ELEMENTS}", code="too-large")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        y = rescale_range(g, g.cast(x, g.float_dtype), self.value_range, BYTE_RANGE)
        y = with_channels_first(g, y, self.data_format, lambda images: self.equalize(g, images))
        return g.cast(rescale_range(g, y, BYTE_RANGE, self.value_range), x.dtype)

    def equalize(self, g: Builder, x: Value) -> Value:
        """Images [batch, channels, height, width]."""
        across = self.tile_grid_size[1]
        rows, columns = (tile_axis(g, x, axis + 2, count) for axis, count in enumerate(self.tile_grid_size))
        pixels = g.cast(g.Where(g.Greater(x, 0.0), g.Min(x, 255.0), 0.0), "int64")  # what is no number is 0 to Keras

        def placed(pixels: Value, row: Value, column: Value) -> Value:
            """Where each pixel's value stands in the tables of all tiles: [batch, channels, pixels].

            Row and column go to the pixels one by one: ONNX takes a sum of the two for a shape, and finds it wrong.
            """
            above = g.Unsqueeze(g.Mul(row, across * BYTE_LEVELS), [1])
            return flatten_last_axes(g, g.Add(g.Add(pixels, above), g.Mul(column, BYTE_LEVELS)))

        whole = g.Gather(g.Gather(pixels, rows.sources, axis=2), columns.sources, axis=3)
        table = self.lookup_tables(g, placed(whole, rows.tile, columns.tile), g.Mul(rows.size, columns.size))

        def looked_up(row: Value, column: Value) -> Value:
            found = g.GatherElements(table, placed(pixels, row, column), axis=2)
            return g.refine(g.Reshape(found, g.Shape(x)), x.shape)

        def between(before: Value, behind: Value, share: Value) -> Value:
            return g.Add(g.Mul(before, g.Sub(1.0, share)), g.Mul(behind, share))

        above, below = (
            between(
                looked_up(row, columns.tile_before), looked_up(row, columns.tile_behind), columns.interpolation_weight
            )
            for row in (rows.tile_before, rows.tile_behind)
        )
        return between(above, below, g.Unsqueeze(rows.interpolation_weight, [1]))

    def lookup_tables(self, g: Builder, places: Value, size: Value) -> Value:
        """What every value becomes in every tile: [batch, channels, tiles * 256], by the values that are there."""
        outer, tiles = places.shape[:2], self.tile_grid_size[0] * self.tile_grid_size[1]
        shape = g.Concat(g.Shape(places, start=0, end=2), g.const([tiles * BYTE_LEVELS], "int64"), axis=0)
        none = g.refine(g.Expand(g.const(0.0), shape), (*outer, tiles * BYTE_LEVELS))
        ones = g.refine(g.Expand(g.const(1.0), g.Shape(places)), places.shape)
        counts = g.ScatterElements(none, places, ones, axis=2, reduction="add")
        counts = g.refine(g.Reshape(counts, [0, 0, tiles, BYTE_LEVELS]), (*outer, tiles, BYTE_LEVELS))
        size = g.cast(size, counts.dtype)
        if self.clip_limit > 0:
            kept = g.Min(counts, g.Mul(size, self.clip_limit / BYTE_LEVELS))
            excess = g.ReduceSum(g.Sub(counts, kept), [-1], keepdims=1)
            counts = g.Add(kept, g.Div(excess, float(BYTE_LEVELS)))
        total = g.CumSum(counts, g.const(-1, "int64"))
        first = g.Slice(total, [0], [1], [-1])
        rest = g.Sub(size, first)
        share = g.Div(g.Mul(g.Sub(total, first), 255.0), g.Where(g.Equal(rest, 0.0), 1.0, rest))
        return flatten_last_axes(g, g.Clip(share, 0.0, 255.0))


def flatten_last_axes(g: Builder, x: Value) -> Value:
    """[a, b, c, d] as [a, b, c * d]."""
    return g.refine(g.Reshape(x, [0, 0, -1]), (*x.shape[:2], x.type.with_shape(x.shape[2:]).elements))
