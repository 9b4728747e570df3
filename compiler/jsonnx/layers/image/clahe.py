"""ContrastLimitedAdaptiveHistogramEqualization: histogram equalization per tile, interpolated between tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.components import attr
from ...core.limits import MAX_HISTOGRAM_ELEMENTS
from ...core.types import Dim, TensorType, require
from ..base import Layer, layer
from ..preprocessing.numerical import float_type
from ..sliding_window import DATA_FORMAT, DataFormat, require_spatial, with_channels_first
from .contrast import BYTE_RANGE, VALUE_RANGE, Range, require_range, rescale_range

if TYPE_CHECKING:
    from ...ir import Builder, Value

CLAHE_OPERATORS = 160

BYTE_LEVELS = 256
"""Number of histogram bins: the values 0 to 255."""


class TiledAxis(NamedTuple):
    """The tiles along one axis. The last tiles may extend beyond the image, which is reflected there.

    Each tile has `size` pixels; the pixels of all tiles are read from the image at `sources` and belong to `tile`.
    Pixel i of the image lies between the centers of the tiles `tile_before` and `tile_behind`, at
    `interpolation_weight` of the distance.
    """

    size: Value
    sources: Value
    tile: Value
    tile_before: Value
    tile_behind: Value
    interpolation_weight: Value


def tile_axis(g: Builder, x: Value, axis: int, count: int) -> TiledAxis:
    """Divides an axis of x into `count` tiles of `ceil(n / count)` pixels."""
    dim, last = x.shape[axis], count - 1
    n = g.const(dim, "int64") if isinstance(dim, int) else g.Squeeze(g.Shape(x, start=axis, end=axis + 1), [0])
    size = g.Div(g.Add(n, last), count)
    positions = g.refine(g.Range(0, g.Mul(size, count), 1), (tiled_size(dim, count),))
    phase = g.Mod(positions, g.Mul(n, 2))
    sources = g.Min(phase, g.Sub(g.Sub(g.Mul(n, 2), 1), phase))
    pixels = g.refine(g.Range(0, n, 1), (dim,))
    float_size = g.cast(size, x.dtype)
    # in Keras' order of operations, for equal rounding
    coordinates = g.Add(g.Div(g.Sub(g.cast(pixels, x.dtype), g.Div(float_size, 2.0)), float_size), 1.0)
    floor = g.Floor(coordinates)
    behind = g.cast(floor, "int64")
    neighbors = g.Clip(g.Sub(behind, 1), 0, last), g.Clip(behind, 0, last)
    return TiledAxis(size, sources, g.Div(positions, size), *neighbors, g.Sub(coordinates, floor))


def tiled_size(n: Dim, count: int) -> Dim:
    """The number of pixels of all tiles along an axis."""
    return (n + count - 1) // count * count


@layer
class ContrastLimitedAdaptiveHistogramEqualization(Layer):
    """Equalizes the histogram of each tile of an image, with limited contrast (CLAHE), in training and inference.

    Each channel is processed separately, scaled to 0 to 255. Counts above `clip_limit * pixels / 256` in a tile's
    histogram are distributed evenly over its 256 bins. A value becomes `(cdf(value) - cdf(0)) * 255 / (pixels -
    cdf(0))`, interpolated between the four nearest tiles. Tiles that extend beyond the image see it reflected. No
    gradient passes through this layer.
    """

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)
    clip_limit: float = attr(4.0, doc="Limit of histogram counts, as a multiple of their mean; 0 or less for no limit.")
    tile_grid_size: tuple[int, int] = attr((8, 8), doc="Number of tiles along height and width.", minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        require_range(self.value_range)
        float_type(x)
        count = self.tile_grid_size[0] * self.tile_grid_size[1] * BYTE_LEVELS
        text = f"counts {BYTE_LEVELS} values in each of {list(self.tile_grid_size)} tiles, {count} counts per channel"
        require(count <= MAX_HISTOGRAM_ELEMENTS, text, f"the limit is {MAX_HISTOGRAM_ELEMENTS}", code="too-large")
        return x

    def max_operators(self) -> int:
        return super().max_operators() + CLAHE_OPERATORS

    def lower(self, g: Builder, x: Value) -> Any:
        y = rescale_range(g, g.cast(x, g.float_dtype), self.value_range, BYTE_RANGE)
        y = with_channels_first(g, y, self.data_format, lambda images: self.equalize(g, images))
        return g.cast(rescale_range(g, y, BYTE_RANGE, self.value_range), x.dtype)

    def equalize(self, g: Builder, x: Value) -> Value:
        """Equalizes images [batch, channels, height, width]."""
        tile_columns = self.tile_grid_size[1]
        rows, columns = (tile_axis(g, x, axis + 2, count) for axis, count in enumerate(self.tile_grid_size))
        pixels = g.cast(g.Where(g.Greater(x, 0.0), g.Min(x, 255.0), 0.0), "int64")  # NaN becomes 0, as in Keras

        def table_indices(pixels: Value, row: Value, column: Value) -> Value:
            """Emits the index of each pixel's value in the tables of all tiles, [batch, channels, pixels].

            Row and column are added to the pixels one at a time: ONNX' shape inference takes their sum for a shape.
            """
            row_offset = g.Unsqueeze(g.Mul(row, tile_columns * BYTE_LEVELS), [1])
            return flatten_last_axes(g, g.Add(g.Add(pixels, row_offset), g.Mul(column, BYTE_LEVELS)))

        tiled = g.Gather(g.Gather(pixels, rows.sources, axis=2), columns.sources, axis=3)
        table = self.lookup_tables(g, table_indices(tiled, rows.tile, columns.tile), g.Mul(rows.size, columns.size))

        def look_up(row: Value, column: Value) -> Value:
            values = g.GatherElements(table, table_indices(pixels, row, column), axis=2)
            return g.refine(g.Reshape(values, g.Shape(x)), x.shape)

        def interpolate(before: Value, behind: Value, weight: Value) -> Value:
            return g.Add(g.Mul(before, g.Sub(1.0, weight)), g.Mul(behind, weight))

        above, below = (
            interpolate(
                look_up(row, columns.tile_before), look_up(row, columns.tile_behind), columns.interpolation_weight
            )
            for row in (rows.tile_before, rows.tile_behind)
        )
        return interpolate(above, below, g.Unsqueeze(rows.interpolation_weight, [1]))

    def lookup_tables(self, g: Builder, indices: Value, size: Value) -> Value:
        """Emits the equalized value of every level in every tile, [batch, channels, tiles * 256]."""
        outer, tiles = indices.shape[:2], self.tile_grid_size[0] * self.tile_grid_size[1]
        shape = g.Concat(g.Shape(indices, start=0, end=2), g.const([tiles * BYTE_LEVELS], "int64"), axis=0)
        zeros = g.refine(g.Expand(g.const(0.0), shape), (*outer, tiles * BYTE_LEVELS))
        ones = g.refine(g.Expand(g.const(1.0), g.Shape(indices)), indices.shape)
        counts = g.ScatterElements(zeros, indices, ones, axis=2, reduction="add")
        counts = g.refine(g.Reshape(counts, [0, 0, tiles, BYTE_LEVELS]), (*outer, tiles, BYTE_LEVELS))
        size = g.cast(size, counts.dtype)
        if self.clip_limit > 0:
            clipped = g.Min(counts, g.Mul(size, self.clip_limit / BYTE_LEVELS))
            excess = g.ReduceSum(g.Sub(counts, clipped), [-1], keepdims=1)
            counts = g.Add(clipped, g.Div(excess, float(BYTE_LEVELS)))
        total = g.CumSum(counts, g.const(-1, "int64"))
        first = g.Slice(total, [0], [1], [-1])
        remaining = g.Sub(size, first)
        equalized = g.Div(g.Mul(g.Sub(total, first), 255.0), g.Where(g.Equal(remaining, 0.0), 1.0, remaining))
        return flatten_last_axes(g, g.Clip(equalized, 0.0, 255.0))


def flatten_last_axes(g: Builder, x: Value) -> Value:
    """Reshapes [a, b, c, d] to [a, b, c * d]."""
    return g.refine(g.Reshape(x, [0, 0, -1]), (*x.shape[:2], x.type.with_shape(x.shape[2:]).elements))
