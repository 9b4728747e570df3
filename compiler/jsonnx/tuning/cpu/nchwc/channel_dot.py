"""What the product of two images sums up to in every channel, by blocks of channels.

What the gain of a batch normalization gets on the way back is such a sum. One of the images as the filter of the other,
as large as that, is one number a channel in a depthwise convolution: the product, as large as the images, is never
made, which takes half the time. The channels of all samples are those of one convolution, where there are as many
samples as expected: how many channels it has is an attribute.

Squares are left as they are. Their sum is a variance on the way forward, and a convolution rounds no product: as exact,
but not as others round, and by the last bit a ReLU lets something through or not.
"""

from __future__ import annotations

from math import prod

from ....ir import Builder, Value
from .context import NCHWC_DOMAIN, NchwcContext
from .depthwise_weight_gradient import depthwise_correlation


def channel_dot(ctx: NchwcContext, x: Value) -> Value | None:
    """The sums [batch, channels, 1, 1] over the images of a product x that nobody else reads; None where x is none."""
    factors, expected = ctx.factors(x), ctx.expected_rows(x)
    if factors is None or expected is None or factors[0] is factors[1] or prod(x.shape[2:]) == 1:
        return None
    sums = ctx.padded_type(x.type.with_shape((*x.shape[:2], 1, 1)))

    def at_once(g: Builder) -> Value:
        channels, size = ctx.padded_channels(x.shape[1]), list(x.shape[2:])
        found = depthwise_correlation(g, factors[0], factors[1], expected * channels, (1, 1), {"kernel_shape": size})
        return g.refine(g.reshape(found, (expected, channels, 1, 1)), sums.shape)

    def one_by_one(g: Builder) -> Value:
        means = g.custom_op("GlobalAveragePool", NCHWC_DOMAIN, [g.Mul(*factors)], sums)
        return g.Mul(means, float(prod(x.shape[2:])))

    return ctx.g.cond(ctx.has_expected_batch(factors[0]), at_once, one_by_one)
