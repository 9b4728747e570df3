"""The gradient of a max pooling whose windows overlap, in blocks of channels.

The maximum of a window is the greatest of its rows', so the cotangent goes to a row first and then to a column of it,
by as many taps as a window is high and wide, not as it has elements. Tap by tap: where the element under this tap is
no less than the maximum, it gets what no tap before it got; so of equal ones the first row's first gets it. An element
under a tap is a convolution with one 1, and comparing it is that convolution's activation. What the taps got comes to
its places by strides: those of the even rows, say, are added up one shifted against the other, and lie down between the
odd ones. onnxruntime's own way, by Indices and ScatterElements, uses one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ....core.types import TensorType
from ....ir import GradientOf, Value
from .context import DOMAIN, Blocks, Recipe
from .conv_transpose import beside

MOST = 26
"""Taps of a window along its rows and its columns: every one of them is some passes over the result."""

N = TypeVar("N")


class Axis(NamedTuple):
    """A window's way along the rows, axis 2 of an image, or along the columns, axis 3."""

    axis: int
    taps: int
    stride: int
    pad: int
    pad_after: int
    size: int
    """Of the operand."""
    windows: int

    def phase(self, tap: int) -> int:
        return (tap - self.pad) % self.stride

    def start(self, tap: int) -> int:
        """Which of its phase the tap meets first; less than 0 in the padding."""
        return (tap - self.pad) // self.stride

    @property
    def first(self) -> int:
        return min(self.start(tap) for tap in range(self.taps))

    @property
    def extent(self) -> int:
        """How many of a phase there are from the first one on, where all that taps meet and all elements have room."""
        met = max(self.start(tap) + self.windows for tap in range(self.taps))
        return max(met, -(-self.size // self.stride)) - self.first

    def inside(self, tap: int) -> np.ndarray:
        """Which windows have an element under the tap."""
        place = np.arange(self.windows) * self.stride + tap - self.pad
        return (place >= 0) & (place < self.size)

    def along(self, number: N, other: N) -> list[N]:
        """A number for the axis, and one for the other, in their order."""
        return [number, other] if self.axis == 2 else [other, number]

    def sized(self, type: TensorType, size: int) -> TensorType:
        """An image's type with this size along the axis."""
        return type.with_shape((*type.shape[:2], *self.along(size, type.shape[5 - self.axis])))

    @property
    def window(self) -> dict[str, list[int]]:
        """As attributes of a pooling or a convolution."""
        pads = self.along(self.pad, 0) + self.along(self.pad_after, 0)
        return {"kernel_shape": self.along(self.taps, 1), "strides": self.along(self.stride, 1), "pads": pads}


def overlapping(b: Blocks, told: GradientOf, plain: Value) -> Value | None:
    """The cotangent of the operand of a max pooling; None where it is none of this kind."""
    x, dy, given = told.x, told.dy, told.attributes
    if x not in b or x.rank != 4 or not x.type.is_fixed(2, 3) or not dy.type.is_fixed(2, 3):
        return None
    if given.get("auto_pad", "NOTSET") != "NOTSET" or max(given.get("dilations") or [1]) > 1 or given.get("ceil_mode"):
        return None
    taps, strides, pads = given["kernel_shape"], given.get("strides") or [1, 1], given.get("pads") or [0] * 4
    if any(stride > tap for stride, tap in zip(strides, taps, strict=True)) or sum(taps) > MOST:
        return None
    sides = zip((2, 3), taps, strides, pads[:2], pads[2:], x.shape[2:], dy.shape[2:], strict=True)
    rows, columns = (Axis(*side) for side in sides)
    image = b.into(x)
    of_columns = columns.sized(image.type, columns.windows)
    greatest = b.g.custom("MaxPool", DOMAIN, [image], of_columns, **columns.window)
    of_rows = along(b, rows, greatest, b.into(dy))
    return b.out_of(along(b, columns, image, of_rows), plain.type)


def along(b: Blocks, axis: Axis, image: Value, dy: Value) -> Value:
    """The cotangent of the operand of a max pooling along one axis, all in blocks."""
    if (axis.taps, axis.stride, axis.pad, axis.pad_after) == (1, 1, 0, 0):
        return dy
    parts: list[list[tuple[int, Value]]] = [[] for _ in range(axis.stride)]
    for tap, got in enumerate(shares(b, axis, image, dy)):
        parts[axis.phase(tap)].append((axis.start(tap) - axis.first, got))
    return together(b, parts, axis)


def shares(b: Blocks, axis: Axis, image: Value, rest: Value) -> list[Value]:
    """What each tap of all windows gets of the cotangent."""
    g, channels = b.g, image.shape[1]
    greatest = g.Neg(g.custom("MaxPool", DOMAIN, [image], rest.type, **axis.window))
    step = {"group": channels, "activation": "HardSigmoid", "activation_params": [1e38, 1.0], **axis.window}
    found = []
    for tap in range(axis.taps - 1):
        one = np.tile(np.repeat(np.arange(axis.taps) == tap, b.block), channels // b.block)
        filters = g.const(one.reshape(channels, 1, *axis.along(axis.taps, 1)), image.dtype)
        is_most = g.custom("Conv", DOMAIN, [image, filters, None, greatest], rest.type, **step)
        if not axis.inside(tap).all():  # the convolution pads with zeros, which may be more than the maximum
            is_most = g.reshape(inside(b, axis, tap, is_most), rest.shape)
        got = g.Mul(rest, is_most)
        rest = g.Sub(rest, got)
        found.append(got)
    return [*found, rest]


def inside(b: Blocks, axis: Axis, tap: int, is_most: Value) -> Value:
    """What is there under the tap where the window has an element there, else 0."""
    batch, channels, *size = is_most.shape
    pattern = axis.inside(tap).reshape(axis.along(-1, 1))
    flat = np.repeat(np.broadcast_to(pattern, size).ravel(), b.block).astype(np.float32)
    return b.g.Mul(b.g.reshape(is_most, (batch, channels // b.block, flat.size)), flat)


def together(b: Blocks, parts: Sequence[Sequence[tuple[int, Value]]], axis: Axis) -> Value:
    """The image of what is to be added at places of each phase, by phase."""
    batch, channels, *size = parts[0][0][1].shape
    other = size[3 - axis.axis]
    ones = b.g.const(np.ones((channels, 1, 1, 1)), "float32")
    phases = []
    for part in parts:
        total: Value | None = None
        for before, got in part:
            pads = axis.along(before, 0) + axis.along(axis.extent - axis.windows - before, 0)
            around = {"group": channels, "kernel_shape": [1, 1], "pads": pads}
            total = b.into(b.convolved(Recipe(got, ones, around, added=total), axis.sized(got.type, axis.extent)))
        assert total is not None
        phases.append(total)
    wide = b.block if axis.axis == 3 else other * b.block
    rows = (other, axis.extent) if axis.axis == 3 else (axis.extent,)
    whole = beside(b, phases, (batch, channels // b.block, *rows, wide))
    have, before = axis.extent * axis.stride, -axis.first * axis.stride
    image = b.g.reshape(whole, (batch, channels // b.block, *axis.along(have, other), b.block))
    if have > axis.size:
        image = b.g.Slice(image, [before], [before + axis.size], [axis.axis])
    return b.g.reshape(image, (batch, channels, *axis.along(axis.size, other)))
