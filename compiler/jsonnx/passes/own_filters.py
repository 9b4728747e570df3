"""The gradient of a depthwise convolution's weights by blocks of channels.

Every channel has a filter of its own, so no matrix product sums for many of them at once. But a depthwise convolution
with the cotangent as its filter, as large as the image, gives the weights' gradient of one sample. A Scan takes samples
one by one, as the filters are each sample's own; that costs 2 us a sample.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Builder, Value, WindowGradient
from ..types import Dim
from .blocks import DOMAIN, Blocks


def own_filters(b: Blocks, told: WindowGradient, weights: Value) -> Value | None:
    """The gradient of weights [channels, 1, height, width]; None where it is not of this kind."""
    x, dy = told.x, told.dy
    channels = told.attributes["group"]
    if (
        x not in b
        or dy not in b
        or not b.is_whole(x)
        or not channels == x.shape[1] == dy.shape[1]
        or told.attributes["auto_pad"]
    ):
        return None
    if not x.type.is_fixed(2, 3) or not dy.type.is_fixed(2, 3):
        return None
    place = _place(told, weights)
    shape = (1, channels, *_extents(told, place))

    def step(g: Builder, _: Sequence[Value], sample: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        image, filters = sample
        operands = [g.reshape(image, (1, *image.shape)), g.reshape(filters, (channels, 1, *filters.shape[1:]))]
        return [], [g.custom("Conv", DOMAIN, operands, x.type.with_shape(shape), **place)]

    _, (met,) = b.g.loop(step, [], [b.into(x), b.into(dy)], most=0)
    plain = b.out_of(b.g.ReduceSum(met, [0], keepdims=0), x.type.with_shape(shape))
    if shape[2:] != weights.shape[2:]:  # what a stride leaves over behind the last window has room for more
        plain = b.g.Slice(plain, [0, 0], list(weights.shape[2:]), [2, 3])
    return b.g.reshape(plain, weights.shape)


def _place(told: WindowGradient, weights: Value) -> dict[str, list[int] | int]:
    """How the cotangent moves over the image: strides and dilations change places."""
    strides, dilations, pads = (
        told.attributes[name] or [default] * count
        for name, default, count in (("strides", 1, 2), ("dilations", 1, 2), ("pads", 0, 4))
    )
    sides = zip(told.x.shape[2:], told.dy.shape[2:], weights.shape[2:], strides, dilations, pads, strict=False)
    after = [max(0, (taps - 1) * gap + stride * (m - 1) + 1 - n - front) for n, m, taps, stride, gap, front in sides]
    kernel = list(told.dy.shape[2:])
    group: int = told.attributes["group"]
    moves = {"strides": dilations, "dilations": strides, "pads": [*pads[:2], *after]}
    return {"group": group, "kernel_shape": kernel, **moves}


def _extents(told: WindowGradient, place: dict[str, list[int] | int]) -> list[Dim]:
    """Rows and columns of what comes out."""
    pads, strides, dilations = place["pads"], place["strides"], place["dilations"]
    assert isinstance(pads, list)
    assert isinstance(strides, list)
    assert isinstance(dilations, list)
    sides = zip(told.x.shape[2:], told.dy.shape[2:], strides, dilations, pads, pads[2:], strict=False)
    return [(n + front + back - gap * (m - 1) - 1) // stride + 1 for n, m, stride, gap, front, back in sides]
