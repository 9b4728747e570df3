"""Transposed convolutions with strides in the NCHWc layout: input gradients of strided convolutions, and layers.

The result is split into phases (for stride 2, the even and the odd rows and columns). Each phase is a convolution of
the operand with the part of the window that reaches it; a Concat along the last axis interleaves the phases. For
depthwise convolutions and those of one tap, inserting zeros between the elements of an image costs less.
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
"""Minimum size of an enlarged image whose zeros a Gather inserts, in elements. It passes over memory once; for smaller
images, enlarging and multiplying by a mask is faster, although it takes two passes."""


def convert_strided_conv_transpose(
    ctx: NchwcContext, node: Node, bias: Value | None, *, depthwise: bool, activation: Attributes | None = None
) -> Value | None:
    """Emits a ConvTranspose with strides; returns None where it has no blocked form.

    The bias has padding channels. `activation` holds the attributes of an activation to apply to the result.
    """
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    if not x.type.is_static(2, 3) or not y.type.is_static(2, 3):
        return None
    if depthwise:
        return conv_after_zero_insertion(ctx, node, x, ctx.depthwise_filters(w, flipped=True), bias, y)
    if w.shape[2:] == (1, 1):
        return conv_before_zero_insertion(ctx, node, x, w, y) if bias is None else None
    result = conv_by_phases(ctx, node, x, w, bias, activation or {})
    if result is not None and not activation:
        ctx.register_activation(
            result,
            lambda function: convert_strided_conv_transpose(ctx, node, bias, depthwise=depthwise, activation=function),
        )
    return result


def conv_after_zero_insertion(
    ctx: NchwcContext, node: Node, x: Value, weights: Value, bias: Value | None, y: Value
) -> Value | None:
    """Emits a convolution of stride 1 over x with zeros between its elements, by flipped blocked filters."""
    dilations, strides = node.attribute("dilations", [1, 1]), node.attribute("strides")
    reach = [(taps - 1) * dilation for taps, dilation in zip(weights.shape[2:], dilations, strict=True)]
    before = [most - pad for most, pad in zip(reach, node.attribute("pads", [0] * 4), strict=False)]
    axes = zip(y.shape[2:], x.shape[2:], strides, reach, before, strict=True)
    after = [size - n * stride + most - pad for size, n, stride, most, pad in axes]
    if min(*before, *after) < 0:
        return None
    attributes = {"group": node.attribute("group", 1), "dilations": dilations, "pads": [*before, *after]}
    return ctx.emit_conv(FusedConv(insert_zeros(ctx, ctx.to_blocked(x), strides), weights, attributes, bias), y.type)


def conv_before_zero_insertion(ctx: NchwcContext, node: Node, x: Value, w: Value, y: Value) -> Value | None:
    """Emits a convolution of one tap over x, and inserts zeros between the elements of its result."""
    if any(node.attribute("pads", [0])):
        return None
    small = ctx.emit_conv(
        FusedConv(ctx.conv_operand(x), ctx.blocked_filters(w, flipped=True), {}),
        y.type.with_shape((*y.shape[:2], *x.shape[2:])),
    )
    return crop_or_pad(ctx, insert_zeros(ctx, ctx.to_blocked(small), node.attribute("strides")), y)


def insert_zeros(ctx: NchwcContext, image: Value, strides: list[int]) -> Value:
    """A blocked image [.., height * stride, width * stride] with zeros between the elements of another."""
    batch, channels, height, width = image.shape
    size = (height * strides[0], width * strides[1])
    if (ctx.expected_rows(image) or 1) * channels * prod(size) < MIN_GATHER_ELEMENTS:
        return insert_zeros_by_mask(ctx, image, size, strides)
    source = np.full(size, height * width)  # the first zero of a row that is appended below
    source[:: strides[0], :: strides[1]] = np.arange(height * width).reshape(height, width)
    padded = pad_with_conv(ctx.g, image, (0, 0, 1, 0))
    elements = ctx.g.reshape(padded, (batch, channels // ctx.block_size, (height + 1) * width, ctx.block_size))
    return ctx.g.reshape(ctx.g.Gather(elements, ctx.g.const(source.ravel(), "int64"), axis=2), (batch, channels, *size))


def insert_zeros_by_mask(ctx: NchwcContext, image: Value, size: tuple[int, int], strides: list[int]) -> Value:
    """The image with zeros inserted: every element is repeated, and a mask keeps the first of its copies."""
    batch, channels, *_ = image.shape
    type = image.type.with_shape((batch, channels, *size))
    enlarged = ctx.g.custom_op("Upsample", NCHWC_DOMAIN, [image], type, scales=[1, 1, *strides], mode="nearest")
    mask = np.zeros((*size, ctx.block_size), np.float32)
    mask[:: strides[0], :: strides[1]] = 1
    blocks = ctx.g.reshape(enlarged, (batch, channels // ctx.block_size, mask.size))
    return ctx.g.reshape(ctx.g.Mul(blocks, mask.ravel()), type.shape)


class Phase(NamedTuple):
    """Every `stride`-th row (or column) of a transposed convolution's result."""

    taps: range
    """The taps of the window that reach it."""
    pad_before: int
    """Zeros that the operand needs before its first element."""
    pad_after: int


def output_phases(taps: int, stride: int, pad: int, input_size: int, output_size: int) -> list[Phase]:
    """The phases of a transposed convolution along one axis, each with `output_size / stride` elements.

    The output size is rounded up to a multiple of the stride. With x the operand, y[stride * t + a] is the sum of
    w[k] * x[t + (a + pad - k) / stride] over the taps k for which the division has no remainder.
    """
    phases = []
    for a in range(stride):
        phase_taps = range((a + pad) % stride, taps, stride)
        ahead = (a + pad) // stride
        pad_after = -(-output_size // stride) - input_size + ahead
        phases.append(Phase(phase_taps, len(phase_taps) - 1 - ahead, pad_after))
    return phases


def conv_by_phases(
    ctx: NchwcContext, node: Node, x: Value, w: Value, bias: Value | None, activation: Attributes
) -> Value | None:
    """Emits one convolution per phase, with bias and activation, and interleaves the results.

    Returns None if the window is dilated, or if a phase has no taps or needs a crop of the operand.
    """
    y = node.outputs[0]
    strides, pads = node.attribute("strides"), node.attribute("pads", [0] * 4)
    if node.attribute("dilations", [1, 1]) != [1, 1]:
        return None
    batch, channels, *_ = ctx.padded_type(y.type).shape
    axes = zip(w.shape[2:], strides, pads, x.shape[2:], y.shape[2:], strict=False)
    row_phases, column_phases = (output_phases(*axis) for axis in axes)
    if min(min(len(phase.taps) - 1, *phase[1:]) for phase in (*row_phases, *column_phases)) < 0:
        return None
    rows, columns = (-(-size // stride) for size, stride in zip(y.shape[2:], strides, strict=True))
    phase_type = y.type.with_shape((batch, channels, rows, columns))

    def emit_phase(row: Phase, column: Phase) -> Value:
        weights = ctx.blocked_filters(w, flipped=True, taps=(row.taps, column.taps))
        attributes = {"pads": [row.pad_before, column.pad_before, row.pad_after, column.pad_after], **activation}
        return ctx.to_blocked(ctx.emit_conv(FusedConv(ctx.conv_operand(x), weights, attributes, bias), phase_type))

    blocks = channels // ctx.block_size
    interleaved_rows = [
        concat_last_axis(
            ctx,
            [emit_phase(row, column) for column in column_phases],
            (batch, blocks, rows, columns, ctx.block_size),
        )
        for row in row_phases
    ]
    width = columns * strides[1]
    image = concat_last_axis(ctx, interleaved_rows, (batch, blocks, rows, width * ctx.block_size))
    return crop_or_pad(ctx, ctx.g.reshape(image, (batch, channels, rows * strides[0], width)), y)


def concat_last_axis(ctx: NchwcContext, parts: Sequence[Value], shape: Sequence[Dim]) -> Value:
    """Reshapes the parts to one shape and joins them along its last axis, which interleaves their last rows."""
    reshaped = [ctx.g.reshape(part, shape) for part in parts]
    return reshaped[0] if len(reshaped) == 1 else ctx.g.Concat(*reshaped, axis=len(shape) - 1)


def crop_or_pad(ctx: NchwcContext, blocks: Value, y: Value) -> Value:
    """A blocked image in the size of y: rows and columns at the end are cut off, or added as zeros.

    A depthwise convolution by ones adds the zeros: it runs on all threads, unlike Pad.
    """
    batch, channels, *target_sizes = ctx.padded_type(y.type).shape
    actual = blocks.shape[2:]
    if any(n > m for n, m in zip(actual, target_sizes, strict=True)):
        cropped = [min(pair) for pair in zip(actual, target_sizes, strict=True)]
        image = ctx.g.reshape(blocks, (batch, channels // ctx.block_size, *actual, ctx.block_size))
        blocks = ctx.g.reshape(ctx.g.Slice(image, [0, 0], cropped, [2, 3]), (batch, channels, *cropped))
    missing = [max(0, m - n) for n, m in zip(actual, target_sizes, strict=True)]
    if not any(missing):
        return ctx.from_blocked(blocks, y.type)
    attributes = {"group": channels, "kernel_shape": [1, 1], "pads": [0, 0, *missing]}
    return ctx.emit_conv(FusedConv(blocks, ctx.g.const(np.ones((channels, 1, 1, 1)), y.dtype), attributes), y.type)
