"""Convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ..bricks import Sizes, attr
from ..training.constraints import Constraint
from ..training.initializers import Initializer
from ..training.regularizers import Regularizer
from ..types import TensorType, require
from .activations import Activation_, activate, activated
from .base import Layer, layer
from .core import LORA
from .windows import (
    DATA_FORMAT,
    PADDING,
    DataFormat,
    Padding,
    Windows,
    channel_axis,
    require_spatial,
    with_channels_first,
)

if TYPE_CHECKING:
    from ..graph import Builder, Value

KERNEL_SIZE = "Size of the kernel on every spatial axis."
STRIDES = "Distance between windows."
DILATION_RATE = "Distance between the elements of the input that meet neighbouring elements of the kernel."


class Convolving(Layer):
    """Base of all layers that move a kernel over the spatial axes and add a bias a channel."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]

    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    activation: Activation_ | None = attr(None, doc="Function applied to the result.")
    use_bias: bool = attr(True, doc="Whether to add a learned bias.")
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")

    @property
    def windows(self) -> Windows:
        return Windows(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def channels(self, x: TensorType) -> int:
        """The input's channels, its rank and the layer's own arguments checked."""
        require_spatial(x, len(self.kernel_size), self.data_format)
        require(
            max(self.strides) == 1 or max(self.dilation_rate) == 1,
            f"cannot have both strides and dilation above 1, got strides {list(self.strides)} "
            f"and dilation_rate {list(self.dilation_rate)}",
        )
        return x.fixed(channel_axis(x.rank, self.data_format))

    def bias(self, g: Builder, channels: int) -> Value | None:
        if not self.use_bias:
            return None
        return g.param("bias", (channels,), self.bias_initializer, self.bias_regularizer, self.bias_constraint)

    def convolve(self, g: Builder, x: Value, kernel: Value, bias: Value | None, groups: int) -> Value:
        """The convolution of x, its channels first, with a kernel [*size, channels / groups, filters]."""
        spatial = len(self.kernel_size)
        promised = self.windows.output(x.type, "channels_first", kernel.shape[-1])
        attributes = self.windows.attributes(x.shape[2:])
        weight = g.transpose(kernel, [spatial + 1, spatial, *range(spatial)])
        operands = [x, weight] if bias is None else [x, weight, bias]
        return g.refine(g.Conv(*operands, group=groups, **attributes), promised.shape)


class Convolution(Convolving):
    """Base of the convolutions in which every filter sees all channels of its group."""

    filters: int = attr(doc="Number of filters, which is the number of channels of the output.", minimum=1)
    groups: int = attr(1, doc="Number of groups into which channels and filters are split.", minimum=1)
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")
    lora_rank: int | None = attr(None, doc="Rank of a low-rank adaptation.", unsupported=LORA)
    lora_alpha: float | None = attr(None, doc="Scale of a low-rank adaptation.", unsupported=LORA)

    def infer(self, x: TensorType) -> TensorType:
        channels, groups = self.channels(x), self.groups
        for count, what in ((channels, "channels of the input"), (self.filters, "filters")):
            require(count % groups == 0, f"splits {count} {what} into {groups} groups, but {_remainder(count, groups)}")
        return activated(self.windows.output(x, self.data_format, self.filters), self.activation)

    def lower(self, g: Builder, x: Value) -> Any:
        channels = self.channels(x.type)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        kernel = g.param("kernel", shape, self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint)
        bias = self.bias(g, self.filters)
        y = with_channels_first(g, x, self.data_format, lambda x: self.convolve(g, x, kernel, bias, self.groups))
        return activate(g, y, self.activation)


def _remainder(count: int, groups: int) -> str:
    return f"{count} = {count // groups} * {groups} + {count % groups}"


@layer
class Conv2D(Convolution):
    """Convolution of images: `activation(conv(x, kernel) + bias)`."""

    kernel_size: Annotated[tuple[int, ...], Sizes(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], Sizes(2)] = attr((1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], Sizes(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)
