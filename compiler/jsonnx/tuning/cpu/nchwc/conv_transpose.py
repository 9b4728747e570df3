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
from .context import DOMAIN, Attributes, Blocks, Recipe, in_frame

LARGE = 1 << 21
"""Elements of an image from which on a Gather brings zeros between others: it goes through memory once, to enlarge and
to multiply twice. Of a quarter as many these take half the time."""


def strided(
    b: Blocks, node: Node, bias: Value | None, *, alone: bool, activation: Attributes | None = None
) -> Value | None:
    """The result of a ConvTranspose with strides; None where it cannot be by blocks. The bias fills the blocks."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    if not x.type.is_fixed(2, 3) or not y.type.is_fixed(2, 3):
        return None
    if alone:
        return between_zeros(b, node, x, b.filters_of_own(w, backwards=True), bias, y)
    if w.shape[2:] == (1, 1):
        return between_zeros_later(b, node, x, w, y) if bias is None else None
    found = by_phases(b, node, x, w, bias, activation or {})
    if found is not None and not activation:
        b.have_activated(found, lambda function: strided(b, node, bias, alone=alone, activation=function))
    return found


def between_zeros(b: Blocks, node: Node, x: Value, weights: Value, bias: Value | None, y: Value) -> Value | None:
    gaps, strides = node.attribute("dilations", [1, 1]), node.attribute("strides")
    reach = [(size - 1) * gap for size, gap in zip(weights.shape[2:], gaps, strict=True)]
    before = [most - pad for most, pad in zip(reach, node.attribute("pads", [0] * 4), strict=False)]
    sides = zip(y.shape[2:], x.shape[2:], strides, reach, before, strict=True)
    after = [size - n * stride + most - front for size, n, stride, most, front in sides]
    if min(*before, *after) < 0:
        return None
    attributes = {"group": node.attribute("group", 1), "dilations": gaps, "pads": [*before, *after]}
    return b.convolved(Recipe(apart(b, b.into(x), strides), weights, attributes, bias), y.type)


def between_zeros_later(b: Blocks, node: Node, x: Value, w: Value, y: Value) -> Value | None:
    """Of one tap: zeros come between the elements of what it gives."""
    if any(node.attribute("pads", [0])):
        return None
    small = b.convolved(
        Recipe(b.image(x), b.filters(w, backwards=True), {}), y.type.with_shape((*y.shape[:2], *x.shape[2:]))
    )
    return trimmed(b, apart(b, b.into(small), node.attribute("strides")), y)


def apart(b: Blocks, image: Value, strides: list[int]) -> Value:
    """An image in blocks with zeros between its elements."""
    batch, channels, height, width = image.shape
    size = (height * strides[0], width * strides[1])
    if (b.expected(image) or 1) * channels * prod(size) < LARGE:
        return several_times(b, image, size, strides)
    order = np.full(size, height * width)  # where nothing else is, the first zero of a row below
    order[:: strides[0], :: strides[1]] = np.arange(height * width).reshape(height, width)
    framed = in_frame(b.g, image, (0, 0, 1, 0))
    places = b.g.reshape(framed, (batch, channels // b.block, (height + 1) * width, b.block))
    return b.g.reshape(b.g.Gather(places, b.g.const(order.ravel(), "int64"), axis=2), (batch, channels, *size))


def several_times(b: Blocks, image: Value, size: tuple[int, int], strides: list[int]) -> Value:
    """Every element of an image several times, by a pattern of ones and zeros."""
    batch, channels, *_ = image.shape
    type = image.type.with_shape((batch, channels, *size))
    several = b.g.custom("Upsample", DOMAIN, [image], type, scales=[1, 1, *strides], mode="nearest")
    pattern = np.zeros((*size, b.block), np.float32)
    pattern[:: strides[0], :: strides[1]] = 1
    rows = b.g.reshape(several, (batch, channels // b.block, pattern.size))
    return b.g.reshape(b.g.Mul(rows, pattern.ravel()), type.shape)


class Phase(NamedTuple):
    """Every so many rows (or columns): the taps that reach them, and what lies around the cotangent for them."""

    taps: range
    before: int
    after: int


def phases(taps: int, stride: int, pad: int, size: int, wanted: int) -> list[Phase]:
    """The phases along one axis, of `size` elements of the cotangent and so many `wanted`, rounded up to a stride.

    Element stride * t + a gets what element t + (a + pad - k) / stride of the cotangent gave tap k.
    """
    found = []
    for a in range(stride):
        own = range((a + pad) % stride, taps, stride)
        ahead = (a + pad) // stride
        found.append(Phase(own, len(own) - 1 - ahead, -(-wanted // stride) - size + ahead))
    return found


def by_phases(b: Blocks, node: Node, x: Value, w: Value, bias: Value | None, activation: Attributes) -> Value | None:
    y = node.outputs[0]
    strides, pads = node.attribute("strides"), node.attribute("pads", [0] * 4)
    if node.attribute("dilations", [1, 1]) != [1, 1]:
        return None
    batch, channels, *_ = b.filled(y.type).shape
    size = y.shape[2:]
    sides = zip(w.shape[2:], strides, pads, x.shape[2:], size, strict=False)
    rows, columns = (phases(*side) for side in sides)
    if min(min(len(phase.taps) - 1, phase.before, phase.after) for phase in (*rows, *columns)) < 0:
        return None
    counts = [-(-wanted // stride) for wanted, stride in zip(size, strides, strict=True)]
    part = y.type.with_shape((batch, channels, *counts))
    made = []
    for row in rows:
        parts = []
        for column in columns:
            weights = b.filters(w, backwards=True, part=(row.taps, column.taps))
            attributes = {"pads": [row.before, column.before, row.after, column.after], **activation}
            parts.append(b.into(b.convolved(Recipe(b.image(x), weights, attributes, bias), part)))
        made.append(beside(b, parts, (batch, channels // b.block, *counts, b.block)))
    wide = counts[1] * strides[1]
    whole = beside(b, made, (batch, channels // b.block, counts[0], wide * b.block))
    return trimmed(b, b.g.reshape(whole, (batch, channels, counts[0] * strides[0], wide)), y)


def beside(b: Blocks, parts: Sequence[Value], shape: Sequence[Dim]) -> Value:
    """Values of this shape, each last row of the one before that of the next."""
    apart = [b.g.reshape(part, shape) for part in parts]
    return apart[0] if len(apart) == 1 else b.g.Concat(*apart, axis=len(shape) - 1)


def trimmed(b: Blocks, blocks: Value, y: Value) -> Value:
    """An image in blocks as y, of which it may have more or fewer rows and columns at the end.

    What is missing comes with a convolution by ones, which uses all threads, unlike Pad.
    """
    batch, channels, *size = b.filled(y.type).shape
    have = blocks.shape[2:]
    if any(mine > wanted for mine, wanted in zip(have, size, strict=True)):
        least = [min(pair) for pair in zip(have, size, strict=True)]
        image = b.g.reshape(blocks, (batch, channels // b.block, *have, b.block))
        blocks = b.g.reshape(b.g.Slice(image, [0, 0], least, [2, 3]), (batch, channels, *least))
    missing = [max(0, wanted - mine) for mine, wanted in zip(have, size, strict=True)]
    if not any(missing):
        return b.out_of(blocks, y.type)
    around = {"group": channels, "kernel_shape": [1, 1], "pads": [0, 0, *missing]}
    return b.convolved(Recipe(blocks, b.g.const(np.ones((channels, 1, 1, 1)), y.dtype), around), y.type)
