"""The gradient of a max pooling with overlapping windows in the NCHWc layout, tap by tap along rows, then columns.

The maximum of a window is the maximum of its rows' maxima. So the gradient of a window goes to one of its rows first,
and then to one column of that row, which takes as many taps as the window's height and width together, not their
product. A tap receives the part of the gradient that no earlier tap received if its element is at least the maximum; of
equal elements, the first one of the first row receives it. A convolution with a single 1 reads the element under a tap,
adds the negative maximum and compares the sum with 0 in its activation.

The parts that the taps receive are added to the elements phase by phase (for stride 2, the even rows and the odd rows):
the taps of a phase are shifted and added up, and a Concat along the last axis interleaves the phases. The general
formula, with Indices and ScatterElements, runs on one thread.
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
"""Taps of a window, along its rows and its columns together: each of them is several passes over the result."""
STEP_FUNCTION = {"activation": "HardSigmoid", "activation_params": [1e38, 1.0]}
"""Attributes of an NCHWc Conv whose activation is 1 where the sum is 0 or more, and 0 where it is negative."""

N = TypeVar("N")


class WindowAxis(NamedTuple):
    """The windows of a pooling along one axis of an image: its rows (axis 2) or its columns (axis 3).

    Tap t of window w lies on element stride * w + t - pad. Elements whose indices are equal modulo the stride are a
    phase.
    """

    axis: int
    taps: int
    stride: int
    pad: int
    pad_after: int
    input_size: int
    """Elements of the pooling's operand."""
    window_count: int

    def phase(self, tap: int) -> int:
        """The phase of the elements under a tap."""
        return (tap - self.pad) % self.stride

    def start(self, tap: int) -> int:
        """The index, in its phase, of the element under a tap of the first window; negative in the padding."""
        return (tap - self.pad) // self.stride

    @property
    def first_start(self) -> int:
        return min(self.start(tap) for tap in range(self.taps))

    @property
    def phase_extent(self) -> int:
        """Indices of a phase, counted from `first_start`, that include every element and every tap of all windows."""
        end = max(self.start(tap) + self.window_count for tap in range(self.taps))
        return max(end, -(-self.input_size // self.stride)) - self.first_start

    def in_bounds(self, tap: int) -> np.ndarray:
        """Returns, for each window, whether the tap lies on an element rather than in the padding."""
        element = np.arange(self.window_count) * self.stride + tap - self.pad
        return (element >= 0) & (element < self.input_size)

    def as_pair(self, along: N, across: N) -> list[N]:
        """A number for this axis and one for the other, rows first."""
        return [along, across] if self.axis == 2 else [across, along]

    def with_size(self, type: TensorType, size: int) -> TensorType:
        """An image's type with another size along this axis."""
        return type.with_shape((*type.shape[:2], *self.as_pair(size, type.shape[5 - self.axis])))

    @property
    def window_attributes(self) -> dict[str, list[int]]:
        """The attributes of a pooling or a convolution along this axis alone."""
        pads = self.as_pair(self.pad, 0) + self.as_pair(self.pad_after, 0)
        return {"kernel_shape": self.as_pair(self.taps, 1), "strides": self.as_pair(self.stride, 1), "pads": pads}


def maxpool_gradient(ctx: NchwcContext, gradient_info: GradientInfo, gradient: Value) -> Value | None:
    """Emits the cotangent of a max pooling's operand.

    Returns None if the operand is not blocked, if windows are dilated, too large or leave gaps between them, or if
    sizes are not static.
    """
    x, dy, attributes = gradient_info.x, gradient_info.dy, gradient_info.attributes
    if x not in ctx or x.rank != 4 or not x.type.is_static(2, 3) or not dy.type.is_static(2, 3):
        return None
    if attributes.get("auto_pad", "NOTSET") != "NOTSET" or attributes.get("ceil_mode"):
        return None
    if max(attributes.get("dilations") or [1]) > 1:
        return None
    taps = attributes["kernel_shape"]
    strides, pads = attributes.get("strides") or [1, 1], attributes.get("pads") or [0] * 4
    if any(stride > tap for stride, tap in zip(strides, taps, strict=True)) or sum(taps) > MAX_WINDOW_TAPS:
        return None
    axes = zip((2, 3), taps, strides, pads[:2], pads[2:], x.shape[2:], dy.shape[2:], strict=True)
    rows, columns = (WindowAxis(*axis) for axis in axes)
    image = ctx.to_blocked(x)
    maxima_type = columns.with_size(image.type, columns.window_count)
    column_maxima = ctx.g.custom_op("MaxPool", NCHWC_DOMAIN, [image], maxima_type, **columns.window_attributes)
    row_gradient = maxpool_gradient_1d(ctx, rows, column_maxima, ctx.to_blocked(dy))
    return ctx.from_blocked(maxpool_gradient_1d(ctx, columns, image, row_gradient), gradient.type)


def maxpool_gradient_1d(ctx: NchwcContext, axis: WindowAxis, image: Value, dy: Value) -> Value:
    """Emits the cotangent of the operand of a max pooling along one axis; all values are blocked."""
    if (axis.taps, axis.stride, axis.pad, axis.pad_after) == (1, 1, 0, 0):
        return dy
    phases: list[list[tuple[int, Value]]] = [[] for _ in range(axis.stride)]
    for tap, tap_gradient in enumerate(gradient_per_tap(ctx, axis, image, dy)):
        phases[axis.phase(tap)].append((axis.start(tap) - axis.first_start, tap_gradient))
    return interleave_phases(ctx, [sum_phase(ctx, axis, terms) for terms in phases], axis)


def gradient_per_tap(ctx: NchwcContext, axis: WindowAxis, image: Value, dy: Value) -> list[Value]:
    """Emits, for each tap, its share of the cotangent of every window. The last tap receives the rest."""
    g, channels = ctx.g, image.shape[1]
    negative_maxima = g.Neg(g.custom_op("MaxPool", NCHWC_DOMAIN, [image], dy.type, **axis.window_attributes))
    shares = []
    for tap in range(axis.taps - 1):
        one_hot = np.tile(np.repeat(np.arange(axis.taps) == tap, ctx.block_size), channels // ctx.block_size)
        filters = g.const(one_hot.reshape(channels, 1, *axis.as_pair(axis.taps, 1)), image.dtype)
        operands = [image, filters, None, negative_maxima]
        attributes = {"group": channels, **STEP_FUNCTION, **axis.window_attributes}
        is_max = g.custom_op("Conv", NCHWC_DOMAIN, operands, dy.type, **attributes)
        if not axis.in_bounds(tap).all():  # the convolution pads with zeros, which may exceed the maximum
            is_max = g.reshape(mask_out_of_bounds(ctx, axis, tap, is_max), dy.shape)
        share = g.Mul(dy, is_max)
        dy = g.Sub(dy, share)
        shares.append(share)
    return [*shares, dy]


def mask_out_of_bounds(ctx: NchwcContext, axis: WindowAxis, tap: int, is_max: Value) -> Value:
    """`is_max` with zeros for windows whose tap lies in the padding."""
    batch, channels, *size = is_max.shape
    in_bounds = axis.in_bounds(tap).reshape(axis.as_pair(-1, 1))
    mask = np.repeat(np.broadcast_to(in_bounds, size).ravel(), ctx.block_size).astype(np.float32)
    return ctx.g.Mul(ctx.g.reshape(is_max, (batch, channels // ctx.block_size, mask.size)), mask)


def sum_phase(ctx: NchwcContext, axis: WindowAxis, terms: Sequence[tuple[int, Value]]) -> Value:
    """Emits the sum of the taps of one phase, each shifted by an offset, over the phase's extent.

    A depthwise convolution of one tap shifts a term by its padding and adds the sum of those before it.
    """
    channels = terms[0][1].shape[1]
    ones = ctx.g.const(np.ones((channels, 1, 1, 1)), "float32")
    total: Value | None = None
    for offset, term in terms:
        pads = axis.as_pair(offset, 0) + axis.as_pair(axis.phase_extent - axis.window_count - offset, 0)
        attributes = {"group": channels, "kernel_shape": [1, 1], "pads": pads}
        shifted = FusedConv(term, ones, attributes, summand=total)
        total = ctx.to_blocked(ctx.emit_conv(shifted, axis.with_size(term.type, axis.phase_extent)))
    assert total is not None
    return total


def interleave_phases(ctx: NchwcContext, phases: Sequence[Value], axis: WindowAxis) -> Value:
    """Emits the image whose every `stride`-th row (or column) comes from the same phase, without the padding."""
    batch, channels, *size = phases[0].shape
    across = size[3 - axis.axis]
    row_elements = ctx.block_size if axis.axis == 3 else across * ctx.block_size
    rows = (across, axis.phase_extent) if axis.axis == 3 else (axis.phase_extent,)
    joined = concat_last_axis(ctx, phases, (batch, channels // ctx.block_size, *rows, row_elements))
    extent, start = axis.phase_extent * axis.stride, -axis.first_start * axis.stride
    image = ctx.g.reshape(joined, (batch, channels // ctx.block_size, *axis.as_pair(extent, across), ctx.block_size))
    if extent > axis.input_size:
        image = ctx.g.Slice(image, [start], [start + axis.input_size], [axis.axis])
    return ctx.g.reshape(image, (batch, channels, *axis.as_pair(axis.input_size, across)))
