"""Convolutions. A window moves over the spatial axes; `Window` describes it for pooling, too."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product as index_tuples
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...core.types import Dim, Size, product
from ...ir import GradientInfo
from ..registry import Builder, GradientBuilder, Node, Value, vjp
from ..tuning import GradientTuning
from .matmul import transpose_last_axes


class Window(NamedTuple):
    """The window of an operator: size, strides, dilations and padding of every spatial axis."""

    size: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[int]
    auto_pad: str | None

    @staticmethod
    def of(node: Node) -> Window:
        """The window of a node. With `ceil_mode`, the padding reaches to the end of the last window."""
        size = list(node.attribute("kernel_shape") or node.inputs[1].shape[2:])
        ones, auto_pad = [1] * len(size), node.attribute("auto_pad", "NOTSET")
        window = Window(
            size,
            list(node.attribute("strides", ones)),
            list(node.attribute("dilations", ones)),
            list(node.attribute("pads", [0] * 2 * len(size))),
            auto_pad if auto_pad.startswith("SAME") else None,
        )
        return window.padded_to_last(node) if node.attribute("ceil_mode", 0) and not window.auto_pad else window

    def padded_to_last(self, node: Node) -> Window:
        """The same windows, with padding up to the end of the last one."""
        sizes, counts = node.inputs[0].shape[2:], node.outputs[0].shape[2:]
        if not all(isinstance(size, int) for size in (*sizes, *counts)):
            raise NotImplementedError("with ceil_mode along symbolic axes")
        axes = zip(sizes, counts, self.strides, self.dilated_size, self.pads_begin, strict=True)
        needed = [(count - 1) * stride + extent - size - before for size, count, stride, extent, before in axes]
        return self._replace(pads=[*self.pads_begin, *map(max, self.pads_end, needed)])

    @property
    def taps(self) -> int:
        return prod(self.size)

    @property
    def dilated_size(self) -> list[int]:
        """The extent of the window along every axis, gaps included."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.size, self.dilations, strict=True)]

    @property
    def pads_begin(self) -> list[int]:
        return self.pads[: len(self.size)]

    @property
    def pads_end(self) -> list[int]:
        return self.pads[len(self.size) :]

    @property
    def is_padded(self) -> bool:
        return bool(any(self.pads) or self.auto_pad)

    @property
    def is_tiling(self) -> bool:
        """Whether windows at known positions touch without overlap or gap."""
        return self.size == self.strides == self.dilated_size and not self.auto_pad

    def attributes(self, *names: str) -> dict[str, Any]:
        """The operator attributes of these names (without names, of all), None where they have their default."""
        ones = [1] * len(self.size)
        values = {
            "kernel_shape": self.size,
            "strides": self.strides if self.strides != ones else None,
            "dilations": self.dilations if self.dilations != ones else None,
            "pads": self.pads if any(self.pads) else None,
            "auto_pad": self.auto_pad,
        }
        return {name: values[name] for name in names or values}


# -- convolution ------------------------------------------------------------------------------------------------------


@vjp("Conv")
def conv(g: GradientBuilder, node: Node, dy: Value):
    """y = x * w + b, so dx = conv_transpose(dy, w), dw = columns(x) @ dy^T and db = sum(dy)."""
    x, w = node.inputs[:2]
    window, group = Window.of(node), node.attribute("group", 1)
    g.refine(dy, node.outputs[0].shape)
    return (
        conv_input_gradient(g, dy, w, window, x, group),
        conv_weight_gradient(g, x, dy, w, window, group),
        channel_sums(g, dy),
    )


@vjp("ConvTranspose")
def conv_transpose(g: GradientBuilder, node: Node, dy: Value):
    """y = conv_transpose(x, w) + b, so dx = conv(dy, w), and dw is the weight gradient of a Conv with dy and x
    exchanged."""
    x, w = node.inputs[:2]
    if node.attribute("output_shape") or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        raise NotImplementedError("with output_shape or auto_pad")
    window, group = Window.of(node), node.attribute("group", 1)
    g.refine(dy, node.outputs[0].shape)
    dx = g.refine(g.Conv(dy, w, group=group, **window.attributes()), x.shape)
    return dx, conv_weight_gradient(g, dy, x, w, window, group), channel_sums(g, dy)


def channel_sums(g: Builder, dy: Value) -> Value:
    return g.ReduceSum(dy, [0, *range(2, dy.rank)], keepdims=0)


# -- the gradient of a convolution's input ----------------------------------------------------------------------------


def conv_input_gradient(g: GradientBuilder, dy: Value, weight: Value, window: Window, x: Value, group: int) -> Value:
    """dx = conv_transpose(dy, w): each window's cotangent, times the weights, is added to the elements it covers."""
    remainder = stride_remainders(x, dy, window)
    if window.auto_pad or any(isinstance(size, Size) for size in remainder):
        return dynamic_input_gradient(g, dy, weight, window, x, group)
    if convolves_input_gradient(x, weight, window, group, g.tuning):
        return input_gradient_as_conv(g, dy, weight, window, x)
    attributes = window.attributes("strides", "dilations", "pads")
    output_padding = remainder if any(remainder) else None
    return g.refine(g.ConvTranspose(dy, weight, group=group, output_padding=output_padding, **attributes), x.shape)


def stride_remainders(x: Value, dy: Value, window: Window) -> list[Dim]:
    """For each spatial axis, the elements after the last window; a ConvTranspose cannot infer them."""
    sizes = zip(x.shape[2:], window.pads_begin, window.pads_end, strict=True)
    padded_sizes = [size + before + after for size, before, after in sizes]
    axes = zip(padded_sizes, dy.shape[2:], window.strides, window.dilated_size, strict=True)
    return [0 if stride == 1 else size - extent - stride * (count - 1) for size, count, stride, extent in axes]


def convolves_input_gradient(x: Value, weight: Value, window: Window, group: int, tuning: GradientTuning) -> bool:
    """Whether `input_gradient_as_conv` computes the gradient: for volumes with no more filters than channels, whose
    im2col matrix is then no larger than ConvTranspose's."""
    is_plain_volume = x.rank == 5 and group == 1 and max(window.strides) == 1
    return tuning.convolves_volume_gradients and is_plain_volume and weight.shape[0] <= weight.shape[1]


def input_gradient_as_conv(g: Builder, dy: Value, weight: Value, window: Window, x: Value) -> Value:
    """dx = conv(dy, flipped w), with channels and filters of w exchanged and dy padded by the window's extent."""
    axes = list(range(2, x.rank))
    ends = [-size - 1 for size in window.size]
    flipped = g.Slice(g.Transpose(weight, perm=[1, 0, *axes]), [-1] * len(axes), ends, axes, [-1] * len(axes))
    pads = [extent - 1 - pad for extent, pad in zip(window.dilated_size * 2, window.pads, strict=True)]
    dx = g.Conv(dy, flipped, pads=[max(0, pad) for pad in pads], **window.attributes("dilations"))
    if min(pads) < 0:  # x was padded by more than the window's extent: crop
        starts = [max(0, -pad) for pad in pads[: len(axes)]]
        dx = g.Slice(dx, starts, g.Add(starts, g.Shape(x, start=2)), axes)
    return g.refine(dx, x.shape)


def dynamic_input_gradient(g: Builder, dy: Value, weight: Value, window: Window, x: Value, group: int) -> Value:
    """`conv_input_gradient` if symbolic sizes hide the amount of padding: computes the gradient of the padded x with
    the largest possible remainder, and slices x out of it."""
    largest_remainder = [stride - 1 for stride in window.strides]
    attributes = window.attributes("strides", "dilations")
    dpadded = g.ConvTranspose(dy, weight, group=group, output_padding=largest_remainder, **attributes)
    sizes = g.Shape(x, start=2)
    start: Value = g.const(window.pads_begin, "int64")
    if window.auto_pad:
        _, start = runtime_padding(g, x, dy, window)
    return g.refine(g.Slice(dpadded, start, g.Add(start, sizes), list(range(2, x.rank))), x.shape)


# -- the gradient of a convolution's weights --------------------------------------------------------------------------

MAX_ROW_PRODUCTS = 256
"""Matrix products of `depthwise_weight_gradient`, one for each row of the window."""

MAX_IM2COL_KERNEL_ELEMENTS = 1 << 24
"""Elements of the kernel of `im2col`, a constant of the graph, whose size grows with the square of the window's."""

WeightGradient = Callable[[Builder, Value, Value, Value, Window, int], Value]
"""`formula(g, x, dy, w, window, group)`: dw, in the shape of w."""


def conv_weight_gradient(g: GradientBuilder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """dw[m, c, tap] = sum over samples and windows p of dy[m, p] * x[c, p * stride + tap * dilation]."""
    formula = weight_gradient_formula(x, dy, w, window, group, g.tuning)
    dw = formula(g, x, dy, w, window, group)
    g.gradients[dw] = GradientInfo("Conv", x, dy, {"group": group, **window.attributes()})
    return dw


def weight_gradient_formula(
    x: Value, dy: Value, w: Value, window: Window, group: int, tuning: GradientTuning
) -> WeightGradient:
    """The formula of `conv_weight_gradient` for these sizes."""
    is_static = x.type.is_static(*range(2, x.rank)) and not window.auto_pad
    is_depthwise = group == x.shape[1] == dy.shape[1]
    has_narrow_rows = is_static and x.type.static_size(-1) <= tuning.max_row_product_width
    if is_depthwise and has_narrow_rows and prod(window.size[:-1]) <= MAX_ROW_PRODUCTS:
        return depthwise_weight_gradient
    most = tuning.max_im2col_channels
    has_many_channels = group == 1 and most is not None and min(w.shape[:2]) > most
    if is_static and has_many_channels and x.rank <= 4 and window.taps > 1 and max(window.strides) == 1:
        return weight_gradient_as_conv
    if x.shape[1] * window.taps**2 > MAX_IM2COL_KERNEL_ELEMENTS:
        return weight_gradient_over_batch
    windows = product(dy.shape[2:])
    if isinstance(windows, int) and windows <= tuning.max_batched_windows:
        return weight_gradient_of_batch
    return weight_gradient_by_sample


def weight_gradient_by_sample(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """dw = sum over samples of columns(x) @ dy^T."""
    batch, filters, windows = dy.shape[0], dy.shape[1], product(dy.shape[2:])
    columns = grouped_columns(g, x, dy, w, window, group)
    dy = g.reshape(dy, (batch, group, filters // group, windows))
    dw = g.ReduceSum(g.MatMul(columns, transpose_last_axes(g, dy)), [0], keepdims=0)
    return g.reshape(transpose_last_axes(g, dw), w.shape)


def weight_gradient_of_batch(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """dw = columns(x) @ dy^T, with the windows of all samples in one axis."""
    batch, filters, windows = dy.shape[0], dy.shape[1], product(dy.shape[2:])
    rows = w.shape[1] * window.taps
    columns = g.Transpose(grouped_columns(g, x, dy, w, window, group), perm=[1, 2, 0, 3])
    columns = g.reshape(columns, (group, rows, batch * windows))
    channels_last = g.Transpose(dy, perm=[0, *range(2, dy.rank), 1])  # a single group needs no second transposition
    dy = g.Transpose(g.reshape(channels_last, (batch * windows, group, filters // group)), perm=[1, 0, 2])
    return g.reshape(transpose_last_axes(g, g.MatMul(columns, dy)), w.shape)


def grouped_columns(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """The columns of x as [batch, group, channels per group * taps, windows]."""
    shape = (dy.shape[0], group, w.shape[1] * window.taps, product(dy.shape[2:]))
    return g.reshape(im2col(g, x, window, dy.shape[2:]), shape)


def weight_gradient_as_conv(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """dw = conv(x, dy) with the samples as channels, so that the sum over samples is part of the product.

    The image is x, with its channels as one more spatial axis; the filters are dy, as large as the image. The output
    has one position for each tap, so strides and dilations change places. For a single group.
    """
    axes = range(2, x.rank)
    image = g.Unsqueeze(g.Transpose(x, perm=[0, *axes, 1]), [0])
    filters = g.Unsqueeze(g.Transpose(dy, perm=[1, 0, *axes]), [-1])
    sides = zip(x.shape[2:], dy.shape[2:], window.strides, window.dilated_size, window.pads_begin, strict=True)
    after = [max(0, extent + stride * (count - 1) - size - front) for size, count, stride, extent, front in sides]
    attributes = {
        "strides": [*window.dilations, 1],
        "dilations": [*window.strides, 1],
        "pads": [*window.pads_begin, 0, *after, 0],
    }
    taps = g.Squeeze(g.Conv(image, filters, **attributes), [0])
    if taps.shape[1:-1] != tuple(window.size):  # the remainder of a stride leaves room for further positions
        taps = g.Slice(taps, [0] * len(axes), window.size, list(range(1, len(axes) + 1)))
    return g.refine(g.Transpose(taps, perm=[0, len(axes) + 1, *range(1, len(axes) + 1)]), w.shape)


def weight_gradient_over_batch(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """dw = conv(x, dy) with the samples as channels and the channels as samples, for any sizes, ranks and groups.

    Like `weight_gradient_as_conv`, but without a further spatial axis and without a limit on symbolic sizes.
    """
    batch, channels, axes = x.shape[0], w.shape[1], list(range(2, x.rank))
    attributes = {"strides": window.dilations, "dilations": window.strides, "pads": window.pads}
    if window.auto_pad:
        x = pad_at_runtime(g, x, dy, window)
    sizes = x.shape[2:]
    image = g.reshape(x, (batch, group, channels, *sizes))
    image = g.Transpose(image, perm=[2, 1, 0, *(axis + 1 for axis in axes)])
    image = g.reshape(image, (channels, group * batch, *sizes))
    padded_sizes = [sum(part) for part in zip(sizes, window.pads_begin, window.pads_end, strict=True)]
    spans = zip(padded_sizes, dy.shape[2:], window.strides, window.dilations, strict=True)
    positions = [(size - stride * (count - 1) - 1) // dilation + 1 for size, count, stride, dilation in spans]
    taps = g.Conv(image, g.Transpose(dy, perm=[1, 0, *axes]), group=group, **attributes)
    g.refine(taps, (channels, dy.shape[1], *positions))
    taps = g.Slice(taps, [0] * len(axes), window.size, axes)  # the remainder of a stride leaves further positions
    return g.refine(g.Transpose(taps, perm=[1, 0, *axes]), w.shape)


def pad_at_runtime(g: Builder, x: Value, dy: Value, window: Window) -> Value:
    """x with the padding that `auto_pad` means for its sizes."""
    padding, before = runtime_padding(g, x, dy, window)
    padded = g.Pad(x, g.Concat(before, g.Sub(padding, before), axis=0), None, list(range(2, x.rank)))
    return g.refine(padded, (*x.shape[:2], *padded.shape[2:]))


def runtime_padding(g: Builder, x: Value, dy: Value, window: Window) -> tuple[Value, Value]:
    """For each spatial axis, how many elements `auto_pad` adds in all, and before the first element of x."""
    covered = g.Add(g.Mul(g.Sub(g.Shape(dy, start=2), 1), window.strides), window.dilated_size)
    padding = g.Max(g.Sub(covered, g.Shape(x, start=2)), 0)
    return padding, g.Div(padding if window.auto_pad == "SAME_UPPER" else g.Add(padding, 1), 2)


def depthwise_weight_gradient(g: Builder, x: Value, dy: Value, w: Value, window: Window, group: int) -> Value:
    """`conv_weight_gradient` with one filter per channel, where columns would be single rows and not matrices.

    For each kernel row, one product over samples and image rows gives products[i, j] = sum of x[.., i] * dy[.., j] for
    all pairs of columns. The weight at tap k is the sum over the pairs with i = j * stride + k * dilation - pad.
    """
    row_axes, batch, channels = x.rank - 3, x.shape[0], x.shape[1]
    width, counts = x.type.static_size(-1), dy.shape[2:]
    perm, axes = [1, 0, *range(2, x.rank)], list(range(2, x.rank - 1))
    before, after = window.pads_begin[:row_axes], window.pads_end[:row_axes]
    if any((*before, *after)):
        x = g.Pad(x, [0, 0, *before, 0, 0, 0, *after, 0])
    x = g.Transpose(x, perm=perm)
    rows = batch * product(counts[:-1])
    dy = g.reshape(g.Transpose(dy, perm=perm), (channels, rows, counts[-1]))
    products = []
    for kernel_row in index_tuples(*map(range, window.size[:-1])):
        starts = [index * gap for index, gap in zip(kernel_row, window.dilations, strict=False)]
        ends = [a + (m - 1) * s + 1 for a, m, s in zip(starts, counts, window.strides, strict=False)]
        image_rows = g.Slice(x, starts, ends, axes, window.strides[:row_axes]) if row_axes else x
        pairs = g.MatMul(transpose_last_axes(g, g.reshape(image_rows, (channels, rows, width))), dy)
        products.append(g.reshape(pairs, (channels, 1, width * counts[-1])))
    pair_sums = column_pairs_by_tap(width, counts[-1], window).astype(x.dtype)
    return g.reshape(g.MatMul(g.Concat(*products, axis=1), pair_sums), w.shape)


def column_pairs_by_tap(width: int, count: int, window: Window) -> np.ndarray:
    """Which pairs of an image column and an output column a tap of the last axis connects: [width * count, taps]."""
    first_columns = np.arange(count)[:, None] * window.strides[-1] - window.pads_begin[-1]
    columns = first_columns + np.arange(window.size[-1]) * window.dilations[-1]
    return (np.arange(width)[:, None, None] == columns).reshape(-1, window.size[-1])


def im2col(g: Builder, x: Value, window: Window, counts: tuple[Dim, ...]) -> Value:
    """Every element of every window, as [N, C * taps, *counts]: a convolution whose kernel is the identity.

    Each channel has `taps` filters; filter k is one at tap k and zero elsewhere.
    """
    if window.taps == 1 and window.is_tiling and not window.is_padded:
        return x
    channels = x.shape[1]
    identity = np.eye(window.taps).reshape(window.taps, 1, *window.size)
    kernel = g.const(np.tile(identity, (channels, *[1] * (x.rank - 1))), x.dtype)
    columns = g.Conv(x, kernel, group=channels, **window.attributes())
    return g.refine(columns, (x.shape[0], channels * window.taps, *counts))
