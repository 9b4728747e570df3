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
from ....ir import GradientInfo, Value
from .context import NCHWC_DOMAIN, FusedConv, NchwcContext
from .conv_transpose import concat_last_axis

MAX_WINDOW_TAPS = 26
"""Taps of a window along its rows and its columns: every one of them is some passes over the result."""

N = TypeVar("N")


class WindowAxis(NamedTuple):
    """A window's way along the rows, axis 2 of an image, or along the columns, axis 3."""

    axis: int
    taps: int
    stride: int
    pad: int
    pad_after: int
    input_size: int
    """Of the operand."""
    window_count: int

    def phase(self, tap: int) -> int:
        return (tap - self.pad) % self.stride

    def start(self, tap: int) -> int:
        """Which of its phase the tap meets first; less than 0 in the padding."""
        return (tap - self.pad) // self.stride

    @property
    def first_start(self) -> int:
        return min(self.start(tap) for tap in range(self.taps))

    @property
    def phase_extent(self) -> int:
        """How many of a phase there are from the first one on, where all that taps meet and all elements have room."""
        met = max(self.start(tap) + self.window_count for tap in range(self.taps))
        return max(met, -(-self.input_size // self.stride)) - self.first_start

    def in_bounds(self, tap: int) -> np.ndarray:
        """Which windows have an element under the tap."""
        place = np.arange(self.window_count) * self.stride + tap - self.pad
        return (place >= 0) & (place < self.input_size)

    def as_pair(self, number: N, other: N) -> list[N]:
        """A number for the axis, and one for the other, in their order."""
        return [number, other] if self.axis == 2 else [other, number]

    def with_size(self, type: TensorType, size: int) -> TensorType:
        """An image's type with this size along the axis."""
        return type.with_shape((*type.shape[:2], *self.as_pair(size, type.shape[5 - self.axis])))

    @property
    def window_attributes(self) -> dict[str, list[int]]:
        """As attributes of a pooling or a convolution."""
        pads = self.as_pair(self.pad, 0) + self.as_pair(self.pad_after, 0)
        return {"kernel_shape": self.as_pair(self.taps, 1), "strides": self.as_pair(self.stride, 1), "pads": pads}


def maxpool_gradient(ctx: NchwcContext, gradient_info: GradientInfo, gradient: Value) -> Value | None:
    """The cotangent of the operand of a max pooling; None where it is none of this kind."""
    x, dy, given = gradient_info.x, gradient_info.dy, gradient_info.attributes
    if x not in ctx or x.rank != 4 or not x.type.is_static(2, 3) or not dy.type.is_static(2, 3):
        return None
    if given.get("auto_pad", "NOTSET") != "NOTSET" or max(given.get("dilations") or [1]) > 1 or given.get("ceil_mode"):
        return None
    taps, strides, pads = given["kernel_shape"], given.get("strides") or [1, 1], given.get("pads") or [0] * 4
    if any(stride > tap for stride, tap in zip(strides, taps, strict=True)) or sum(taps) > MAX_WINDOW_TAPS:
        return None
    sides = zip((2, 3), taps, strides, pads[:2], pads[2:], x.shape[2:], dy.shape[2:], strict=True)
    rows, columns = (WindowAxis(*side) for side in sides)
    image = ctx.to_blocked(x)
    of_columns = columns.with_size(image.type, columns.window_count)
    greatest = ctx.g.custom_op("MaxPool", NCHWC_DOMAIN, [image], of_columns, **columns.window_attributes)
    of_rows = maxpool_gradient_1d(ctx, rows, greatest, ctx.to_blocked(dy))
    return ctx.from_blocked(maxpool_gradient_1d(ctx, columns, image, of_rows), gradient.type)


def maxpool_gradient_1d(ctx: NchwcContext, axis: WindowAxis, image: Value, dy: Value) -> Value:
    """The cotangent of the operand of a max pooling along one axis, all in blocks."""
    if (axis.taps, axis.stride, axis.pad, axis.pad_after) == (1, 1, 0, 0):
        return dy
    parts: list[list[tuple[int, Value]]] = [[] for _ in range(axis.stride)]
    for tap, got in enumerate(cotangent_per_tap(ctx, axis, image, dy)):
        parts[axis.phase(tap)].append((axis.start(tap) - axis.first_start, got))
    return interleave_phases(ctx, parts, axis)


def cotangent_per_tap(ctx: NchwcContext, axis: WindowAxis, image: Value, dy: Value) -> list[Value]:
    """What each tap of all windows gets of the cotangent."""
    g, channels = ctx.g, image.shape[1]
    greatest = g.Neg(g.custom_op("MaxPool", NCHWC_DOMAIN, [image], dy.type, **axis.window_attributes))
    step = {"group": channels, "activation": "HardSigmoid", "activation_params": [1e38, 1.0], **axis.window_attributes}
    found = []
    for tap in range(axis.taps - 1):
        one = np.tile(np.repeat(np.arange(axis.taps) == tap, ctx.block_size), channels // ctx.block_size)
        filters = g.const(one.reshape(channels, 1, *axis.as_pair(axis.taps, 1)), image.dtype)
        is_most = g.custom_op("Conv", NCHWC_DOMAIN, [image, filters, None, greatest], dy.type, **step)
        if not axis.in_bounds(tap).all():  # the convolution pads with zeros, which may be more than the maximum
            is_most = g.reshape(mask_out_of_bounds(ctx, axis, tap, is_most), dy.shape)
        got = g.Mul(dy, is_most)
        dy = g.Sub(dy, got)
        found.append(got)
    return [*found, dy]


def mask_out_of_bounds(ctx: NchwcContext, axis: WindowAxis, tap: int, is_max: Value) -> Value:
    """What is there under the tap where the window has an element there, else 0."""
    batch, channels, *size = is_max.shape
    pattern = axis.in_bounds(tap).reshape(axis.as_pair(-1, 1))
    flat = np.repeat(np.broadcast_to(pattern, size).ravel(), ctx.block_size).astype(np.float32)
    return ctx.g.Mul(ctx.g.reshape(is_max, (batch, channels // ctx.block_size, flat.size)), flat)


def interleave_phases(ctx: NchwcContext, parts: Sequence[Sequence[tuple[int, Value]]], axis: WindowAxis) -> Value:
    """The image of what is to be added at places of each phase, by phase."""
    batch, channels, *size = parts[0][0][1].shape
    other = size[3 - axis.axis]
    ones = ctx.g.const(np.ones((channels, 1, 1, 1)), "float32")
    phases = []
    for part in parts:
        total: Value | None = None
        for before, got in part:
            pads = axis.as_pair(before, 0) + axis.as_pair(axis.phase_extent - axis.window_count - before, 0)
            around = {"group": channels, "kernel_shape": [1, 1], "pads": pads}
            total = ctx.to_blocked(
                ctx.emit_conv(FusedConv(got, ones, around, summand=total), axis.with_size(got.type, axis.phase_extent))
            )
        assert total is not None
        phases.append(total)
    wide = ctx.block_size if axis.axis == 3 else other * ctx.block_size
    rows = (other, axis.phase_extent) if axis.axis == 3 else (axis.phase_extent,)
    whole = concat_last_axis(ctx, phases, (batch, channels // ctx.block_size, *rows, wide))
    have, before = axis.phase_extent * axis.stride, -axis.first_start * axis.stride
    image = ctx.g.reshape(whole, (batch, channels // ctx.block_size, *axis.as_pair(have, other), ctx.block_size))
    if have > axis.input_size:
        image = ctx.g.Slice(image, [before], [before + axis.input_size], [axis.axis])
    return ctx.g.reshape(image, (batch, channels, *axis.as_pair(axis.input_size, other)))
