"""The weight gradient of a depthwise convolution as a depthwise convolution in the NCHWc layout.

Every channel has its own filter, so no matrix product can sum for many of them at once. But a depthwise convolution
whose filter is the cotangent, as large as the image, gives the weight gradient of one sample. The channels of all
samples become the channels of one convolution. Their number is an attribute, so it serves the expected batch size only;
for others, a slower Scan processes one sample at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....ir import Builder, GradientInfo, Value
from .context import NCHWC_DOMAIN, NchwcContext


def depthwise_weight_gradient(ctx: NchwcContext, gradient_info: GradientInfo, weights: Value) -> Value | None:
    """Emits the gradient `weights` [channels, 1, height, width] of a depthwise convolution.

    None for other convolutions, and if the image or the cotangent is not blocked.
    """
    x, dy, attributes = gradient_info.x, gradient_info.dy, gradient_info.attributes
    if x not in ctx or dy not in ctx or not ctx.fills_blocks(x):
        return None
    if not attributes["group"] == x.shape[1] == dy.shape[1]:
        return None
    if attributes["auto_pad"] or not x.type.is_static(2, 3) or not dy.type.is_static(2, 3):
        return None
    form = DepthwiseWeightGradient.of(gradient_info, weights)
    samples = ctx.expected_rows(x)
    if samples is None:
        blocks = form.per_sample(ctx.g, ctx.to_blocked(x), ctx.to_blocked(dy))
    else:
        blocks = ctx.g.cond(
            ctx.has_expected_batch(x),
            lambda g: form.batched(g, ctx.to_blocked(x), ctx.to_blocked(dy), samples),
            lambda g: form.per_sample(g, ctx.to_blocked(x), ctx.to_blocked(dy)),
        )
    gradient = ctx.from_blocked(blocks, x.type.with_shape(blocks.shape))
    if blocks.shape[2:] != weights.shape[2:]:  # the cotangent also fits into the rest that a stride leaves at the end
        gradient = ctx.g.Slice(gradient, [0, 0], list(weights.shape[2:]), [2, 3])
    return ctx.g.reshape(gradient, weights.shape)


@dataclass(frozen=True)
class DepthwiseWeightGradient:
    """The depthwise convolution of an image by its cotangent that gives the weight gradient.

    For one channel and axis: dw[i] = sum over p of dy[p] * x[stride * p + dilation * i - pad].
    """

    channels: int
    conv_attributes: Mapping[str, list[int]]
    rows: int
    """Rows of the result: at least the filter's, more if the stride leaves a remainder."""
    columns: int

    @staticmethod
    def of(gradient_info: GradientInfo, weights: Value) -> DepthwiseWeightGradient:
        """The convolution for these weights; their strides become its dilations, and the reverse."""
        strides, dilations, pads = (
            gradient_info.attributes[name] or [default] * count
            for name, default, count in (("strides", 1, 2), ("dilations", 1, 2), ("pads", 0, 4))
        )
        image_size, cotangent_size = gradient_info.x.shape[2:], list(gradient_info.dy.shape[2:])
        axes = list(zip(image_size, cotangent_size, weights.shape[2:], strides, dilations, pads, strict=False))
        pads_after = [
            max(0, (taps - 1) * dilation + stride * (m - 1) + 1 - n - pad) for n, m, taps, stride, dilation, pad in axes
        ]
        rows, columns = (
            (n + pad + pad_after - stride * (m - 1) - 1) // dilation + 1
            for (n, m, _, stride, dilation, pad), pad_after in zip(axes, pads_after, strict=True)
        )
        conv_attributes = {
            "kernel_shape": cotangent_size,
            "strides": dilations,
            "dilations": strides,
            "pads": [*pads[:2], *pads_after],
        }
        return DepthwiseWeightGradient(gradient_info.attributes["group"], conv_attributes, rows, columns)

    def batched(self, g: Builder, images: Value, cotangents: Value, samples: int) -> Value:
        """The gradient [1, channels, rows, columns] summed over exactly this number of samples."""
        gradients = self._correlate(g, images, cotangents, samples)
        gradients = g.reshape(gradients, (samples, 1, self.channels, self.rows, self.columns))
        total: Value = g.ReduceSum(gradients, [0], keepdims=0)
        return total

    def per_sample(self, g: Builder, images: Value, cotangents: Value) -> Value:
        """The gradient [1, channels, rows, columns] summed over any number of samples."""

        def step(g: Builder, _: Sequence[Value], sample: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            image, cotangent = sample
            return [], [self._correlate(g, image, cotangent, 1)]

        _, (gradients,) = g.loop(step, [], [images, cotangents], max_unrolled_steps=0)
        total: Value = g.ReduceSum(gradients, [0], keepdims=0)
        return total

    def _correlate(self, g: Builder, images: Value, cotangents: Value, samples: int) -> Value:
        """The gradients [1, samples * channels, rows, columns]."""
        count = samples * self.channels
        return depthwise_correlation(g, images, cotangents, count, (self.rows, self.columns), self.conv_attributes)


def depthwise_correlation(
    g: Builder,
    images: Value,
    filters: Value,
    count: int,
    output_size: tuple[int, int],
    attributes: Mapping[str, list[int]],
) -> Value:
    """Emits the correlation [1, count, *output_size] of `count` blocked channels, each with a filter of its own."""
    operands = [
        g.reshape(images, (1, count, *images.shape[-2:])),
        g.reshape(filters, (count, 1, *filters.shape[-2:])),
    ]
    type = images.type.with_shape((1, count, *output_size))
    return g.custom_op("Conv", NCHWC_DOMAIN, operands, type, group=count, **attributes)
