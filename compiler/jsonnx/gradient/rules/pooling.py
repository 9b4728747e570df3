"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir import GradientInfo, tensor_proto
from ..registry import Builder, GradientBuilder, Node, Value, vjp
from .convolution import Window, conv_input_gradient
from .elementwise import is_nonnegative
from .reductions import distribute_among_ties, element_count, expand_to_shape_of


@vjp("MaxPool")
def max_pool(g: Builder, node: Node, dy: Value, _: None = None):
    """y = max over a window of x, so dy is added to the first maximum of the window in row-major order."""
    x, window = node.inputs[0], Window.of(node)
    if window.is_tiling and x.type.is_static(*range(2, x.rank)):
        dx = tiled_max_pool_gradient(g, x, node.outputs[0], dy, window)
    else:
        dx = scattered_max_pool_gradient(g, x, dy, window)
    g.gradients[dx] = GradientInfo("MaxPool", x, dy, node.attributes)
    return dx


def scattered_max_pool_gradient(g: Builder, x: Value, dy: Value, window: Window) -> Value:
    """The gradient of a MaxPool for any window: adds dy at the flat indices of the maxima."""
    _, indices = g.MaxPool(x, outputs=2, **window.attributes())
    zero = tensor_proto(np.zeros(1, x.dtype))
    zeros = g.ConstantOfShape(g.Reshape(g.Size(x), [1]), value=zero)
    dx = g.ScatterElements(zeros, g.Reshape(indices, [-1]), g.Reshape(dy, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(dx, g.Shape(x)), x.shape)


def tiled_max_pool_gradient(g: Builder, x: Value, y: Value, dy: Value, window: Window) -> Value:
    """The gradient of a MaxPool whose windows tile the image, without scattering: dx = dy where x is the first maximum.

    The maxima of a window are marked with numbers that decrease along it; the first maximum has the largest mark.
    """
    tile = window.size
    tiled_sizes = [size * count for size, count in zip(tile, y.shape[2:], strict=True)]
    x_tiled = shift_and_crop(g, x, window.pads_begin, tiled_sizes, -np.inf)
    x_folded = fold_depth_into_channels(g, x_tiled, tile[0])
    y, dy = fold_depth_into_channels(g, y, 1), fold_depth_into_channels(g, dy, 1)
    coordinates = np.indices(x_folded.shape[2:]) % np.reshape(tile, (-1, *[1] * len(tile)))
    decreasing = window.taps - np.ravel_multi_index(tuple(coordinates), tuple(tile))
    marks = g.Mul(equals_maximum(g, x_folded, upsample_folded_depth(g, y, tile)), decreasing.astype(x.dtype))
    largest = upsample_folded_depth(g, g.MaxPool(marks, kernel_shape=tile, strides=window.strides), tile)
    is_first = equals_maximum(g, marks, largest)
    dx = g.reshape(g.Mul(is_first, upsample_folded_depth(g, dy, tile)), x_tiled.shape, x_tiled)
    return shift_and_crop(g, dx, [-n for n in window.pads_begin], x.shape[2:])


def equals_maximum(g: Builder, x: Value, maximum: Value) -> Value:
    """1 where x, which is nowhere above the maximum, equals it, else 0. Faster in onnxruntime than Equal and Cast."""
    return is_nonnegative(g, g.Sub(x, maximum))


@vjp("AveragePool")
def average_pool(g: GradientBuilder, node: Node, dy: Value):
    """y = sum(window) / n, so dx is the sum of dy / n over the windows that contain x."""
    x, window = node.inputs[0], Window.of(node)
    g.refine(dy, node.outputs[0].shape)
    share = g.Div(dy, averaged_elements(g, node, window))
    if window.is_tiling and x.type.is_static(*range(2, x.rank)):
        return shift_and_crop(g, upsample_nearest(g, share, window.size), [-n for n in window.pads_begin], x.shape[2:])
    if isinstance(x.shape[1], int):
        ones = g.const(np.ones((x.shape[1], 1, *window.size)), x.dtype)
        return conv_input_gradient(g, share, ones, window, x, x.shape[1])
    images, shares = (g.reshape(v, (v.shape[0] * v.shape[1], 1, *v.shape[2:])) for v in (x, share))  # one channel each
    dx = conv_input_gradient(g, shares, g.const(np.ones((1, 1, *window.size)), x.dtype), window, images, 1)
    return g.refine(g.Reshape(dx, g.Shape(x)), x.shape)


@vjp("GlobalAveragePool")
def global_average_pool(g: Builder, node: Node, dy: Value):
    """y = sum(x) / n, so dx = dy / n."""
    x = node.inputs[0]
    return expand_to_shape_of(g, g.Div(dy, element_count(g, x, list(range(2, x.rank)))), x)


@vjp("GlobalMaxPool")
def global_max_pool(g: Builder, node: Node, dy: Value):
    """y = max(x), so equal maxima get equal parts of dy, as for ReduceMax."""
    return distribute_among_ties(g, node.inputs[0], node.outputs[0], dy, list(range(2, dy.rank)))


def averaged_elements(g: Builder, node: Node, window: Window) -> Value | np.ndarray | float:
    """The number of elements that the average of a window counts: the same for all windows, or [1, 1, *counts]."""
    x = node.inputs[0]
    if not node.attribute("count_include_pad", 0):
        return unpadded_window_sizes(g, x, window) if window.is_padded else float(window.taps)
    counted = list(node.attribute("pads", [0] * len(window.pads)))
    if window.auto_pad or counted == window.pads:
        return float(window.taps)
    begin, end = counted[: len(window.size)], counted[len(window.size) :]
    axes = zip(x.shape[2:], begin, end, node.outputs[0].shape[2:], *window[:3], strict=True)
    counts: np.ndarray = np.ones(())
    for size, before, after, count, taps, stride, dilation in axes:
        positions = np.arange(count)[:, None] * stride + np.arange(taps) * dilation
        counts = np.multiply.outer(counts, (positions < size + before + after).sum(axis=1))
    return counts[None, None].astype(x.dtype)


def unpadded_window_sizes(g: Builder, x: Value, window: Window) -> Value:
    """The number of elements of every window that are not padding, [1, 1, *counts]."""
    shape = (1, 1, *x.shape[2:])
    image = g.refine(g.Expand(g.const([1.0], x.dtype), g.sizes(shape, x)), shape)
    return g.Conv(image, np.ones((1, 1, *window.size), x.dtype), **window.attributes())


# -- tiles ------------------------------------------------------------------------------------------------------------


def fold_depth_into_channels(g: Builder, x: Value, depth: int) -> Value:
    """Volumes as slabs of a depth, with more channels; tiles of that depth stay the same. Images are unchanged."""
    if x.rank < 5:
        return x
    batch, channels, planes, *size = x.shape
    return g.reshape(x, (batch, channels * (planes // depth), depth, *size), x)


def upsample_nearest(g: Builder, y: Value, tile: list[int]) -> Value:
    """Repeats every element of y over a tile of that size."""
    sizes = [size * factor for size, factor in zip(tile, y.shape[2:], strict=True)]
    tiles = upsample_folded_depth(g, fold_depth_into_channels(g, y, 1), tile)
    if y.rank == 5:
        slab_shape = (*tiles.shape[:2], tile[0], *sizes[1:])
        tiles = g.refine(g.Expand(tiles, g.const([1, 1, tile[0], 1, 1], "int64")), slab_shape)
    return g.reshape(tiles, (*y.shape[:2], *sizes), y)


def upsample_folded_depth(g: Builder, y: Value, tile: list[int]) -> Value:
    """`upsample_nearest` for slabs of depth one, which keep it: broadcasting repeats them over the depth of the tile.

    So that Resize gets four axes; with five, onnxruntime takes a much slower path.
    """
    flat = g.reshape(y, (*y.shape[:2], *y.shape[3:]), y) if y.rank == 5 else y
    factors = tile[2 - flat.rank :]
    sizes = [size * factor for size, factor in zip(factors, flat.shape[2:], strict=True)]
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    resized = g.Resize(flat, None, np.array([1, 1, *factors], np.float32), **nearest)
    resized = g.refine(resized, (*flat.shape[:2], *sizes))
    return g.reshape(resized, (*resized.shape[:2], 1, *sizes), resized) if y.rank == 5 else resized


def shift_and_crop(g: Builder, x: Value, offsets: Sequence[int], sizes: Sequence[int], fill: float = 0.0) -> Value:
    """Shifts x along its spatial axes inside a frame of the given sizes: crops elements outside, fills empty places."""
    after = [size - n - offset for size, n, offset in zip(sizes, x.shape[2:], offsets, strict=True)]
    if any(size > 0 for size in (*offsets, *after)):
        x = g.Pad(x, [0, 0, *(max(n, 0) for n in offsets), 0, 0, *(max(n, 0) for n in after)], fill)
    if any(size < 0 for size in (*offsets, *after)):
        starts = [max(-offset, 0) for offset in offsets]
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        x = g.Slice(x, starts, ends, list(range(2, x.rank)))
    return x
