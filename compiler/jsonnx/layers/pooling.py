"""Pooling over windows and over whole images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..bricks import Sizes, attr
from ..types import TensorType
from .base import Layer, layer
from .windows import (
    DATA_FORMAT,
    PADDING,
    DataFormat,
    Padding,
    Windows,
    channel_axis,
    require_spatial,
    spatial_axes,
    with_channels_first,
)

if TYPE_CHECKING:
    from ..graph import Builder, Value

POOL_SIZE = "Size of the window on every spatial axis."
STRIDES = "Distance between windows; null for the window's own size."
KEEPDIMS = "Whether the spatial axes stay, with size 1."


class Pooling(Layer):
    """Base of the layers that give one number for every window and channel."""

    operator: ClassVar[str]
    pool_size: tuple[int, ...]
    strides: tuple[int, ...] | None

    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    @property
    def windows(self) -> Windows:
        ones = (1,) * len(self.pool_size)
        return Windows(self.pool_size, self.strides or self.pool_size, self.padding, ones, "pool")

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, len(self.pool_size), self.data_format)
        return self.windows.output(x, self.data_format, x.shape[channel_axis(x.rank, self.data_format)])

    def lower(self, g: Builder, x: Value) -> Any:
        def pool(x: Value) -> Value:
            promised = self.windows.output(x.type, "channels_first", x.shape[1])
            return g.refine(g.emit(self.operator, x, **self.windows.attributes(x.shape[2:])), promised.shape)

        return with_channels_first(g, x, self.data_format, pool)


@layer
class MaxPooling2D(Pooling):
    """The greatest element of every window of an image."""

    operator = "MaxPool"

    pool_size: Annotated[tuple[int, ...], Sizes(2)] = attr((2, 2), doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], Sizes(2)] | None = attr(None, doc=STRIDES, minimum=1)


@layer
class AveragePooling2D(Pooling):
    """The mean of every window of an image; padding does not count."""

    operator = "AveragePool"

    pool_size: Annotated[tuple[int, ...], Sizes(2)] = attr(doc=POOL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], Sizes(2)] | None = attr(None, doc=STRIDES, minimum=1)


class GlobalPooling(Layer):
    """Base of the layers that give one number for every channel."""

    operator: ClassVar[str]
    spatial: ClassVar[int]

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    keepdims: bool = attr(False, doc=KEEPDIMS)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, self.spatial, self.data_format)
        kept = [1] * self.spatial if self.keepdims else []
        channels = x.shape[channel_axis(x.rank, self.data_format)]
        tail = [channels, *kept] if self.data_format == "channels_first" else [*kept, channels]
        return x.with_shape((x.shape[0], *tail))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.emit(self.operator, x, spatial_axes(x.rank, self.data_format), keepdims=int(self.keepdims))


@layer
class GlobalAveragePooling2D(GlobalPooling):
    """The mean of every channel of an image."""

    operator = "ReduceMean"
    spatial = 2


@layer
class GlobalMaxPooling2D(GlobalPooling):
    """The greatest element of every channel of an image."""

    operator = "ReduceMax"
    spatial = 2
