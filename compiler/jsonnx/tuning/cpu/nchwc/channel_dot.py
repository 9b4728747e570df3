"""The dot product of two images in every channel, as a depthwise convolution in the NCHWc layout.

The gradient of a batch normalization's gamma is such a sum over a product of two images. A depthwise convolution with
one of them as the filter of the other, as large as the image, gives one number per channel without storing the product.
The channels of all samples become the channels of one convolution. Their number is an attribute, so the convolution
serves the expected batch size only; others take a mean over the product.

Squares stay as they are. Their sum is the variance in the forward pass. A convolution sums in another order, and a
difference in the last bit can change which elements a following ReLU lets through.
"""

from __future__ import annotations

from math import prod

from ....ir import Builder, Value
from .context import NCHWC_DOMAIN, NchwcContext
from .depthwise_weight_gradient import depthwise_correlation


def channel_dot(ctx: NchwcContext, x: Value) -> Value | None:
    """The sums [batch, channels, 1, 1] over the images of x, in blocks.

    Returns None unless x is a product of two different blocked images that has no other use, of an expected batch size.
    """
    factors, samples = ctx.factors(x), ctx.expected_rows(x)
    if factors is None or samples is None or factors[0] is factors[1] or prod(x.shape[2:]) == 1:
        return None
    sums_type = ctx.padded_type(x.type.with_shape((*x.shape[:2], 1, 1)))

    def sum_as_convolution(g: Builder) -> Value:
        channels, size = ctx.padded_channels(x.shape[1]), list(x.shape[2:])
        sums = depthwise_correlation(g, factors[0], factors[1], samples * channels, (1, 1), {"kernel_shape": size})
        return g.refine(g.reshape(sums, (samples, channels, 1, 1)), sums_type.shape)

    def sum_as_mean(g: Builder) -> Value:
        means = g.custom_op("GlobalAveragePool", NCHWC_DOMAIN, [g.Mul(*factors)], sums_type)
        return g.Mul(means, float(prod(x.shape[2:])))

    return ctx.g.cond(ctx.has_expected_batch(factors[0]), sum_as_convolution, sum_as_mean)
