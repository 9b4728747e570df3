"""The gradient of a 2x2 max pooling with stride 2 in the NCHWc layout, by pairwise comparison: rows, then columns.

Of two rows, the greater one receives the window's gradient, and of its two columns likewise, so one comparison per pair
decides for both. A comparison is a convolution of stride 2 with the filter (1, -1) whose activation is a step. The
maxima of columns are a pooling, and a Concat along the last axis interleaves two halves. This passes over the image
fewer times than a comparison of every element with the maximum of its window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ir import GradientInfo, Value
from .context import NCHWC_DOMAIN, Attributes, NchwcContext
from .conv_transpose import concat_last_axis, crop_or_pad
from .maxpool_gradient import STEP_FUNCTION

WINDOW_2X2 = [2, 2]


def maxpool_2x2_gradient(ctx: NchwcContext, gradient_info: GradientInfo, gradient: Value) -> Value | None:
    """Emits the cotangent of a 2x2 max pooling's operand; None for other windows, or if the operand is not blocked.

    Of equal elements, the first row's first receives the gradient.
    """
    x, dy = gradient_info.x, gradient_info.dy
    if x not in ctx or x.rank != 4 or not x.type.is_static(2, 3) or not _is_2x2_tiling(gradient_info.attributes):
        return None
    g, image = ctx.g, ctx.to_blocked(x)
    batch, channels, height, _ = image.shape
    rows, columns = dy.shape[2:]
    left_is_max = _first_is_max(ctx, image, axis=3)
    column_maxima = _emit_pairwise(ctx, "MaxPool", [image], axis=3)
    pooled_gradient = ctx.to_blocked(dy)
    upper = g.Mul(pooled_gradient, _first_is_max(ctx, column_maxima, axis=2))
    lower = g.Sub(pooled_gradient, upper)
    row_shape = (batch, channels // ctx.block_size, rows, columns * ctx.block_size)
    row_gradient = g.reshape(concat_last_axis(ctx, [upper, lower], row_shape), (batch, channels, 2 * rows, columns))
    place_shape = (batch, channels // ctx.block_size, 2 * rows, columns, ctx.block_size)
    if height > 2 * rows:
        cropped = g.Slice(g.reshape(left_is_max, (*place_shape[:2], height, *place_shape[3:])), [0], [2 * rows], [2])
        left_is_max = g.reshape(cropped, row_gradient.shape)
    left = g.Mul(row_gradient, left_is_max)
    right = g.Sub(row_gradient, left)
    windows = g.reshape(concat_last_axis(ctx, [left, right], place_shape), (batch, channels, 2 * rows, 2 * columns))
    return crop_or_pad(ctx, windows, gradient)


def _is_2x2_tiling(attributes: Attributes) -> bool:
    """Whether a pooling's windows are 2x2 and neither overlap nor leave gaps, without padding."""
    window = attributes.get("kernel_shape"), attributes.get("strides"), attributes.get("dilations") or [1, 1]
    return (
        window == (WINDOW_2X2, WINDOW_2X2, [1, 1])
        and not any(attributes.get("pads") or ())
        and attributes.get("auto_pad", "NOTSET") == "NOTSET"
    )


def _first_is_max(ctx: NchwcContext, image: Value, axis: int) -> Value:
    """1 where the first of two rows (axis 2) or columns (axis 3) is at least the second, else 0."""
    weights = np.tile(np.repeat([1, -1], ctx.block_size), image.shape[1] // ctx.block_size)
    filters = ctx.g.const(weights.reshape(image.shape[1], 1, *_pair_window(axis)), image.dtype)
    return _emit_pairwise(ctx, "Conv", [image, filters], axis, group=image.shape[1], **STEP_FUNCTION)


def _emit_pairwise(ctx: NchwcContext, op: str, operands: list[Value], axis: int, **attributes: Any) -> Value:
    """Emits an operator over pairs of rows (axis 2) or columns (axis 3); an odd last one is left out."""
    type = operands[0].type
    shape = [size // 2 if index == axis else size for index, size in enumerate(type.shape)]
    window = {"kernel_shape": _pair_window(axis), "strides": _pair_window(axis)}
    return ctx.g.custom_op(op, NCHWC_DOMAIN, operands, type.with_shape(tuple(shape)), **window, **attributes)


def _pair_window(axis: int) -> list[int]:
    return [2 if axis == 2 else 1, 2 if axis == 3 else 1]
