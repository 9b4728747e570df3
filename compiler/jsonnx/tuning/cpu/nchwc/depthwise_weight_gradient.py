"""The gradient of a depthwise convolution's weights by blocks of channels.

Every channel has a filter of its own, so no matrix product sums for many of them at once. But a depthwise convolution
with the cotangent as its filter, as large as the image, gives the weights' gradient of one sample. The channels of all
samples are those of one convolution, where there are as many samples as expected: how many channels it has is an
attribute. Otherwise a Scan takes samples one by one, which takes three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....ir import Builder, GradientInfo, Value
from .context import NCHWC_DOMAIN, NchwcContext


def depthwise_weight_gradient(ctx: NchwcContext, gradient_info: GradientInfo, weights: Value) -> Value | None:
    """The gradient of weights [channels, 1, height, width]; None where it is not of this kind."""
    x, dy, channels, expected = (
        gradient_info.x,
        gradient_info.dy,
        gradient_info.attributes["group"],
        ctx.expected_rows(gradient_info.x),
    )
    if x not in ctx or dy not in ctx or not ctx.fills_blocks(x) or not channels == x.shape[1] == dy.shape[1]:
        return None
    if gradient_info.attributes["auto_pad"] or not x.type.is_static(2, 3) or not dy.type.is_static(2, 3):
        return None
    form = DepthwiseWeightGradient.of(gradient_info, weights)
    if expected is None:
        total = form.per_sample(ctx.g, ctx.to_blocked(x), ctx.to_blocked(dy))
    else:
        total = ctx.g.cond(
            ctx.has_expected_batch(x),
            lambda g: form.batched(g, ctx.to_blocked(x), ctx.to_blocked(dy), expected),
            lambda g: form.per_sample(g, ctx.to_blocked(x), ctx.to_blocked(dy)),
        )
    plain = ctx.from_blocked(total, x.type.with_shape(total.shape))
    if total.shape[2:] != weights.shape[2:]:  # what a stride leaves over behind the last window has room for more
        plain = ctx.g.Slice(plain, [0, 0], list(weights.shape[2:]), [2, 3])
    return ctx.g.reshape(plain, weights.shape)


@dataclass(frozen=True)
class DepthwiseWeightGradient:
    """How the cotangent moves over the image, and how many places it has there."""

    channels: int
    conv_attributes: Mapping[str, list[int]]
    rows: int
    columns: int

    @staticmethod
    def of(gradient_info: GradientInfo, weights: Value) -> DepthwiseWeightGradient:
        """Strides and dilations change places."""
        strides, dilations, pads = (
            gradient_info.attributes[name] or [default] * count
            for name, default, count in (("strides", 1, 2), ("dilations", 1, 2), ("pads", 0, 4))
        )
        kernel = list(gradient_info.dy.shape[2:])
        sides = list(zip(gradient_info.x.shape[2:], kernel, weights.shape[2:], strides, dilations, pads, strict=False))
        after = [
            max(0, (taps - 1) * gap + stride * (m - 1) + 1 - n - front) for n, m, taps, stride, gap, front in sides
        ]
        moves = {"strides": dilations, "dilations": strides, "pads": [*pads[:2], *after]}
        rows, columns = (
            (n + front + back - stride * (m - 1) - 1) // gap + 1
            for (n, m, _, stride, gap, front), back in zip(sides, after, strict=True)
        )
        return DepthwiseWeightGradient(
            gradient_info.attributes["group"], {"kernel_shape": kernel, **moves}, rows, columns
        )

    def batched(self, g: Builder, images: Value, filters: Value, samples: int) -> Value:
        """The gradient [1, channels, rows, columns] over so many samples."""
        met = self._correlate(g, images, filters, samples)
        parts = g.reshape(met, (samples, 1, self.channels, self.rows, self.columns))
        total: Value = g.ReduceSum(parts, [0], keepdims=0)
        return total

    def per_sample(self, g: Builder, images: Value, filters: Value) -> Value:
        """The same over any number of samples."""

        def step(g: Builder, _: Sequence[Value], sample: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            image, own = sample
            return [], [self._correlate(g, image, own, 1)]

        _, (met,) = g.loop(step, [], [images, filters], max_unrolled_steps=0)
        total: Value = g.ReduceSum(met, [0], keepdims=0)
        return total

    def _correlate(self, g: Builder, images: Value, filters: Value, samples: int) -> Value:
        count = samples * self.channels
        return depthwise_correlation(g, images, filters, count, (self.rows, self.columns), self.conv_attributes)


def depthwise_correlation(
    g: Builder,
    images: Value,
    filters: Value,
    count: int,
    output_size: tuple[int, int],
    attributes: Mapping[str, list[int]],
) -> Value:
    """Images in blocks, so many of one channel, each with a filter of its own: [1, count, *places]."""
    operands = [
        g.reshape(images, (1, count, *images.shape[-2:])),
        g.reshape(filters, (count, 1, *filters.shape[-2:])),
    ]
    type = images.type.with_shape((1, count, *output_size))
    return g.custom_op("Conv", NCHWC_DOMAIN, operands, type, group=count, **attributes)
