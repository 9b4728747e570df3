"""Convolutions with more weights than positions as matrix products over the stored weights.

Convolutions read weights in another order than the stored one, [height, width, inputs, outputs]. So a step copies all
weights three times, on one thread: for the convolution, its input gradient, and the weight gradient. If a batch has few
positions, as in the deep layers of a network with small batches, that takes longer than the convolutions. As a matrix
[taps * inputs, outputs], the stored weights are operands of products instead:

- convolution: windows [positions, taps * inputs] * weights;
- weight gradient: transposed windows * cotangents [positions, outputs];
- input gradient: cotangents * transposed weights, whose results are added to the elements that a window covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ....ir import GradientInfo, Node, Value
from .context import NCHWC_DOMAIN, NchwcContext, pad_with_conv

STORED_TO_FILTERS = [3, 2, 0, 1]
"""The permutation from stored weights to those of a Conv."""
MIN_WEIGHTS = 1 << 20
"""Minimum number of weights; copies of fewer ones take less than the additional nodes."""
MAX_POSITIONS_PER_CHANNEL = 0.5
"""Maximum number of positions of a batch, relative to the channels of each result element, for a convolution and its
input gradient."""
MAX_GRADIENT_POSITIONS_PER_CHANNEL = 2
"""The same for the weight gradient, which is copied twice otherwise."""


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution over an image with `channels`; pairs are rows and columns."""

    channels: int
    image_size: tuple[int, int]
    result_size: tuple[int, int]
    taps: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    """Top, left, bottom, right."""

    @staticmethod
    def of(image: Value, result: Value, weights: Value, attributes: Any) -> Windows | None:
        """The windows of a Conv with these attributes; None if its padding is automatic or a size is symbolic."""
        static = image.type.is_static(1, 2, 3) and result.type.is_static(1, 2, 3) and weights.type.is_static()
        if not static or (attributes.get("auto_pad") or "NOTSET") != "NOTSET":
            return None
        ones = [1, 1]
        return Windows(
            image.shape[1],
            image.shape[2:],
            result.shape[2:],
            weights.shape[2:],
            tuple(attributes.get("strides") or ones),
            tuple(attributes.get("dilations") or ones),
            tuple(attributes.get("pads") or [0] * 4),
        )

    @property
    def window_elements(self) -> int:
        return prod(self.taps) * self.channels

    @property
    def are_positions(self) -> bool:
        """Whether each window is one position of the image, in order."""
        return prod(self.taps) == prod(self.strides) == 1 and not any(self.pads)

    @property
    def padded_columns(self) -> int:
        return self.pads[1] + self.image_size[1] + self.pads[3]

    def padded_positions(self) -> np.ndarray:
        """The position in the padded image of each tap of each window: [windows, taps]."""
        rows, columns = (
            np.arange(count)[:, None] * stride + np.arange(taps) * dilation
            for count, stride, taps, dilation in zip(
                self.result_size, self.strides, self.taps, self.dilations, strict=True
            )
        )
        positions = rows[:, None, :, None] * self.padded_columns + columns[None, :, None, :]
        return positions.reshape(prod(self.result_size), prod(self.taps))

    def covering_taps(self) -> np.ndarray:
        """The taps of windows that cover each position of the image: [positions, most taps].

        They are indices of [windows, taps]; an index behind the last one stands for a missing tap.
        """
        top, left, *_ = self.pads
        padded = self.padded_positions()
        covering: dict[int, list[int]] = {}
        for index, position in enumerate(padded.ravel().tolist()):
            covering.setdefault(position, []).append(index)
        image = [
            covering.get((top + row) * self.padded_columns + left + column, [])
            for row in range(self.image_size[0])
            for column in range(self.image_size[1])
        ]
        most = max(map(len, image))
        return np.array([indices + [padded.size] * (most - len(indices)) for indices in image])


def product_of_windows(ctx: NchwcContext, node: Node) -> Value | None:
    """Emits a Conv as a product of its windows with the stored weights; None where that is not faster."""
    x, w, y, bias = node.inputs[0], node.inputs[1], node.outputs[0], node.input(2)
    windows = _profitable_windows(ctx, x, y, w, node.attributes)
    stored = _stored_weights(ctx, w)
    if windows is None or stored is None or x is None or _positions(ctx, y) > MAX_POSITIONS_PER_CHANNEL * y.shape[1]:
        return None
    g = ctx.g
    rows = g.MatMul(_emit_windows(ctx, x, windows), _matrix(ctx, stored))
    return _image_of_rows(ctx, rows if bias is None else g.Add(rows, bias), y)


def product_of_cotangents(ctx: NchwcContext, node: Node) -> Value | None:
    """Emits a ConvTranspose, which is an input gradient, by a product with the stored weights; None where that is not
    faster."""
    dy, w, dx = node.inputs[0], node.inputs[1], node.outputs[0]
    windows = _profitable_windows(ctx, dx, dy, w, node.attributes)
    stored = _stored_weights(ctx, w)
    if windows is None or stored is None or dy is None or node.input(2) is not None:
        return None
    if _positions(ctx, dy) > MAX_POSITIONS_PER_CHANNEL * dx.shape[1]:
        return None
    g = ctx.g
    taps = g.MatMul(_rows_of_image(ctx, dy), g.Transpose(_matrix(ctx, stored), perm=[1, 0]))
    return _image_of_rows(ctx, taps if windows.are_positions else _add_taps(ctx, taps, dx, windows), dx)


def weight_gradient_product(ctx: NchwcContext, gradient_info: GradientInfo, weights: Value) -> Value | None:
    """Emits the gradient of a Conv's weights as the product of windows and cotangents; None where it is not faster."""
    x, dy, attributes = gradient_info.x, gradient_info.dy, gradient_info.attributes
    windows = _profitable_windows(ctx, x, dy, weights, attributes)
    if windows is None or _positions(ctx, dy) > MAX_GRADIENT_POSITIONS_PER_CHANNEL * dy.shape[1]:
        return None
    g = ctx.g
    product = g.Gemm(_emit_windows(ctx, x, windows), _rows_of_image(ctx, dy), transA=1)
    stored = g.reshape(product, (*windows.taps, windows.channels, dy.shape[1]))
    return g.Transpose(stored, perm=STORED_TO_FILTERS)


# -- the choice --------------------------------------------------------------------------------------------------------


def _profitable_windows(
    ctx: NchwcContext, image: Value | None, result: Value | None, weights: Value | None, attributes: Any
) -> Windows | None:
    """The windows over an image; None if they are unknown or grouped, fill no blocks, or have few weights."""
    if image is None or result is None or weights is None or image.rank != 4 or attributes.get("group", 1) != 1:
        return None
    if not weights.type.is_static() or prod(weights.shape) < MIN_WEIGHTS or ctx.expected_rows(image) is None:
        return None
    if not ctx.fills_blocks(image) or not ctx.fills_blocks(result):
        return None
    return Windows.of(image, result, weights, attributes)


def _positions(ctx: NchwcContext, image: Value) -> int:
    """The positions of an image in an expected batch."""
    return (ctx.expected_rows(image) or 0) * prod(image.shape[2:])


def _stored_weights(ctx: NchwcContext, w: Value | None) -> Value | None:
    """The stored weights whose Transpose is w."""
    node = None if w is None else ctx.graph.producers.get(w)
    if node is None or node.op != "Transpose" or node.attribute("perm") != STORED_TO_FILTERS or node.inputs[0] is None:
        return None
    return ctx.current(node.inputs[0])


# -- operands and results ----------------------------------------------------------------------------------------------


def _matrix(ctx: NchwcContext, stored: Value) -> Value:
    *size, inputs, outputs = stored.shape
    return ctx.g.reshape(stored, (prod(size) * inputs, outputs))


def _rows_of_image(ctx: NchwcContext, image: Value) -> Value:
    """The rows [batch * positions, channels] of an image."""
    batch, channels, *size = image.shape
    return ctx.g.reshape(ctx.channels_last(image), (batch * prod(size), channels))


def _image_of_rows(ctx: NchwcContext, rows: Value, image: Value) -> Value:
    """The image of the type of `image` that has these rows."""
    batch, channels, *size = image.shape
    channels_last = ctx.g.reshape(rows, (batch, *size, channels))
    blocks = ctx.g.custom_op(
        "ReorderInput", NCHWC_DOMAIN, [channels_last], ctx.padded_type(image.type), channels_last=1
    )
    return ctx.from_blocked(blocks, image.type)


def _emit_windows(ctx: NchwcContext, x: Value, windows: Windows) -> Value:
    """Emits the windows over an image: [batch * windows, taps * channels].

    The weight gradient emits them again: for most networks, they would take more memory than all other values that the
    backward pass reads.
    """
    if windows.are_positions:
        return _rows_of_image(ctx, x)
    g, (batch, channels) = ctx.g, x.shape[:2]
    channels_last = ctx.channels_last(x)
    if any(windows.pads):
        padded = pad_with_conv(g, ctx.to_blocked(x), windows.pads)
        padded_type = padded.type.with_shape((batch, *padded.shape[2:], channels))
        channels_last = g.custom_op(
            "ReorderOutput", NCHWC_DOMAIN, [padded], padded_type, channels=channels, channels_last=1
        )
    positions = g.reshape(channels_last, (batch, prod(channels_last.shape[1:3]), channels))
    indices = windows.padded_positions()
    taps = g.Gather(positions, g.const(indices.ravel(), "int64"), axis=1)
    return g.reshape(taps, (batch * indices.shape[0], windows.window_elements))


def _add_taps(ctx: NchwcContext, taps: Value, image: Value, windows: Windows) -> Value:
    """Adds taps [batch * windows, taps * channels] to the positions of the image that they cover: rows."""
    g, batch, indices = ctx.g, image.shape[0], windows.covering_taps()
    count = prod(windows.result_size) * prod(windows.taps)
    taps = g.reshape(taps, (batch, count, windows.channels))
    if indices.max() == count:  # a row of zeros stands for missing taps
        taps = g.refine(g.Pad(taps, [0, 0, 0, 0, 1, 0]), (batch, count + 1, windows.channels))
    covering = g.Gather(taps, g.const(indices.ravel(), "int64"), axis=1)
    covering = g.reshape(covering, (batch * indices.shape[0], indices.shape[1], windows.channels))
    return g.ReduceSum(covering, [1], keepdims=0)
