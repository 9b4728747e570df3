"""Convolution and pooling: everything that moves a window over spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as choices
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...core.types import Dim, Size, product
from ...ir import GradientInfo, tensor_proto
from ..registry import Builder, Node, Value, vjp
from .matmul import transpose_last_axes
from .reductions import distribute_among_ties, element_count, expand_to_shape_of

MAX_BATCHED_WINDOWS = 64
"""Windows a sample up to which the gradient of the weights is one product over the whole batch."""

MAX_IM2COL_CHANNELS = 15
"""Channels or filters up to which one convolution over the batch is not faster than columns."""

MAX_ROW_PRODUCT_WIDTH = 32
"""Width up to which the gradient of one filter a channel is a product of whole rows, at 28 in a third of the time."""


class Window(NamedTuple):
    """Where an operator looks: size, distances and padding on every spatial axis."""

    size: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[int]
    auto_pad: str | None

    @staticmethod
    def of(node: Node) -> Window:
        if node.attribute("ceil_mode", 0):
            raise NotImplementedError(f"{node.op} with ceil_mode")
        size = list(node.attribute("kernel_shape") or node.inputs[1].shape[2:])
        ones, auto_pad = [1] * len(size), node.attribute("auto_pad", "NOTSET")
        return Window(
            size,
            list(node.attribute("strides", ones)),
            list(node.attribute("dilations", ones)),
            list(node.attribute("pads", [0] * 2 * len(size))),
            auto_pad if auto_pad.startswith("SAME") else None,
        )

    @property
    def taps(self) -> int:
        return prod(self.size)

    @property
    def dilated_size(self) -> list[int]:
        """How far the window reaches along every axis, its gaps included."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.size, self.dilations, strict=True)]

    @property
    def pads_begin(self) -> list[int]:
        return self.pads[: len(self.size)]

    @property
    def is_padded(self) -> bool:
        return bool(any(self.pads) or self.auto_pad)

    @property
    def is_tiling(self) -> bool:
        """Whether windows touch, without overlap or gap, and it is known where."""
        return self.size == self.strides == self.dilated_size and not self.auto_pad

    def attributes(self, *names: str) -> dict[str, Any]:
        """Those that say something, of these names or of all that place a window."""
        ones = [1] * len(self.size)
        given = {
            "kernel_shape": self.size,
            "strides": self.strides if self.strides != ones else None,
            "dilations": self.dilations if self.dilations != ones else None,
            "pads": self.pads if any(self.pads) else None,
            "auto_pad": self.auto_pad,
        }
        return {name: given[name] for name in names or given}


# -- convolution ------------------------------------------------------------------------------------------------------


@vjp("Conv")
def conv(g: Builder, node: Node, dy: Value):
    """y = x * w + b, so dx is the transposed convolution of dy with w."""
    x, w = node.inputs[:2]
    window, group = Window.of(node), node.attribute("group", 1)
    g.refine(dy, node.outputs[0].shape)
    return (
        conv_input_gradient(g, dy, w, window, x, group),
        conv_weight_gradient(g, x, dy, w, window, group),
        channel_sums(g, dy),
    )


@vjp("ConvTranspose")
def conv_transpose(g: Builder, node: Node, dy: Value):
    """y is the gradient of a convolution of y that gives x: x and y change places."""
    x, w = node.inputs[:2]
    if node.attribute("output_shape") or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        raise NotImplementedError("ConvTranspose with output_shape or auto_pad")
    window, group = Window.of(node), node.attribute("group", 1)
    g.refine(dy, node.outputs[0].shape)
    dx = g.refine(g.Conv(dy, w, group=group, **window.attributes()), x.shape)
    return dx, conv_weight_gradient(g, dy, x, w, window, group), channel_sums(g, dy)


def channel_sums(g: Builder, dy: Value) -> Value:
    return g.ReduceSum(dy, [0, *range(2, dy.rank)], keepdims=0)


def conv_input_gradient(g: Builder, dy: Value, weight: Value, window: Window, x: Value, group: int) -> Value:
    """The transpose of a convolution: what every window got goes back to the elements of x that it covered."""
    after = window.pads[len(window.size) :]
    axes = zip(x.shape[2:], dy.shape[2:], window.strides, window.dilated_size, window.pads_begin, after, strict=True)
    # What a stride leaves over behind the last window; ConvTranspose cannot know it.
    rest = [0 if s == 1 else n + front + back - span - s * (m - 1) for n, m, s, span, front, back in axes]
    if window.auto_pad or any(isinstance(size, Size) for size in rest):
        return dynamic_input_gradient(g, dy, weight, window, x, group)
    if group == 1 and x.rank == 5 and max(window.strides) == 1 and weight.shape[0] <= weight.shape[1]:
        return input_gradient_as_conv(g, dy, weight, window, x)
    given = window.attributes("strides", "dilations", "pads")
    dx = g.ConvTranspose(dy, weight, group=group, output_padding=rest if any(rest) else None, **given)
    return g.refine(dx, x.shape)


def input_gradient_as_conv(g: Builder, dy: Value, weight: Value, window: Window, x: Value) -> Value:
    """`conv_input_gradient` as a convolution of dy with the windows turned round, which onnxruntime does with all threads.

    For volumes it takes half the time, unless filters are more than channels: then its columns are the longer ones.
    """
    axes = list(range(2, x.rank))
    ends = [-size - 1 for size in window.size]
    turned = g.Slice(g.Transpose(weight, perm=[1, 0, *axes]), [-1] * len(axes), ends, axes, [-1] * len(axes))
    pads = [span - 1 - pad for span, pad in zip(window.dilated_size * 2, window.pads, strict=True)]
    most = g.Conv(dy, turned, pads=[max(0, pad) for pad in pads], **window.attributes("dilations"))
    if min(pads) < 0:  # of what lies in the padding alone nobody asks
        starts = [max(0, -pad) for pad in pads[: len(axes)]]
        most = g.Slice(most, starts, g.Add(starts, g.Shape(x, start=2)), axes)
    return g.refine(most, x.shape)


def dynamic_input_gradient(g: Builder, dy: Value, weight: Value, window: Window, x: Value, group: int) -> Value:
    """`conv_input_gradient` where symbolic sizes hide how much is padding: over more than x, of which x's place is cut out."""
    longest_rest = [stride - 1 for stride in window.strides]
    given = window.attributes("strides", "dilations")
    wide = g.ConvTranspose(dy, weight, group=group, output_padding=longest_rest, **given)
    sizes = g.Shape(x, start=2)
    start: Value = g.const(window.pads_begin, "int64")
    if window.auto_pad:
        covered = g.Add(g.Mul(g.Sub(g.Shape(dy, start=2), 1), window.strides), window.dilated_size)
        total = g.Max(g.Sub(covered, sizes), 0)
        start = g.Div(total if window.auto_pad == "SAME_UPPER" else g.Add(total, 1), 2)
    return g.refine(g.Slice(wide, start, g.Add(start, sizes), list(range(2, x.rank))), x.shape)


def conv_weight_gradient(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """dw = columns of x times dy transposed, summed over the batch."""
    dw = fastest_weight_gradient(g, x, dy, w, window, group)
    g.gradients[dw] = GradientInfo("Conv", x, dy, {"group": group, **window.attributes()})
    return dw


def fastest_weight_gradient(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """`conv_weight_gradient` in the form that is fastest for these sizes.

    Columns are [N, group, C / group * taps, P], dy [N, group, M / group, P]. In onnxruntime one product a sample is the
    faster for many places P, and one product over all samples (by a half) for few.
    """
    known = x.type.is_static(*range(2, x.rank)) and not window.auto_pad
    if known and group == x.shape[1] == dy.shape[1] and x.type.static_size(-1) <= MAX_ROW_PRODUCT_WIDTH:
        return depthwise_weight_gradient(g, x, dy, w, window)
    wide = group == 1 and min(w.shape[:2]) > MAX_IM2COL_CHANNELS
    if known and wide and x.rank <= 4 and window.taps > 1 and max(window.strides) == 1:
        return weight_gradient_as_conv(g, x, dy, w, window)
    batch, filters, places = dy.shape[0], dy.shape[1], product(dy.shape[2:])
    rows = w.shape[1] * window.taps
    columns = g.reshape(im2col(g, x, window, dy.shape[2:]), (batch, group, rows, places))
    if isinstance(places, int) and places <= MAX_BATCHED_WINDOWS:
        columns = g.reshape(g.Transpose(columns, perm=[1, 2, 0, 3]), (group, rows, batch * places))
        last = g.Transpose(dy, perm=[0, *range(2, dy.rank), 1])  # of a single group no more needs to be done
        last = g.Transpose(g.reshape(last, (batch * places, group, filters // group)), perm=[1, 0, 2])
        dw = g.MatMul(columns, last)
    else:
        dy = g.reshape(dy, (batch, group, filters // group, places))
        dw = g.ReduceSum(g.MatMul(columns, transpose_last_axes(g, dy)), [0], keepdims=0)
    return g.reshape(transpose_last_axes(g, dw), w.shape)


def weight_gradient_as_conv(g: Builder, x: Value, dy: Value, w: Value, window: Window) -> Value:
    """`conv_weight_gradient` as one convolution, which sums over samples and places inside its product and writes no columns.

    The samples are its channels; x is the image, its own channels one more spatial axis, and dy the filters, as large
    as an image, which stand at as many places as there are taps. So strides and dilations change places.
    """
    axes = range(2, x.rank)
    image = g.Unsqueeze(g.Transpose(x, perm=[0, *axes, 1]), [0])
    filters = g.Unsqueeze(g.Transpose(dy, perm=[1, 0, *axes]), [-1])
    sides = zip(x.shape[2:], dy.shape[2:], window.strides, window.dilated_size, window.pads_begin, strict=True)
    after = [max(0, span + stride * (count - 1) - size - front) for size, count, stride, span, front in sides]
    place = {
        "strides": [*window.dilations, 1],
        "dilations": [*window.strides, 1],
        "pads": [*window.pads_begin, 0, *after, 0],
    }
    met = g.Squeeze(g.Conv(image, filters, **place), [0])
    if met.shape[1:-1] != tuple(window.size):  # what a stride leaves over behind the last window has room for more
        met = g.Slice(met, [0] * len(axes), window.size, list(range(1, len(axes) + 1)))
    return g.refine(g.Transpose(met, perm=[0, len(axes) + 1, *range(1, len(axes) + 1)]), w.shape)


def depthwise_weight_gradient(g: Builder, x: Value, dy: Value, w: Value, window: Window) -> Value:
    """`conv_weight_gradient` where every channel has one filter of its own, which leaves no matrix to a single place.

    One product for each row of the kernel, over the batch and all rows of the image, tells for every column of x and
    every one of dy how much they met; the weights are the sums over the columns that belong together.
    """
    lead, batch, channels = x.rank - 3, x.shape[0], x.shape[1]
    width, counts = x.type.static_size(-1), dy.shape[2:]
    perm, axes = [1, 0, *range(2, x.rank)], list(range(2, x.rank - 1))
    before, after = window.pads_begin[:lead], window.pads[lead + 1 : 2 * lead + 1]
    if any((*before, *after)):
        x = g.Pad(x, [0, 0, *before, 0, 0, 0, *after, 0])
    x = g.Transpose(x, perm=perm)
    rows = batch * product(counts[:-1])
    dy = g.reshape(g.Transpose(dy, perm=perm), (channels, rows, counts[-1]))
    met = []
    for tap in choices(*map(range, window.size[:-1])):
        starts = [index * gap for index, gap in zip(tap, window.dilations, strict=False)]
        ends = [a + (m - 1) * s + 1 for a, m, s in zip(starts, counts, window.strides, strict=False)]
        seen = g.Slice(x, starts, ends, axes, window.strides[:lead]) if lead else x
        together = g.MatMul(transpose_last_axes(g, g.reshape(seen, (channels, rows, width))), dy)
        met.append(g.reshape(together, (channels, 1, width * counts[-1])))
    place = np.arange(counts[-1])[:, None] * window.strides[-1] - window.pads_begin[-1]
    belong = np.arange(width)[:, None, None] == place + np.arange(window.size[-1]) * window.dilations[-1]
    belonging = belong.reshape(-1, window.size[-1]).astype(x.dtype)
    return g.reshape(g.MatMul(g.Concat(*met, axis=1), belonging), w.shape)


def im2col(g: Builder, x: Value, window: Window, counts: tuple[Dim, ...]) -> Value:
    """Every element of every window, as [N, C * taps, *counts]: a convolution whose kernel is the identity.

    Each channel by itself meets `taps` filters, each of which is one at one place and zero elsewhere.
    """
    if window.taps == 1 and window.is_tiling and not window.is_padded:
        return x
    channels = x.shape[1]
    identity = np.eye(window.taps).reshape(window.taps, 1, *window.size)
    kernel = g.const(np.tile(identity, (channels, *[1] * (x.rank - 1))), x.dtype)
    columns = g.Conv(x, kernel, group=channels, **window.attributes())
    return g.refine(columns, (x.shape[0], channels * window.taps, *counts))


# -- pooling ----------------------------------------------------------------------------------------------------------


@vjp("MaxPool")
def max_pool(g: Builder, node: Node, dy: Value, _: None = None):
    """What a window got goes to its first maximum in row-major order."""
    x, window = node.inputs[0], Window.of(node)
    if window.is_tiling and x.type.is_static(*range(2, x.rank)):
        dx = tiled_max_pool_gradient(g, x, node.outputs[0], dy, window)
        g.gradients[dx] = GradientInfo("MaxPool", x, dy, node.attributes)
        return dx
    _, places = g.MaxPool(x, outputs=2, **window.attributes())
    zero = tensor_proto(np.zeros(1, x.dtype))
    nothing = g.ConstantOfShape(g.Reshape(g.Size(x), [1]), value=zero)
    dx = g.ScatterElements(nothing, g.Reshape(places, [-1]), g.Reshape(dy, [-1]), axis=0, reduction="add")
    dx = g.refine(g.Reshape(dx, g.Shape(x)), x.shape)
    g.gradients[dx] = GradientInfo("MaxPool", x, dy, node.attributes)
    return dx


def tiled_max_pool_gradient(g: Builder, x: Value, y: Value, dy: Value, window: Window) -> Value:
    """`max_pool` where windows tile the image, without Indices and ScatterElements: half their time in onnxruntime.

    Maxima are marked with numbers that fall along the window, so that only the first bears the window's greatest.
    """
    tile = window.size
    tiled = [size * m for size, m in zip(tile, y.shape[2:], strict=True)]
    x_tiled = shift_and_crop(g, x, window.pads_begin, tiled, -np.inf)
    parts, y, dy = (
        fold_depth_into_channels(g, x_tiled, tile[0]),
        fold_depth_into_channels(g, y, 1),
        fold_depth_into_channels(g, dy, 1),
    )
    coordinates = np.indices(parts.shape[2:]) % np.reshape(tile, (-1, *[1] * len(tile)))
    falling = window.taps - np.ravel_multi_index(tuple(coordinates), tuple(tile))
    marks = g.Mul(equals_maximum(g, parts, upsample_folded_depth(g, y, tile)), falling.astype(x.dtype))
    greatest = upsample_folded_depth(g, g.MaxPool(marks, kernel_shape=tile, strides=window.strides), tile)
    first = equals_maximum(g, marks, greatest)
    dx = g.reshape(g.Mul(first, upsample_folded_depth(g, dy, tile)), x_tiled.shape, x_tiled)
    return shift_and_crop(g, dx, [-n for n in window.pads_begin], x.shape[2:])


def equals_maximum(g: Builder, x: Value, maximum: Value) -> Value:
    """1 where x, which is nowhere more, is as much, else 0: three quarters of the time of Equal and Cast."""
    return g.HardSigmoid(g.Sub(x, maximum), alpha=1e38, beta=1.0)


@vjp("AveragePool")
def average_pool(g: Builder, node: Node, dy: Value):
    """Every element of a window gets its share: dy / the number of elements that counted."""
    x, window = node.inputs[0], Window.of(node)
    g.refine(dy, node.outputs[0].shape)
    all_count = node.attribute("count_include_pad", 0) or not window.is_padded
    share = g.Div(dy, float(window.taps) if all_count else unpadded_window_sizes(g, x, window))
    if window.is_tiling and x.type.is_static(*range(2, x.rank)):
        return shift_and_crop(g, upsample_nearest(g, share, window.size), [-n for n in window.pads_begin], x.shape[2:])
    if isinstance(x.shape[1], int):
        ones = g.const(np.ones((x.shape[1], 1, *window.size)), x.dtype)
        return conv_input_gradient(g, share, ones, window, x, x.shape[1])
    images, shares = (g.reshape(v, (v.shape[0] * v.shape[1], 1, *v.shape[2:])) for v in (x, share))  # a channel each
    dx = conv_input_gradient(g, shares, g.const(np.ones((1, 1, *window.size)), x.dtype), window, images, 1)
    return g.refine(g.Reshape(dx, g.Shape(x)), x.shape)


@vjp("GlobalAveragePool")
def global_average_pool(g: Builder, node: Node, dy: Value):
    x = node.inputs[0]
    return expand_to_shape_of(g, g.Div(dy, element_count(g, x, list(range(2, x.rank)))), x)


@vjp("GlobalMaxPool")
def global_max_pool(g: Builder, node: Node, dy: Value):
    """Equal maxima share, as in ReduceMax."""
    return distribute_among_ties(g, node.inputs[0], node.outputs[0], dy, list(range(2, dy.rank)))


def unpadded_window_sizes(g: Builder, x: Value, window: Window) -> Value:
    """How many elements of every window are not padding, as [1, 1, *counts]."""
    shape = (1, 1, *x.shape[2:])
    image = g.refine(g.Expand(g.const([1.0], x.dtype), g.sizes(shape, x)), shape)
    return g.Conv(image, np.ones((1, 1, *window.size), x.dtype), **window.attributes())


def fold_depth_into_channels(g: Builder, x: Value, depth: int) -> Value:
    """Volumes as more channels, each of this depth; to tiles as deep it is all the same. Others as they are."""
    if x.rank < 5:
        return x
    batch, channels, planes, *size = x.shape
    return g.reshape(x, (batch, channels * (planes // depth), depth, *size), x)


def upsample_nearest(g: Builder, y: Value, tile: list[int]) -> Value:
    """Every element of y as a tile of that size."""
    sizes = [size * m for size, m in zip(tile, y.shape[2:], strict=True)]
    tiles = upsample_folded_depth(g, fold_depth_into_channels(g, y, 1), tile)
    if y.rank == 5:
        deep = (*tiles.shape[:2], tile[0], *sizes[1:])
        tiles = g.refine(g.Expand(tiles, g.const([1, 1, tile[0], 1, 1], "int64")), deep)
    return g.reshape(tiles, (*y.shape[:2], *sizes), y)


def upsample_folded_depth(g: Builder, y: Value, tile: list[int]) -> Value:
    """`upsample_nearest` for what stands beside values of that size: slabs stay one deep, and are as deep as these then.

    A Resize of five axes takes onnxruntime seventeen times as long as one of four.
    """
    flat = g.reshape(y, (*y.shape[:2], *y.shape[3:]), y) if y.rank == 5 else y
    factors = tile[2 - flat.rank :]
    sizes = [size * m for size, m in zip(factors, flat.shape[2:], strict=True)]
    near = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    wide = g.Resize(flat, None, np.array([1, 1, *factors], np.float32), **near)
    wide = g.refine(wide, (*flat.shape[:2], *sizes))
    return g.reshape(wide, (*wide.shape[:2], 1, *sizes), wide) if y.rank == 5 else wide


def shift_and_crop(g: Builder, x: Value, offsets: Sequence[int], sizes: Sequence[int], fill: float = 0.0) -> Value:
    """x moved along its spatial axes, inside a frame: what leaves it is cut off, what it does not cover is filled."""
    behind = [size - n - shift for size, n, shift in zip(sizes, x.shape[2:], offsets, strict=True)]
    if any(size > 0 for size in (*offsets, *behind)):
        x = g.Pad(x, [0, 0, *(max(n, 0) for n in offsets), 0, 0, *(max(n, 0) for n in behind)], fill)
    if any(size < 0 for size in (*offsets, *behind)):
        starts = [max(-shift, 0) for shift in offsets]
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        x = g.Slice(x, starts, ends, list(range(2, x.rank)))
    return x
