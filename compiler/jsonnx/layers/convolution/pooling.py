"""Pooling over windows, global pooling and adaptive pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import SpatialSizesCodec, attr
from ...core.limits import MAX_POOLING_TABLE_ELEMENTS
from ...core.types import TensorType, product, require
from ..base import LAYERS, Layer, layer, require_real
from ..sliding_window import (
    DATA_FORMAT,
    PADDING,
    DataFormat,
    Padding,
    SlidingWindows,
    channel_axis,
    require_spatial,
    spatial_axes,
    with_channels_first,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

POOL_SIZE = "Size of the pooling window along each spatial axis."
STRIDES = "Stride of the windows along each spatial axis; null for the pool size."
KEEPDIMS = "Whether to keep the spatial axes, with size 1."
OUTPUT_SIZE = "Size of the output along each spatial axis."


class Pooling(Layer):
    """Base class of layers that reduce each window to one element per channel."""

    family = "pooling"
    operator: ClassVar[str]
    pool_size: tuple[int, ...]
    strides: tuple[int, ...] | None

    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    @property
    def windows(self) -> SlidingWindows:
        ones = (1,) * len(self.pool_size)
        return SlidingWindows(self.pool_size, self.strides or self.pool_size, self.padding, ones, "pool")

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, len(self.pool_size), self.data_format)
        require_real(x)
        return self.windows.output_type(x, self.data_format, x.shape[channel_axis(x.rank, self.data_format)])

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        has_whole_windows = self.padding == "valid"  # the others would have padding in them
        return self.windows.output_mask(masks[0], inputs[0], self.data_format) if has_whole_windows else None

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return None if masks[0] is None else self.windows.lower_mask(g, masks[0])

    def lower(self, g: Builder, x: Value) -> Any:
        def pool(x: Value) -> Value:
            output_type = self.windows.output_type(x.type, "channels_first", x.shape[1])
            return g.refine(g.emit(self.operator, x, **self.windows.onnx_attributes(x.shape[2:])), output_type.shape)

        return with_channels_first(g, x, self.data_format, pool)


@LAYERS.register("MaxPool1D")
class MaxPooling1D(Pooling):
    """Maximum of each window of a sequence."""

    formula = "y = max(windows(x, pool_size, strides, padding, fill=-inf), axis=-2)"
    operator = "MaxPool"

    pool_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(2, doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] | None = attr(None, doc=STRIDES, minimum=1)


@LAYERS.register("MaxPool2D")
class MaxPooling2D(Pooling):
    """Maximum of each window of an image."""

    formula = "y = max(windows(x, pool_size, strides, padding, fill=-inf), axis=(-3, -2))"
    operator = "MaxPool"

    pool_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((2, 2), doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] | None = attr(None, doc=STRIDES, minimum=1)


@LAYERS.register("MaxPool3D")
class MaxPooling3D(Pooling):
    """Maximum of each window of a volume."""

    formula = "y = max(windows(x, pool_size, strides, padding, fill=-inf), axis=(-4, -3, -2))"
    operator = "MaxPool"

    pool_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((2, 2, 2), doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(3)] | None = attr(None, doc=STRIDES, minimum=1)


@LAYERS.register("AvgPool1D")
class AveragePooling1D(Pooling):
    """Mean of each window of a sequence, padding excluded."""

    formula = "y = nanmean(windows(x, pool_size, strides, padding, fill=nan), axis=-2)"
    operator = "AveragePool"

    pool_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] | None = attr(None, doc=STRIDES, minimum=1)


@LAYERS.register("AvgPool2D")
class AveragePooling2D(Pooling):
    """Mean of each window of an image, padding excluded."""

    formula = "y = nanmean(windows(x, pool_size, strides, padding, fill=nan), axis=(-3, -2))"
    operator = "AveragePool"

    pool_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] | None = attr(None, doc=STRIDES, minimum=1)


@LAYERS.register("AvgPool3D")
class AveragePooling3D(Pooling):
    """Mean of each window of a volume, padding excluded."""

    formula = "y = nanmean(windows(x, pool_size, strides, padding, fill=nan), axis=(-4, -3, -2))"
    operator = "AveragePool"

    pool_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(3)] | None = attr(None, doc=STRIDES, minimum=1)


# -- global pooling --------------------------------------------------------------------------------------------------


class GlobalPooling(Layer):
    """Base class of layers that reduce all spatial axes."""

    family = "global pooling"
    operator: ClassVar[str]
    spatial_rank: ClassVar[int]

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    keepdims: bool = attr(False, doc=KEEPDIMS)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, self.spatial_rank, self.data_format)
        require_real(x)
        ones = [1] * self.spatial_rank if self.keepdims else []
        channels = x.shape[channel_axis(x.rank, self.data_format)]
        tail = [channels, *ones] if self.data_format == "channels_first" else [*ones, channels]
        return x.with_shape((x.shape[0], *tail))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.emit(self.operator, x, spatial_axes(x.rank, self.data_format), keepdims=int(self.keepdims))


def masked_mean(g: Builder, x: Value, mask: Value, time: int, keepdims: int) -> Value:
    """Mean over the unmasked steps along the axis `time`; 0 if all steps are masked."""
    keep = g.Unsqueeze(mask, [3 - time])
    total = g.ReduceSum(g.Where(keep, x, g.const(0, x.dtype)), [time], keepdims=keepdims)
    return g.Div(total, g.Max(g.ReduceSum(g.cast(keep, x.dtype), [time], keepdims=keepdims), 1.0))


@LAYERS.register("GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalPooling):
    """Mean of each channel of a sequence over its unmasked steps; 0 if all are masked.

    An optional second input is the mask, [batch, steps]: steps where it is false or 0 are left out. Without it, the
    mask that the input has is used.
    """

    formula = """
        x = x if data_format == "channels_first" else swapaxes(x, 1, 2)
        weights = (xs[1] != 0 if len(xs) > 1 else ones_like(x[:, 0]))[:, None]
        y = sum(x * weights, axis=-1) / maximum(sum(weights, axis=-1), 1)
        y = y if not keepdims else y[:, :, None] if data_format == "channels_first" else y[:, None]
    """
    operator = "ReduceMean"
    spatial_rank = 1
    arity = (1, 2)
    supports_masking = True
    reads_masks = True
    mask_argument = True

    def infer(self, x: TensorType, mask: TensorType | None = None) -> TensorType:
        y = super().infer(x)
        self._check_mask(x, mask)
        return y

    def _check_mask(self, x: TensorType, mask: TensorType | None, help: str | None = None) -> None:
        steps = x.shape[spatial_axes(x.rank, self.data_format)[0]]
        fits = mask is None or (mask.shape == (x.shape[0], steps) and mask.dtype != "string")
        require(fits, f"needs a mask [batch, {steps}] over the steps of {x}, got {mask}", help)

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        if len(inputs) == 1:
            help = "masks cover all axes but the last, so the input has to be channels_last"
            self._check_mask(inputs[0], masks[0], help)
        return None

    def lower(self, g: Builder, x: Value, *mask: Value, masks: Sequence[Value | None] = (None,)) -> Any:
        keep = g.cast(mask[0], "bool") if mask else masks[0]
        if keep is None:
            return super().lower(g, x)
        return masked_mean(g, x, keep, spatial_axes(x.rank, self.data_format)[0], int(self.keepdims))


@LAYERS.register("GlobalAvgPool2D")
class GlobalAveragePooling2D(GlobalPooling):
    """Mean of each channel of an image."""

    formula = "y = mean(x, axis=(1, 2), keepdims=keepdims)"
    operator = "ReduceMean"
    spatial_rank = 2


@LAYERS.register("GlobalAvgPool3D")
class GlobalAveragePooling3D(GlobalPooling):
    """Mean of each channel of a volume."""

    formula = "y = mean(x, axis=(1, 2, 3), keepdims=keepdims)"
    operator = "ReduceMean"
    spatial_rank = 3


@LAYERS.register("GlobalMaxPool1D")
class GlobalMaxPooling1D(GlobalPooling):
    """Maximum of each channel of a sequence."""

    formula = "y = max(x, axis=1, keepdims=keepdims)"
    operator = "ReduceMax"
    spatial_rank = 1


@LAYERS.register("GlobalMaxPool2D")
class GlobalMaxPooling2D(GlobalPooling):
    """Maximum of each channel of an image."""

    formula = "y = max(x, axis=(1, 2), keepdims=keepdims)"
    operator = "ReduceMax"
    spatial_rank = 2


@LAYERS.register("GlobalMaxPool3D")
class GlobalMaxPooling3D(GlobalPooling):
    """Maximum of each channel of a volume."""

    formula = "y = max(x, axis=(1, 2, 3), keepdims=keepdims)"
    operator = "ReduceMax"
    spatial_rank = 3


# -- adaptive pooling ------------------------------------------------------------------------------------------------


class AdaptivePooling(Layer):
    """Base class of layers that choose the windows so that the output has a given size.

    Along an axis of size n, window i of m extends from floor(i * n / m) to ceil((i + 1) * n / m).
    """

    operator: ClassVar[str]
    """The pooling operator for equal, non-overlapping windows."""
    output_size: tuple[int, ...]

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    if TYPE_CHECKING:
        pool_axis: ClassVar[Callable[..., Value]]  # (g, x, axis, windows): one element per window

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, len(self.output_size), self.data_format)
        require_real(x)
        shape = list(x.shape)
        for axis, count in zip(spatial_axes(x.rank, self.data_format), self.output_size, strict=True):
            n = x.static_size(axis)
            limit = f"the limit of the product is {MAX_POOLING_TABLE_ELEMENTS}"
            text = f"has {count} windows over {n} elements on axis {axis}, {limit}"
            require(count * n <= MAX_POOLING_TABLE_ELEMENTS, text, code="too-large")
            shape[axis] = count
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        def pool(x: Value) -> Value:
            sizes = [x.type.static_size(axis) for axis in range(2, x.rank)]
            tiles = [n // count if n % count == 0 else 1 for n, count in zip(sizes, self.output_size, strict=True)]
            if max(tiles) > 1:
                x = g.emit(self.operator, x, kernel_shape=tiles, strides=tiles)
            for axis, count in enumerate(self.output_size, start=2):
                n = x.type.static_size(axis)
                if n != count:
                    windows = [range(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
                    x = self.pool_axis(g, x, axis, windows)
            return x

        return with_channels_first(g, x, self.data_format, pool)


class AdaptiveAverage(AdaptivePooling):
    """Base class of adaptive average pooling: multiplies each axis by a matrix of averaging weights."""

    formula = """
        y = x
        for axis, count in enumerate(output_size, 1):
            n = y.shape[axis]
            parts = [range(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
            y = stack([mean(take(y, part, axis), axis) for part in parts], axis)
    """
    operator = "AveragePool"

    def pool_axis(self, g: Builder, x: Value, axis: int, windows: list[range]) -> Value:
        import numpy as np

        matrix = np.zeros((len(windows), x.type.static_size(axis)), np.float32)
        for row, window in zip(matrix, windows, strict=True):
            row[window.start : window.stop] = 1 / len(window)
        weights = g.const(matrix, x.dtype)
        if axis == x.rank - 1:
            return g.MatMul(x, g.transpose(weights, [1, 0]))
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        y = g.MatMul(weights, g.reshape(x, (*before, x.shape[axis], product(after))))
        return g.reshape(y, (*before, len(windows), *after))


class AdaptiveMax(AdaptivePooling):
    """Base class of adaptive maximum pooling: gathers the windows along each axis and reduces them."""

    formula = """
        y = x
        for axis, count in enumerate(output_size, 1):
            n = y.shape[axis]
            parts = [range(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
            y = stack([max(take(y, part, axis), axis) for part in parts], axis)
    """
    operator = "MaxPool"

    def pool_axis(self, g: Builder, x: Value, axis: int, windows: list[range]) -> Value:
        longest = max(map(len, windows))
        # A short window repeats its last element, which changes neither the maximum nor the sum of its gradients.
        import numpy as np

        starts, last = (np.array([bound(window) for window in windows]) for bound in (min, max))
        indices = np.minimum(starts[:, None] + np.arange(longest), last[:, None])
        return g.ReduceMax(g.Gather(x, indices, axis=axis), [axis + 1], keepdims=0)


@layer
class AdaptiveAveragePooling1D(AdaptiveAverage):
    """Mean of adaptive windows of a sequence: as many as `output_size`."""

    output_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=OUTPUT_SIZE, minimum=1)


@layer
class AdaptiveAveragePooling2D(AdaptiveAverage):
    """Mean of adaptive windows of an image: as many as `output_size`."""

    output_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=OUTPUT_SIZE, minimum=1)


@layer
class AdaptiveAveragePooling3D(AdaptiveAverage):
    """Mean of adaptive windows of a volume: as many as `output_size`."""

    output_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=OUTPUT_SIZE, minimum=1)


@layer
class AdaptiveMaxPooling1D(AdaptiveMax):
    """Maximum of adaptive windows of a sequence: as many as `output_size`."""

    output_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=OUTPUT_SIZE, minimum=1)


@layer
class AdaptiveMaxPooling2D(AdaptiveMax):
    """Maximum of adaptive windows of an image: as many as `output_size`."""

    output_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=OUTPUT_SIZE, minimum=1)


@layer
class AdaptiveMaxPooling3D(AdaptiveMax):
    """Maximum of adaptive windows of a volume: as many as `output_size`."""

    output_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=OUTPUT_SIZE, minimum=1)
