"""The gradient of a convolution with strides, in blocks of channels, which is what layers that enlarge images do, too.

Each phase of its rows and columns (the even ones, the odd ones) is a convolution of the cotangent with that part of the
window which reaches it; the phases lie down beside each other by a Concat of the last axis. Of one filter a channel, or
one tap, zeros between the elements of the cotangent cost less.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ....core.types import Dim
from ....ir import Node, Value
from .context import NCHWC_DOMAIN, Attributes, FusedConv, NchwcContext, pad_with_conv

MIN_GATHER_ELEMENTS = 1 << 21
"""Elements of an image from which on a Gather brings zeros between others: it goes through memory once, to enlarge and
to multiply twice. Of a quarter as many these take half the time."""


def convert_strided_conv_transpose(
    ctx: NchwcContext, node: Node, bias: Value | None, *, depthwise: bool, activation: Attributes | None = None
) -> Value | None:
    """The result of a ConvTranspose with strides; None where it cannot be by blocks. The bias fills the blocks."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    if not x.type.is_static(2, 3) or not y.type.is_static(2, 3):
        return None
    if depthwise:
        return conv_after_zero_insertion(ctx, node, x, ctx.depthwise_filters(w, flipped=True), bias, y)
    if w.shape[2:] == (1, 1):
        return conv_before_zero_insertion(ctx, node, x, w, y) if bias is None else None
    found = conv_by_phases(ctx, node, x, w, bias, activation or {})
    if found is not None and not activation:
        ctx.register_activation(
            found,
            lambda function: convert_strided_conv_transpose(ctx, node, bias, depthwise=depthwise, activation=function),
        )
    return found


def conv_after_zero_insertion(
    ctx: NchwcContext, node: Node, x: Value, weights: Value, bias: Value | None, y: Value
) -> Value | None:
    gaps, strides = node.attribute("dilations", [1, 1]), node.attribute("strides")
    reach = [(size - 1) * gap for size, gap in zip(weights.shape[2:], gaps, strict=True)]
    before = [most - pad for most, pad in zip(reach, node.attribute("pads", [0] * 4), strict=False)]
    sides = zip(y.shape[2:], x.shape[2:], strides, reach, before, strict=True)
    after = [size - n * stride + most - front for size, n, stride, most, front in sides]
    if min(*before, *after) < 0:
        return None
    attributes = {"group": node.attribute("group", 1), "dilations": gaps, "pads": [*before, *after]}
    return ctx.emit_conv(FusedConv(insert_zeros(ctx, ctx.to_blocked(x), strides), weights, attributes, bias), y.type)


def conv_before_zero_insertion(ctx: NchwcContext, node: Node, x: Value, w: Value, y: Value) -> Value | None:
    """Of one tap: zeros come between the elements of what it gives."""
    if any(node.attribute("pads", [0])):
        return None
    small = ctx.emit_conv(
        FusedConv(ctx.conv_operand(x), ctx.blocked_filters(w, flipped=True), {}),
        y.type.with_shape((*y.shape[:2], *x.shape[2:])),
    )
    return crop_or_pad(ctx, insert_zeros(ctx, ctx.to_blocked(small), node.attribute("strides")), y)


def insert_zeros(ctx: NchwcContext, image: Value, strides: list[int]) -> Value:
    """An image in blocks with zeros between its elements."""
    batch, channels, height, width = image.shape
    size = (height * strides[0], width * strides[1])
    if (ctx.expected_rows(image) or 1) * channels * prod(size) < MIN_GATHER_ELEMENTS:
        return insert_zeros_by_mask(ctx, image, size, strides)
    order = np.full(size, height * width)  # where nothing else is, the first zero of a row below
    order[:: strides[0], :: strides[1]] = np.arange(height * width).reshape(height, width)
    framed = pad_with_conv(ctx.g, image, (0, 0, 1, 0))
    places = ctx.g.reshape(framed, (batch, channels // ctx.block_size, (height + 1) * width, ctx.block_size))
    return ctx.g.reshape(ctx.g.Gather(places, ctx.g.const(order.ravel(), "int64"), axis=2), (batch, channels, *size))


def insert_zeros_by_mask(ctx: NchwcContext, image: Value, size: tuple[int, int], strides: list[int]) -> Value:
    """Every element of an image several times, by a pattern of ones and zeros."""
    batch, channels, *_ = image.shape
    type = image.type.with_shape((batch, channels, *size))
    several = ctx.g.custom_op("Upsample", NCHWC_DOMAIN, [image], type, scales=[1, 1, *strides], mode="nearest")
    pattern = np.zeros((*size, ctx.block_size), np.float32)
    pattern[:: strides[0], :: strides[1]] = 1
    rows = ctx.g.reshape(several, (batch, channels // ctx.block_size, pattern.size))
    return ctx.g.reshape(ctx.g.Mul(rows, pattern.ravel()), type.shape)


class Phase(NamedTuple):
    """Every so many rows (or columns): the taps that reach them, and what lies around the cotangent for them."""

    taps: range
    pad_before: int
    pad_after: int


def output_phases(taps: int, stride: int, pad: int, input_size: int, output_size: int) -> list[Phase]:
    """The phases along one axis, of `input_size` elements of the cotangent and so many `output_size`, rounded up to a stride.

    Element stride * t + a gets what element t + (a + pad - k) / stride of the cotangent gave tap k.
    """
    found = []
    for a in range(stride):
        own = range((a + pad) % stride, taps, stride)
        ahead = (a + pad) // stride
        found.append(Phase(own, len(own) - 1 - ahead, -(-output_size // stride) - input_size + ahead))
    return found


def conv_by_phases(
    ctx: NchwcContext, node: Node, x: Value, w: Value, bias: Value | None, activation: Attributes
) -> Value | None:
    y = node.outputs[0]
    strides, pads = node.attribute("strides"), node.attribute("pads", [0] * 4)
    if node.attribute("dilations", [1, 1]) != [1, 1]:
        return None
    batch, channels, *_ = ctx.padded_type(y.type).shape
    size = y.shape[2:]
    sides = zip(w.shape[2:], strides, pads, x.shape[2:], size, strict=False)
    rows, columns = (output_phases(*side) for side in sides)
    if min(min(len(phase.taps) - 1, phase.pad_before, phase.pad_after) for phase in (*rows, *columns)) < 0:
        return None
    counts = [-(-wanted // stride) for wanted, stride in zip(size, strides, strict=True)]
    part = y.type.with_shape((batch, channels, *counts))
    made = []
    for row in rows:
        parts = []
        for column in columns:
            weights = ctx.blocked_filters(w, flipped=True, taps=(row.taps, column.taps))
            attributes = {"pads": [row.pad_before, column.pad_before, row.pad_after, column.pad_after], **activation}
            parts.append(ctx.to_blocked(ctx.emit_conv(FusedConv(ctx.conv_operand(x), weights, attributes, bias), part)))
        made.append(concat_last_axis(ctx, parts, (batch, channels // ctx.block_size, *counts, ctx.block_size)))
    wide = counts[1] * strides[1]
    whole = concat_last_axis(ctx, made, (batch, channels // ctx.block_size, counts[0], wide * ctx.block_size))
    return crop_or_pad(ctx, ctx.g.reshape(whole, (batch, channels, counts[0] * strides[0], wide)), y)


def concat_last_axis(ctx: NchwcContext, parts: Sequence[Value], shape: Sequence[Dim]) -> Value:
    """Values of this shape, each last row of the one before that of the next."""
    apart = [ctx.g.reshape(part, shape) for part in parts]
    return apart[0] if len(apart) == 1 else ctx.g.Concat(*apart, axis=len(shape) - 1)


def crop_or_pad(ctx: NchwcContext, blocks: Value, y: Value) -> Value:
    """An image in blocks as y, of which it may have more or fewer rows and columns at the end.

    What is missing comes with a convolution by ones, which uses all threads, unlike Pad.
    """
    batch, channels, *size = ctx.padded_type(y.type).shape
    have = blocks.shape[2:]
    if any(mine > wanted for mine, wanted in zip(have, size, strict=True)):
        least = [min(pair) for pair in zip(have, size, strict=True)]
        image = ctx.g.reshape(blocks, (batch, channels // ctx.block_size, *have, ctx.block_size))
        blocks = ctx.g.reshape(ctx.g.Slice(image, [0, 0], least, [2, 3]), (batch, channels, *least))
    missing = [max(0, wanted - mine) for mine, wanted in zip(have, size, strict=True)]
    if not any(missing):
        return ctx.from_blocked(blocks, y.type)
    around = {"group": channels, "kernel_shape": [1, 1], "pads": [0, 0, *missing]}
    return ctx.emit_conv(FusedConv(blocks, ctx.g.const(np.ones((channels, 1, 1, 1)), y.dtype), around), y.type)
