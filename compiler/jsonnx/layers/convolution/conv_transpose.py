"""Transposed convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import SpatialSizesCodec, attr
from ...core.types import Dim, TensorType, require
from ..activations import activate, activated_type
from ..base import LAYERS
from ..sliding_window import channel_axis, spatial_axes, with_channels_first
from .convolution import DILATION_RATE, KERNEL_SIZE, KernelConv, onnx_kernel

if TYPE_CHECKING:
    from ...ir import Builder, Value

OUTPUT_STRIDES = "Stride of the windows along each spatial axis of the output."
OUTPUT_PADDING = (
    "Number of elements that the output exceeds its minimum size by, below the stride; null infers it from the stride: "
    "the output size is `size * stride` with padding `same`."
)


class ConvTranspose(KernelConv):
    """Base class of transposed convolutions: each input element adds a scaled kernel to the output.

    Along each axis, the kernels cover (n - 1) * stride + span elements, of which `output_crops` are removed.
    """

    formula = """
        sizes, axes = x.shape[1:-1], range(len(kernel_size))
        spans = [(kernel_size[i] - 1) * dilation_rate[i] + 1 for i in axes]
        full = zeros((len(x), *[(sizes[i] - 1) * strides[i] + spans[i] for i in axes], filters))
        for offset in ndindex(*kernel_size):
            starts = [offset[i] * dilation_rate[i] for i in axes]
            ends = [starts[i] + (sizes[i] - 1) * strides[i] + 1 for i in axes]
            places = [slice(starts[i], ends[i], strides[i]) for i in axes]
            full[(slice(None), *places)] += x @ kernel[offset].T
        for i in axes:  # crops or pads each axis
            extra = None if output_padding is None else output_padding[i]
            if padding == "valid":
                cut = -(max([strides[i] - spans[i], 0]) if extra is None else extra)
            else:
                cut = spans[i] - (strides[i] if extra is None else spans[i] % 2 + extra)
            front = max([cut // 2, 0])
            end = [(0, 0)] * full.ndim
            end[i + 1] = (0, max([front - cut, 0]))
            length = full.shape[i + 1] - cut
            full = take(pad(full, end), range(front, front + length), axis=i + 1)
        y = activation(full + bias)
    """
    family = "transposed convolution"
    output_padding: tuple[int, ...] | None

    def output_crops(self) -> list[tuple[int, int]]:
        """How much to crop at the start and end of each spatial axis; a negative end crop pads instead.

        With padding `same`, n * stride elements remain without output_padding, and (n - 1) * stride + span % 2 +
        output_padding with it. The smaller half is cropped at the start, as in Keras on JAX and TensorFlow.
        """
        paddings = self.output_padding or [None] * len(self.kernel_size)
        crops = []
        for span, stride, extra in zip(self.windows.spans, self.strides, paddings, strict=True):
            if self.padding == "valid":
                total = -(max(stride - span, 0) if extra is None else extra)
            else:
                total = span - stride if extra is None else span - span % 2 - extra
            front = max(total // 2, 0)
            crops.append((front, total - front))
        return crops

    def infer(self, x: TensorType) -> TensorType:
        self.input_channels(x)
        self.require_not_strided_and_dilated()
        for extra, stride in zip(self.output_padding or (), self.strides, strict=False):
            require(extra < stride, f"needs an output_padding below its strides, but {extra} is not below {stride}")
        return activated_type(x.with_shape(self.output_sizes(x)), self.activation)

    def output_sizes(self, x: TensorType) -> list[Dim]:
        """The shape of the output, with the channels on the same axis as in x."""
        shape = list(x.shape)
        shape[channel_axis(x.rank, self.data_format)] = self.filters
        axes = spatial_axes(x.rank, self.data_format)
        for axis, stride, span, crop in zip(axes, self.strides, self.windows.spans, self.output_crops(), strict=True):
            n, total = shape[axis], sum(crop)
            remaining = shape[axis] = (n - 1) * stride + span - total
            require(
                not isinstance(remaining, int) or remaining > 0,
                f"has nothing left on axis {axis}: ({n} - 1) * {stride} + {span} - {total} = {remaining} of {x}",
                help="use a larger output_padding, or leave it out",
            )
        return shape

    def lower(self, g: Builder, x: Value) -> Any:
        kernel = self.kernel(g, self.filters, self.input_channels(x.type))
        bias = self.bias(g, self.filters)
        front, end = zip(*self.output_crops(), strict=True)
        end_padding = [max(-crop, 0) for crop in end]
        attributes = {
            "strides": self.strides,
            "dilations": self.dilation_rate,
            "pads": [*front, *(max(crop, 0) for crop in end)],
            "output_padding": end_padding if any(end_padding) else None,
        }

        def convolve(x: Value) -> Value:
            operands = [x, onnx_kernel(g, kernel), *([] if bias is None else [bias])]
            y = g.ConvTranspose(*operands, **attributes)
            return g.refine(y, self.replace(data_format="channels_first").output_sizes(x.type))

        return activate(g, with_channels_first(g, x, self.data_format, convolve), self.activation)


@LAYERS.register("Convolution1DTranspose")
class Conv1DTranspose(ConvTranspose):
    """Transposed convolution of sequences: each step adds its multiple of the kernel to the output."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=OUTPUT_STRIDES, minimum=1)
    output_padding: Annotated[tuple[int, ...], SpatialSizesCodec(1)] | None = attr(None, doc=OUTPUT_PADDING, minimum=0)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(1, doc=DILATION_RATE, minimum=1)


@LAYERS.register("Convolution2DTranspose")
class Conv2DTranspose(ConvTranspose):
    """Transposed convolution of images: each pixel adds its multiple of the kernel to the output."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=OUTPUT_STRIDES, minimum=1)
    output_padding: Annotated[tuple[int, ...], SpatialSizesCodec(2)] | None = attr(None, doc=OUTPUT_PADDING, minimum=0)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((1, 1), doc=DILATION_RATE, minimum=1)


@LAYERS.register("Convolution3DTranspose")
class Conv3DTranspose(ConvTranspose):
    """Transposed convolution of volumes: each voxel adds its multiple of the kernel to the output."""

    kernel_size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr(doc=KERNEL_SIZE, minimum=1)
    strides: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=OUTPUT_STRIDES, minimum=1)
    output_padding: Annotated[tuple[int, ...], SpatialSizesCodec(3)] | None = attr(None, doc=OUTPUT_PADDING, minimum=0)
    dilation_rate: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((1, 1, 1), doc=DILATION_RATE, minimum=1)
