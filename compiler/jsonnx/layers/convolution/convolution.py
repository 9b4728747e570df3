"""Convolution, depthwise convolution and separable convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import SpatialSizesCodec, attr
from ...core.types import TensorType, require
from ...training.weights.constraints import Constraint
from ...training.weights.initializers import Initializer
from ...training.weights.lora import LORA_ALPHA, LORA_RANK, MAX_LORA_RANK, layer_adapter
from ...training.weights.regularizers import Regularizer
from ..activations import ActivationFunction, activate, activated_type
from ..base import LAYERS, Layer, layer, require_real
from ..sliding_window import (
    CAUSAL,
    DATA_FORMAT,
    PADDING,
    DataFormat,
    Padding,
    PaddingOrCausal,
    SlidingWindows,
    channel_axis,
    require_spatial,
    with_channels_first,
)

if TYPE_CHECKING:
    from ...ir import Builder, Value

FILTERS = "Number of filters, i.e. channels of the output."
KERNEL_SIZE = "Size of the kernel along each spatial axis."
STRIDES = "Stride of the windows along each spatial axis."
DILATION_RATE = "Spacing between the input elements that the kernel is applied to."


class ConvLayer(Layer):
    """Base class of layers that slide a kernel over the spatial axes and add a bias per channel."""

    mixes_steps = True

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]

    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    activation: ActivationFunction | None = attr(None, doc="Activation function applied to the result.")
    use_bias: bool = attr(True, doc="Whether to add a trainable bias.")
    bias_initializer: Initializer = attr("zeros", doc="Initial value of the bias.")
    bias_regularizer: Regularizer | None = attr(None, doc="Penalty on the bias.")
    bias_constraint: Constraint | None = attr(None, doc="Projection of the bias after every update.")

    @property
    def windows(self) -> SlidingWindows:
        return SlidingWindows(self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        return self.windows.output_mask(masks[0], inputs[0], self.data_format)

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return None if masks[0] is None else self.windows.lower_mask(g, masks[0])

    def input_channels(self, x: TensorType) -> int:
        """The number of input channels. Raises ShapeError if the input's rank or dtype does not fit."""
        require_real(x)
        require_spatial(x, len(self.kernel_size), self.data_format)
        return x.static_size(channel_axis(x.rank, self.data_format))

    def bias(self, g: Builder, channels: int) -> Value | None:
        if not self.use_bias:
            return None
        return g.param("bias", (channels,), self.bias_initializer, self.bias_regularizer, self.bias_constraint)

    def convolve(self, g: Builder, x: Value, kernel: Value, bias: Value | None, groups: int) -> Value:
        """Convolves x [batch, channels, *sizes] with a kernel [*kernel_size, channels / groups, filters]."""
        output_type = self.windows.output_type(x.type, "channels_first", kernel.shape[-1])
        operands = [x, onnx_kernel(g, kernel), *([] if bias is None else [bias])]
        return g.refine(g.Conv(*operands, group=groups, **self.windows.onnx_attributes(x.shape[2:])), output_type.shape)


def onnx_kernel(g: Builder, kernel: Value) -> Value:
    """Transposes a kernel [*size, a, b] to ONNX' layout, [b, a, *size]."""
    spatial = kernel.rank - 2
    return g.transpose(kernel, [spatial + 1, spatial, *range(spatial)])


# -- convolutions over all channels ----------------------------------------------------------------------------------


class KernelConv(ConvLayer):
    """Base class of convolutions with a single kernel whose filters combine several channels."""

    filters: int = attr(doc=FILTERS, minimum=1)
    kernel_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the kernel.")
    kernel_regularizer: Regularizer | None = attr(None, doc="Penalty on the kernel.")
    kernel_constraint: Constraint | None = attr(None, doc="Projection of the kernel after every update.")

    def kernel(self, g: Builder, *channels: int, **options: Any) -> Value:
        """The kernel [*kernel_size, *channels]. The options are those of `g.param`."""
        shape, initializer = (*self.kernel_size, *channels), self.kernel_initializer
        return g.param("kernel", shape, initializer, self.kernel_regularizer, self.kernel_constraint, **options)

    def require_not_strided_and_dilated(self) -> None:
        """Raises ShapeError if both strides and dilation exceed 1, which Keras does not allow."""
        require(
            max(self.strides) == 1 or max(self.dilation_rate) == 1,
            f"cannot have both strides and dilation above 1, got strides {list(self.strides)} "
            f"and dilation_rate {list(self.dilation_rate)}",
        )


class Convolution(KernelConv):
    """Base class of regular convolutions."""

    formula = """
        w = windows(x, kernel_size, strides, padding, dilation_rate)
        parts = zip(split(w, groups, axis=-1), split(kernel, groups, axis=-1))
        sums = [tensordot(part, weights, kernel.ndim - 1) for part, weights in parts]
        y = activation(concatenate(sums, axis=-1) + bias)
    """
    family = "convolution"
    groups: int = attr(1, doc="Number of groups into which channels and filters are split.", minimum=1)
    lora_rank: int | None = attr(None, doc=LORA_RANK, minimum=1, maximum=MAX_LORA_RANK)
    lora_alpha: float | None = attr(None, doc=LORA_ALPHA, above=0)

    def infer(self, x: TensorType) -> TensorType:
        channels, groups = self.input_channels(x), self.groups
        self.require_not_strided_and_dilated()
        for count, noun in ((channels, "channels of the input"), (self.filters, "filters")):
            require(
                count % groups == 0, f"splits {count} {noun} into {groups} groups, but {_division_text(count, groups)}"
            )
        return activated_type(self.windows.output_type(x, self.data_format, self.filters), self.activation)

    def lower(self, g: Builder, x: Value) -> Any:
        kernel = self.kernel(
            g,
            self.input_channels(x.type) // self.groups,
            self.filters,
            input_axes=range(len(self.kernel_size) + 1),
            adapter=layer_adapter(self.lora_rank, self.lora_alpha),
        )
        bias = self.bias(g, self.filters)
        y = with_channels_first(g, x, self.data_format, lambda x: self.convolve(g, x, kernel, bias, self.groups))
        return activate(g, y, self.activation)


def _division_text(count: int, groups: int) -> str:
    return f"{count} = {count // groups} * {groups} + {count % groups}"


@LAYERS.register("Convolution1D")
class Conv1D(Convolution):
    """Convolution of sequences: each filter is applied to every window."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=STRIDES, minimum=1)
    padding: PaddingOrCausal = attr("valid", doc=CAUSAL)  # type: ignore[assignment]
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@LAYERS.register("Convolution2D")
class Conv2D(Convolution):
    """Convolution of images: each filter is applied to every window."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)


@LAYERS.register("Convolution3D")
class Conv3D(Convolution):
    """Convolution of volumes: each filter is applied to every window."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=DILATION_RATE, minimum=1)


# -- convolutions per channel ----------------------------------------------------------------------------------------


class PerChannelConv(ConvLayer):
    """Base class of convolutions that apply separate filters to each channel."""

    family = "depthwise convolution"
    depth_multiplier: int = attr(1, doc="Number of filters per input channel.", minimum=1)
    depthwise_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the depthwise kernel.")
    depthwise_regularizer: Regularizer | None = attr(None, doc="Penalty on the depthwise kernel.")
    depthwise_constraint: Constraint | None = attr(None, doc="Projection of the depthwise kernel after every update.")

    def depthwise_kernel(self, g: Builder, name: str, channels: int) -> Value:
        """The weight [*size, channels, depth_multiplier] as a grouped kernel [*size, 1, filters]."""
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        kernel = g.param(name, shape, self.depthwise_initializer, self.depthwise_regularizer, self.depthwise_constraint)
        return g.reshape(kernel, (*self.kernel_size, 1, channels * self.depth_multiplier))


class DepthwiseConv(PerChannelConv):
    """Base class of depthwise convolutions."""

    def infer(self, x: TensorType) -> TensorType:
        filters = self.input_channels(x) * self.depth_multiplier
        return activated_type(self.windows.output_type(x, self.data_format, filters), self.activation)

    def lower(self, g: Builder, x: Value) -> Any:
        channels = self.input_channels(x.type)
        kernel = self.depthwise_kernel(g, "kernel", channels)
        bias = self.bias(g, channels * self.depth_multiplier)
        y = with_channels_first(g, x, self.data_format, lambda x: self.convolve(g, x, kernel, bias, channels))
        return activate(g, y, self.activation)


@layer
class DepthwiseConv1D(DepthwiseConv):
    """Convolution of each channel of a sequence separately."""

    formula = """
        w = windows(x, kernel_size, strides, padding, dilation_rate)
        y = einsum("ntkc,kcm->ntcm", w, kernel)  # m: depth_multiplier filters for each channel
        y = activation(y.reshape(*y.shape[:-2], -1) + bias)
    """
    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@layer
class DepthwiseConv2D(DepthwiseConv):
    """Convolution of each channel of an image separately."""

    formula = """
        w = windows(x, kernel_size, strides, padding, dilation_rate)
        y = einsum("nyxhwc,hwcm->nyxcm", w, kernel)  # m: depth_multiplier filters a channel
        y = activation(y.reshape(*y.shape[:-2], -1) + bias)
    """
    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)


class SeparableConv(PerChannelConv):
    """Base class of separable convolutions: a depthwise convolution followed by a pointwise one."""

    filters: int = attr(doc=FILTERS, minimum=1)
    pointwise_initializer: Initializer = attr("glorot_uniform", doc="Initial value of the pointwise kernel.")
    pointwise_regularizer: Regularizer | None = attr(None, doc="Penalty on the pointwise kernel.")
    pointwise_constraint: Constraint | None = attr(None, doc="Projection of the pointwise kernel after every update.")

    def infer(self, x: TensorType) -> TensorType:
        self.input_channels(x)
        return activated_type(self.windows.output_type(x, self.data_format, self.filters), self.activation)

    def lower(self, g: Builder, x: Value) -> Any:
        channels = self.input_channels(x.type)
        kernel = self.depthwise_kernel(g, "depthwise_kernel", channels)
        shape = (*[1] * len(self.kernel_size), channels * self.depth_multiplier, self.filters)
        pointwise = g.param(
            "pointwise_kernel", shape, self.pointwise_initializer, self.pointwise_regularizer, self.pointwise_constraint
        )
        bias = self.bias(g, self.filters)

        def convolve(x: Value) -> Value:
            y = self.convolve(g, x, kernel, None, channels)
            return g.Conv(y, onnx_kernel(g, pointwise), *([] if bias is None else [bias]))

        return activate(g, with_channels_first(g, x, self.data_format, convolve), self.activation)


@LAYERS.register("SeparableConvolution1D")
class SeparableConv1D(SeparableConv):
    """Convolution of each channel of a sequence separately, then a pointwise convolution across channels."""

    formula = """
        w = windows(x, kernel_size, strides, padding, dilation_rate)
        y = einsum("ntkc,kcm->ntcm", w, depthwise_kernel)
        y = activation(y.reshape(*y.shape[:-2], -1) @ pointwise_kernel[0] + bias)
    """
    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@LAYERS.register("SeparableConvolution2D")
class SeparableConv2D(SeparableConv):
    """Convolution of each channel of an image separately, then a pointwise convolution across channels."""

    formula = """
        w = windows(x, kernel_size, strides, padding, dilation_rate)
        y = einsum("nyxhwc,hwcm->nyxcm", w, depthwise_kernel)
        y = activation(y.reshape(*y.shape[:-2], -1) @ pointwise_kernel[0, 0] + bias)
    """
    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=STRIDES, minimum=1)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)
