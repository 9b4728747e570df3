"""The gradient of a max pooling by halves, in blocks of channels.

Of two rows the greater one gets all, of two columns likewise: so one comparison of each pair tells what both get. A
comparison is a convolution of stride 2 with 1 and -1 whose activation is a step, the maxima of columns are a pooling,
and two halves lie down beside each other by a Concat of the last axis. Comparing every element with the maximum of its
window, twice, takes twice as long.
"""

from __future__ import annotations

import numpy as np

from ....ir import GradientInfo, Value
from .context import NCHWC_DOMAIN, NchwcContext
from .conv_transpose import concat_last_axis, crop_or_pad

WINDOW_2X2 = [2, 2]


def maxpool_2x2_gradient(ctx: NchwcContext, gradient_info: GradientInfo, gradient: Value) -> Value | None:
    """The cotangent of the operand of a max pooling of 2x2; None where it is none. Of equal ones the first gets it."""
    x, dy, given = gradient_info.x, gradient_info.dy, gradient_info.attributes
    if x not in ctx or x.rank != 4 or not x.type.is_static(2, 3):
        return None
    moves = given.get("kernel_shape"), given.get("strides"), given.get("dilations") or [1, 1]
    if (
        moves != (WINDOW_2X2, WINDOW_2X2, [1, 1])
        or any(given.get("pads") or ())
        or given.get("auto_pad", "NOTSET") != "NOTSET"
    ):
        return None
    g, image = ctx.g, ctx.to_blocked(x)
    batch, channels, height, _ = image.shape
    rows, columns = dy.shape[2:]
    columns_first = _first_is_max(ctx, image, axis=3)
    greatest = _emit_pairwise(ctx, "MaxPool", [image], axis=3)
    upper = g.Mul(ctx.to_blocked(dy), _first_is_max(ctx, greatest, axis=2))
    of_rows = concat_last_axis(
        ctx,
        [upper, g.Sub(ctx.to_blocked(dy), upper)],
        (batch, channels // ctx.block_size, rows, columns * ctx.block_size),
    )
    of_rows = g.reshape(of_rows, (batch, channels, 2 * rows, columns))
    apart = (batch, channels // ctx.block_size, 2 * rows, columns, ctx.block_size)
    if height > 2 * rows:
        cut = g.Slice(g.reshape(columns_first, (*apart[:2], height, *apart[3:])), [0], [2 * rows], [2])
        columns_first = g.reshape(cut, of_rows.shape)
    left = g.Mul(of_rows, columns_first)
    whole = g.reshape(
        concat_last_axis(ctx, [left, g.Sub(of_rows, left)], apart), (batch, channels, 2 * rows, 2 * columns)
    )
    return crop_or_pad(ctx, whole, gradient)


def _first_is_max(ctx: NchwcContext, image: Value, axis: int) -> Value:
    """1 where the first of two rows (axis 2) or columns (3) is no less than the second, else 0."""
    weights = np.tile(np.repeat([1, -1], ctx.block_size), image.shape[1] // ctx.block_size)
    operands = [image, ctx.g.const(weights.reshape(image.shape[1], 1, *_pair_window(axis)), image.dtype)]
    step = {"activation": "HardSigmoid", "activation_params": [1e38, 1.0]}
    return _emit_pairwise(ctx, "Conv", operands, axis, group=image.shape[1], **step)


def _emit_pairwise(ctx: NchwcContext, op: str, operands: list[Value], axis: int, **attributes: object) -> Value:
    """An operator over pairs of rows or columns, as many as there are whole."""
    type = operands[0].type
    shape = [size // 2 if at == axis else size for at, size in enumerate(type.shape)]
    window = {"kernel_shape": _pair_window(axis), "strides": _pair_window(axis)}
    return ctx.g.custom_op(op, NCHWC_DOMAIN, operands, type.with_shape(tuple(shape)), **window, **attributes)


def _pair_window(axis: int) -> list[int]:
    return [2 if axis == 2 else 1, 2 if axis == 3 else 1]
