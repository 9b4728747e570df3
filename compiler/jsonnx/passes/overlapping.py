"""The gradient of a max pooling whose windows overlap, in blocks of channels.

Tap by tap: where the element under this tap is no less than the maximum, it gets what no tap before it got; so of equal
ones the first gets it. An element under a tap is a convolution with one 1, and comparing it is that convolution's
activation. What the taps got comes to its places by strides: those of the even rows, say, are added up one shifted
against the other, and lie down between the odd ones. onnxruntime's own way, by Indices and ScatterElements, uses one
thread.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..graph import GradientOf, Value
from .blocks import DOMAIN, Blocks, Recipe
from .strided import beside, trimmed

MOST = 25
"""Taps of a window: every one of them is some passes over the result."""


class Axis(NamedTuple):
    """A window's way along rows or columns."""

    taps: int
    stride: int
    pad: int
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


def overlapping(b: Blocks, told: GradientOf, plain: Value) -> Value | None:
    """The cotangent of the operand of a max pooling; None where it is none of this kind."""
    x, dy, given = told.x, told.dy, told.attributes
    if x not in b or dy not in b or x.rank != 4 or not x.type.is_fixed(2, 3) or not dy.type.is_fixed(2, 3):
        return None
    if given.get("auto_pad", "NOTSET") != "NOTSET" or max(given.get("dilations") or [1]) > 1 or given.get("ceil_mode"):
        return None
    taps, strides = given["kernel_shape"], given.get("strides") or [1, 1]
    if any(stride > tap for stride, tap in zip(strides, taps, strict=True)) or np.prod(taps) > MOST:
        return None
    sides = zip(taps, strides, given.get("pads") or [0] * 4, x.shape[2:], dy.shape[2:], strict=False)
    rows, columns = (Axis(*side) for side in sides)
    parts: dict[tuple[int, int], list[tuple[int, int, Value]]] = {}
    for row, column, got in shares(b, told, rows, columns):
        phase = parts.setdefault((rows.phase(row), columns.phase(column)), [])
        phase.append((rows.start(row) - rows.first, columns.start(column) - columns.first, got))
    return together(b, parts, rows, columns, plain)


def shares(b: Blocks, told: GradientOf, rows: Axis, columns: Axis) -> list[tuple[int, int, Value]]:
    """What each tap of all windows gets of the cotangent, in row-major order."""
    g, image, rest = b.g, b.into(told.x), b.into(told.dy)
    given: dict[str, Any] = {name: value for name, value in told.attributes.items() if value is not None}
    greatest = g.Neg(g.custom("MaxPool", DOMAIN, [image], rest.type, **given))
    step: dict[str, Any] = {"group": image.shape[1], "activation": "HardSigmoid", "activation_params": [1e38, 1.0]}
    step.update((name, given[name]) for name in ("kernel_shape", "strides", "pads") if name in given)
    found = []
    places = list(product(range(rows.taps), range(columns.taps)))
    for row, column in places[:-1]:
        taps = np.arange(rows.taps * columns.taps) == row * columns.taps + column
        one = np.tile(np.repeat(taps, b.block), image.shape[1] // b.block)
        filters = g.const(one.reshape(image.shape[1], 1, rows.taps, columns.taps), image.dtype)
        operands = [image, filters, None, greatest]
        is_most = g.custom("Conv", DOMAIN, operands, rest.type, **step)
        inside = np.logical_and.outer(rows.inside(row), columns.inside(column))
        if not inside.all():  # the convolution pads with zeros, which may be more than the maximum
            flat = (*rest.shape[:1], rest.shape[1] // b.block, inside.size * b.block)
            pattern = np.repeat(inside.ravel(), b.block).astype(np.float32)
            is_most = g.reshape(g.Mul(g.reshape(is_most, flat), pattern), rest.shape)
        got = g.Mul(rest, is_most)
        rest = g.Sub(rest, got)
        found.append((row, column, got))
    return [*found, (*places[-1], rest)]


def together(
    b: Blocks, parts: dict[tuple[int, int], list[tuple[int, int, Value]]], rows: Axis, columns: Axis, plain: Value
) -> Value:
    """The image of what is to be added at places of each phase, by phase."""
    batch, channels, *_ = b.filled(plain.type).shape
    part = plain.type.with_shape((*plain.shape[:2], rows.extent, columns.extent))
    ones = b.g.const(np.ones((channels, 1, 1, 1)), plain.dtype)
    lines = []
    for row in range(rows.stride):
        phases = []
        for column in range(columns.stride):
            total: Value | None = None
            for down, right, got in parts[row, column]:
                pads = [down, right, rows.extent - rows.windows - down, columns.extent - columns.windows - right]
                around = {"group": channels, "kernel_shape": [1, 1], "pads": pads}
                total = b.into(b.convolved(Recipe(got, ones, around, added=total), part))
            assert total is not None
            phases.append(total)
        lines.append(beside(b, phases, (batch, channels // b.block, rows.extent, columns.extent, b.block)))
    high, wide = rows.extent * rows.stride, columns.extent * columns.stride
    whole = beside(b, lines, (batch, channels // b.block, rows.extent, wide * b.block))
    above, left = -rows.first * rows.stride, -columns.first * columns.stride
    image = b.g.reshape(whole, (batch, channels // b.block, high, wide, b.block))
    if above or left:
        image = b.g.Slice(image, [above, left], [high, wide], [2, 3])
    return trimmed(b, b.g.reshape(image, (batch, channels, high - above, wide - left)), plain)
