"""The gradient of a max pooling by halves, in blocks of channels.

Of two rows the greater one gets all, of two columns likewise: so one comparison of each pair tells what both get. A
comparison is a convolution of stride 2 with 1 and -1 whose activation is a step, the maxima of columns are a pooling,
and two halves lie down beside each other by a Concat of the last axis. Comparing every element with the maximum of its
window, twice, takes twice as long.
"""

from __future__ import annotations

import numpy as np

from ....ir import GradientOf, Value
from .context import DOMAIN, Blocks
from .conv_transpose import beside, trimmed

PAIRS = [2, 2]


def halved(b: Blocks, told: GradientOf, plain: Value) -> Value | None:
    """The cotangent of the operand of a max pooling of 2x2; None where it is none. Of equal ones the first gets it."""
    x, dy, given = told.x, told.dy, told.attributes
    if x not in b or x.rank != 4 or not x.type.is_fixed(2, 3):
        return None
    moves = given.get("kernel_shape"), given.get("strides"), given.get("dilations") or [1, 1]
    if moves != (PAIRS, PAIRS, [1, 1]) or any(given.get("pads") or ()) or given.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    g, image = b.g, b.into(x)
    batch, channels, height, _ = image.shape
    rows, columns = dy.shape[2:]
    columns_first = _first_of_pairs(b, image, axis=3)
    greatest = _pairs(b, "MaxPool", [image], axis=3)
    upper = g.Mul(b.into(dy), _first_of_pairs(b, greatest, axis=2))
    of_rows = beside(b, [upper, g.Sub(b.into(dy), upper)], (batch, channels // b.block, rows, columns * b.block))
    of_rows = g.reshape(of_rows, (batch, channels, 2 * rows, columns))
    apart = (batch, channels // b.block, 2 * rows, columns, b.block)
    if height > 2 * rows:
        cut = g.Slice(g.reshape(columns_first, (*apart[:2], height, *apart[3:])), [0], [2 * rows], [2])
        columns_first = g.reshape(cut, of_rows.shape)
    left = g.Mul(of_rows, columns_first)
    whole = g.reshape(beside(b, [left, g.Sub(of_rows, left)], apart), (batch, channels, 2 * rows, 2 * columns))
    return trimmed(b, whole, plain)


def _first_of_pairs(b: Blocks, image: Value, axis: int) -> Value:
    """1 where the first of two rows (axis 2) or columns (3) is no less than the second, else 0."""
    weights = np.tile(np.repeat([1, -1], b.block), image.shape[1] // b.block)
    operands = [image, b.g.const(weights.reshape(image.shape[1], 1, *_extents(axis)), image.dtype)]
    step = {"activation": "HardSigmoid", "activation_params": [1e38, 1.0]}
    return _pairs(b, "Conv", operands, axis, group=image.shape[1], **step)


def _pairs(b: Blocks, op: str, operands: list[Value], axis: int, **attributes: object) -> Value:
    """An operator over pairs of rows or columns, as many as there are whole."""
    type = operands[0].type
    shape = [size // 2 if at == axis else size for at, size in enumerate(type.shape)]
    window = {"kernel_shape": _extents(axis), "strides": _extents(axis)}
    return b.g.custom(op, DOMAIN, operands, type.with_shape(tuple(shape)), **window, **attributes)


def _extents(axis: int) -> list[int]:
    return [2 if axis == 2 else 1, 2 if axis == 3 else 1]
