"""Transposed convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import SpatialSizesCodec, attr
from ...core.types import Dim, TensorType, require
from ..activations import activate, activated_type
from ..base import LAYERS
from .convolution import DILATION_RATE, KERNEL_SIZE, STRIDES, KernelConv, onnx_kernel
from .sliding_window import channel_axis, spatial_axes, with_channels_first

if TYPE_CHECKING:
    from ...ir import Builder, Value

OUTPUT_STRIDES = f"{STRIDES[:-1]} in the output."
OUTPUT_PADDING = (
    "What the size of the output exceeds the least size by, less than the stride; null for the size that a stride asks "
    "for: `size * stride` with padding `same`."
)


class ConvTranspose(KernelConv):
    """Base of the convolutions from the output to the input: every element of the input adds a kernel to the output.

    On each axis the kernels together cover (n - 1) * stride + span. Of that `output_crops` is cut off.
    """

    output_padding: tuple[int, ...] | None

    def output_crops(self) -> list[tuple[int, int]]:
        """What is cut off in front and behind on every spatial axis; behind, less than nothing is added.

        With `same` and without output_padding n * stride is left, with it (n - 1) * stride + span % 2 + output_padding.
        The smaller half is cut in front, as Keras does on JAX and TensorFlow.
        """
        given = self.output_padding or [None] * len(self.kernel_size)
        cuts = []
        for span, stride, extra in zip(self.windows.spans, self.strides, given, strict=True):
            if self.padding == "valid":
                total = -(max(stride - span, 0) if extra is None else extra)
            else:
                total = span - stride if extra is None else span - span % 2 - extra
            front = max(total // 2, 0)
            cuts.append((front, total - front))
        return cuts

    def infer(self, x: TensorType) -> TensorType:
        self.input_channels(x)
        self.require_not_strided_and_dilated()
        for extra, stride in zip(self.output_padding or (), self.strides, strict=False):
            require(extra < stride, f"needs an output_padding below its strides, but {extra} is not below {stride}")
        return activated_type(x.with_shape(self.output_sizes(x)), self.activation)

    def output_sizes(self, x: TensorType) -> list[Dim]:
        """The shape of the output, its channels where those of x stand."""
        shape = list(x.shape)
        shape[channel_axis(x.rank, self.data_format)] = self.filters
        axes = spatial_axes(x.rank, self.data_format)
        for axis, stride, span, cut in zip(axes, self.strides, self.windows.spans, self.output_crops(), strict=True):
            n, total = shape[axis], sum(cut)
            left = shape[axis] = (n - 1) * stride + span - total
            require(
                not isinstance(left, int) or left > 0,
                f"has nothing left on axis {axis}: ({n} - 1) * {stride} + {span} - {total} = {left} of {x}",
                help="use a larger output_padding, or leave it out",
            )
        return shape

    def lower(self, g: Builder, x: Value) -> Any:
        kernel = self.kernel(g, self.filters, self.input_channels(x.type))
        bias = self.bias(g, self.filters)
        front, behind = zip(*self.output_crops(), strict=True)
        rest = [max(-cut, 0) for cut in behind]
        attributes = {
            "strides": self.strides,
            "dilations": self.dilation_rate,
            "pads": [*front, *(max(cut, 0) for cut in behind)],
            "output_padding": rest if any(rest) else None,
        }

        def convolve(x: Value) -> Value:
            operands = [x, onnx_kernel(g, kernel), *([] if bias is None else [bias])]
            y = g.ConvTranspose(*operands, **attributes)
            return g.refine(y, self.replace(data_format="channels_first").output_sizes(x.type))

        return activate(g, with_channels_first(g, x, self.data_format, convolve), self.activation)


@LAYERS.register("Convolution1DTranspose")
class Conv1DTranspose(ConvTranspose):
    """Transposed convolution of sequences: `activation(conv_transpose(x, kernel) + bias)`."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=OUTPUT_STRIDES, minimum=1)
    output_padding: Annotated[tuple[int, ...], SpatialSizesCodec(1)] | None = attr(None, doc=OUTPUT_PADDING, minimum=0)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@LAYERS.register("Convolution2DTranspose")
class Conv2DTranspose(ConvTranspose):
    """Transposed convolution of images: `activation(conv_transpose(x, kernel) + bias)`."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=OUTPUT_STRIDES, minimum=1)
    output_padding: Annotated[tuple[int, ...], SpatialSizesCodec(2)] | None = attr(None, doc=OUTPUT_PADDING, minimum=0)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)


@LAYERS.register("Convolution3DTranspose")
class Conv3DTranspose(ConvTranspose):
    """Transposed convolution of volumes: `activation(conv_transpose(x, kernel) + bias)`."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=OUTPUT_STRIDES, minimum=1)
    output_padding: Annotated[tuple[int, ...], SpatialSizesCodec(3)] | None = attr(None, doc=OUTPUT_PADDING, minimum=0)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=DILATION_RATE, minimum=1)
