"""Normalizations."""

from __future__ import annotations

import numpy as np

from ...core.types import Dim, product
from ..registry import Builder, Node, Value, vjp
from .reductions import element_count


@vjp("LayerNormalization")
def layer_normalization(g: Builder, node: Node, dy: Value, *_: Value | None):
    """y = n * scale + bias with n = (x - mean) * r and r = 1 / stddev over the last axes.

    dx = r * (dn - mean(dn) - n * mean(dn * n)) with dn = dy * scale.
    """
    x, scale = node.inputs[:2]
    axes = list(range(node.attribute("axis", -1) % x.rank, x.rank))
    if len(node.outputs) == 3 and node.outputs[1].dtype == x.dtype:  # ONNX defines these two outputs in float32 only
        n, r = g.Mul(g.Sub(x, node.outputs[1]), node.outputs[2]), node.outputs[2]
    else:
        n, r = standardize(g, x, axes, node.attribute("epsilon", 1e-5))
    dn = g.Mul(dy, scale)
    inner = g.ReduceMean(g.Mul(dn, n), axes, keepdims=1)
    dx = g.Mul(g.Sub(g.Sub(dn, g.ReduceMean(dn, axes, keepdims=1)), g.Mul(n, inner)), r)
    return [dx, g.Mul(dy, n), dy][: len(node.inputs)]


def standardize(g: Builder, x: Value, axes: list[int], epsilon: float) -> tuple[Value, Value]:
    """n = (x - mean) * r and r = 1 / stddev along axes."""
    centered = g.Sub(x, g.ReduceMean(x, axes, keepdims=1))
    variance = g.ReduceMean(g.Mul(centered, centered), axes, keepdims=1)
    r = g.Reciprocal(g.Sqrt(g.Add(variance, epsilon)))
    return g.Mul(centered, r), r


@vjp("InstanceNormalization")
def instance_normalization(g: Builder, node: Node, dy: Value):
    """y = n * scale + bias with n = (x - mean) * r and r = 1 / stddev of each channel of each sample.

    dx = r * scale * (dy - mean(dy) - n * mean(dy * n)), dscale = sum(dy * n) and dbias = sum(dy). The sums over samples
    are taken from the means.
    """
    x, scale, _ = node.inputs
    axes = list(range(2, x.rank))
    n, r = standardize(g, x, axes, node.attribute("epsilon", 1e-5))
    mean_dy, mean_dy_n = g.ReduceMean(dy, axes, keepdims=1), g.ReduceMean(g.Mul(dy, n), axes, keepdims=1)
    gain = g.Mul(r, reshape_along_channels(g, scale, x))
    dx = g.Mul(g.Sub(g.Sub(dy, mean_dy), g.Mul(n, mean_dy_n)), gain)
    elements = element_count(g, x, axes)
    return dx, *(g.Mul(g.ReduceSum(mean, [0, *axes], keepdims=0), elements) for mean in (mean_dy_n, mean_dy))


@vjp("LRN")
def local_response_normalization(g: Builder, node: Node, dy: Value):
    """y = x * s ** -beta with s = bias + alpha / size * w(x ** 2), the sum w over neighbouring channels.

    dx = dy * s ** -beta - 2 * alpha * beta / size * x * v(dy * y / s), with v the transpose of w.
    """
    x, y = node.inputs[0], node.outputs[0]
    alpha, beta, size = node.attribute("alpha", 1e-4), node.attribute("beta", 0.75), node.attribute("size")
    bands = channel_bands(x.shape[1], size)
    s = g.Add(sum_channels(g, g.Mul(x, x), bands * (alpha / size)), node.attribute("bias", 1.0))
    power = g.Exp(g.Mul(g.Log(s), -beta))  # in onnxruntime much faster than Pow
    inner = sum_channels(g, g.Div(g.Mul(dy, y), s), bands.T * (2 * alpha * beta / size))
    return g.Sub(g.Mul(dy, power), g.Mul(x, inner))


def channel_bands(channels: Dim, size: int) -> np.ndarray:
    """A matrix with ones where the channel of a row has that of the column among its `size` neighbours."""
    if not isinstance(channels, int):
        raise NotImplementedError("along a symbolic number of channels")
    index = np.arange(channels)
    distance = index - index[:, None]
    return ((distance >= -((size - 1) // 2)) & (distance <= size // 2)).astype(float)


def sum_channels(g: Builder, x: Value, bands: np.ndarray) -> Value:
    """The products of a matrix and the channels at each position. Faster in onnxruntime than average pooling."""
    sums = g.MatMul(bands, g.reshape(x, (*x.shape[:2], product(x.shape[2:])), x))
    return g.reshape(sums, x.shape, x)


@vjp("BatchNormalization")
def batch_normalization(g: Builder, node: Node, dy: Value):
    """y = (x - mean) * r * scale + bias with r = 1 / sqrt(var + epsilon), all but x vectors along axis 1.

    dx = dy * scale * r, dscale = sum(dy * (x - mean)) * r, dbias = sum(dy), dmean = -dbias * scale * r,
    dvar = -dscale * scale * r ** 2 / 2.
    """
    if node.attribute("training_mode", 0):
        raise NotImplementedError("in training mode")
    x, scale, _, mean, variance = node.inputs
    axes = [axis for axis in range(x.rank) if axis != 1]
    r = g.Reciprocal(g.Sqrt(g.Add(variance, node.attribute("epsilon", 1e-5))))
    gain = g.Mul(scale, r)
    dbias = g.ReduceSum(dy, axes, keepdims=0)
    dscale = g.Mul(g.ReduceSum(g.Mul(dy, g.Sub(x, reshape_along_channels(g, mean, x))), axes, keepdims=0), r)
    dvariance = g.Mul(g.Mul(g.Mul(dscale, gain), r), -0.5)
    return g.Mul(dy, reshape_along_channels(g, gain, x)), dscale, dbias, g.Neg(g.Mul(dbias, gain)), dvariance


def reshape_along_channels(g: Builder, value: Value, x: Value) -> Value:
    """A vector along axis 1 of x, shaped to broadcast against x."""
    return g.reshape(value, [*value.shape, *[1] * (x.rank - 2)])
