"""Volumes as images, one for each plane, for a session that has blocks for images (`blocked`) and none for volumes.

A value [batch, channels, depth, height, width] gets a twin [batch * depth, channels, height, width], and what is
computed of it between two convolutions is computed of its twin. A convolution's image has the planes that a window
sees as more channels; then its taps along the depth are more channels, too, and so it is with both of its gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ....core.types import Dim
from ....ir import Builder, Constant, GradientInfo, Graph, Node, Value, tensor_proto
from ....passes.canonicalize import canonicalize
from ..target import Target
from .context import is_well_filled

TO_CHANNELS_FIRST = [0, 4, 1, 2, 3]
"""The permutation that makes a volume of one whose channels come last, as layers have it."""
TO_CHANNELS_LAST = [0, 2, 3, 4, 1]
SWAP_CHANNELS_AND_DEPTH = [0, 2, 1, 3, 4]
"""Which exchanges channels and depth."""


def conv3d_to_conv2d(graph: Graph, target: Target) -> Graph:
    """The graph with these convolutions and what stands between them."""
    block_size = target.block_size
    if block_size == 1 or not any(node.op == "Conv" and _is_profitable(node, block_size) for node in graph.nodes):
        return graph
    twins = _ReshapedVolumes(graph, block_size)
    new = twins.replacements
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        told = graph.gradients.get(node.outputs[0])
        with twins.g.inherit(node):
            known = GRADIENT_CONVERTERS.get(told.op) if told is not None else None
            result: Value | list[Value] | None = None
            if known is not None and told is not None:
                result = known(twins, told.remapped(new), node.outputs[0])
            form = None if node.domain else CONVERTERS.get(node.op)
            if result is None and form is not None:
                result = form(twins, node)
        if result is None:
            twins.g.nodes.append(node)
        else:
            new.update(zip(node.outputs, result if isinstance(result, list) else [result], strict=True))
    return canonicalize(replace(graph, gradients=twins.g.gradients).with_nodes(twins.g.nodes, new))


class DepthWindow(NamedTuple):
    """How windows stand along the depth, and how over an image."""

    size: int
    stride: int
    dilation: int
    pad: int
    image_attributes: dict[str, Any]

    @staticmethod
    def of(attributes: Any, default_size: Sequence[Dim]) -> DepthWindow | None:
        """From the attributes of an operator; None where only sizes tell where its windows are."""
        if (attributes.get("auto_pad") or "NOTSET") != "NOTSET" or attributes.get("ceil_mode"):
            return None
        size, stride, gap = (
            list(attributes.get(name) or default)
            for name, default in (("kernel_shape", default_size), ("strides", [1] * 3), ("dilations", [1] * 3))
        )
        pads = list(attributes.get("pads") or [0] * 6)
        image = {"strides": stride[1:], "dilations": gap[1:], "pads": [*pads[1:3], *pads[4:]]}
        return DepthWindow(size[0], stride[0], gap[0], pads[0], {"kernel_shape": size[1:], **image})

    def tiles(self, depth: Any, windows: Any) -> bool:
        """Whether windows touch along the depth, without overlap or gap, and none reaches beyond it."""
        touch = self.size == self.stride and self.dilation == 1 and self.pad == 0
        return touch and bool(self.size * windows <= depth)


def _is_profitable(node: Node, block_size: int) -> bool:
    """Whether a convolution of volumes gains by blocks, forwards."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or not _is_volume(x) or not _is_volume(y) or node.attribute("group", 1) > 1:
        return False
    return is_well_filled(block_size, w.shape[1] * w.shape[2], w.shape[0])


def _is_volume(x: Value) -> bool:
    return x.rank == 5 and x.dtype == "float32" and x.type.is_static(1, 2, 3, 4)


class _ReshapedVolumes:
    """The nodes made so far, and which of their volumes have a twin."""

    def __init__(self, graph: Graph, block_size: int) -> None:
        self.g = Builder.extending(graph)
        self.g.nodes, self.block_size = [], block_size
        self.replacements: dict[Value, Value] = {}
        """What has come in the place of a value of the graph."""
        self._images: dict[Value, Value] = {}
        self._window_images: dict[Any, Value] = {}
        self._producers = graph.producers

    def __contains__(self, x: Value | None) -> bool:
        return x in self._images

    def to_image(self, x: Value) -> Value:
        """The twin of a volume, which is made where there is none."""
        if x not in self._images:
            batch, channels, depth, *size = x.shape
            node = self._producers.get(x)
            if node is not None and node.op == "Transpose" and node.attribute("perm") == TO_CHANNELS_FIRST:
                source = node.inputs[0]
                assert source is not None
                last = self.g.reshape(self.replacements.get(source, source), (batch * depth, *size, channels))
                self._images[x] = self.g.Transpose(last, perm=[0, 3, 1, 2])
            else:
                turned = x if channels == 1 else self.g.Transpose(x, perm=SWAP_CHANNELS_AND_DEPTH)
                self._images[x] = self.g.reshape(turned, (batch * depth, channels, *size))
        return self._images[x]

    def from_image(self, image: Value, shape: tuple[Dim, ...]) -> Value:
        """The volume of this shape of a twin."""
        batch, channels, depth, *size = shape
        image = self.g.refine(image, (batch * depth, channels, *size))
        apart = self.g.reshape(image, (batch, depth, channels, *size))
        result = self.g.Transpose(apart, perm=SWAP_CHANNELS_AND_DEPTH)
        self._images[result] = image
        return result

    def windows_as_channels(self, x: Value, window: DepthWindow, window_count: int, input_dilation: int = 1) -> Value:
        """[batch * windows, size * channels, height, width]: the planes that each window along the depth sees, were
        those of x so far from one another. Where it sees none there are zeros."""
        key = x, *window[:4], window_count, input_dilation
        if key not in self._window_images:
            g, (batch, channels, depth, *image) = self.g, x.shape
            place = (
                np.arange(window_count)[:, None] * window.stride + np.arange(window.size) * window.dilation - window.pad
            )
            there = (place >= 0) & (place < depth * input_dilation) & (place % input_dilation == 0)
            plane = np.where(there, place // input_dilation, depth)
            rows = g.reshape(self.to_image(x), (batch, depth * channels, *image))
            if not there.all():
                rows = g.Pad(rows, [0, 0, 0, 0, 0, channels, 0, 0])
            numbers = (plane[..., None] * channels + np.arange(channels)).ravel()
            if not np.array_equal(numbers, np.arange(rows.shape[1])):
                rows = self.gather_channels(rows, numbers)
            seen = g.reshape(rows, (batch * window_count, window.size * channels, *image))
            if seen.shape[1] < self.block_size:  # too few for a block: both who read them want them last
                seen = g.Transpose(g.Transpose(seen, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
            self._window_images[key] = seen
        return self._window_images[key]

    def gather_channels(self, x: Value, indices: np.ndarray) -> Value:
        """Some channels of a twin, or of planes beside each other."""
        return self.g.Gather(x, self.g.const(indices.ravel(), "int64"), axis=1)


def _convert_conv(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    way = DepthWindow.of(node.attributes, w.shape[2:]) if _is_profitable(node, ctx.block_size) else None
    if way is None:
        return None
    filters, channels, deep, *size = w.shape
    weights = ctx.g.reshape(ctx.g.Transpose(w, perm=SWAP_CHANNELS_AND_DEPTH), (filters, deep * channels, *size))
    return ctx.from_image(
        ctx.g.Conv(ctx.windows_as_channels(x, way, y.shape[2]), weights, node.input(2), **way.image_attributes), y.shape
    )


def _convert_conv_transpose(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    """A transposed convolution of images; along the depth it is one of the cotangent with the taps turned round."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or not _is_volume(x) or node.attribute("group", 1) > 1 or node.input(2) is not None:
        return None
    way, rest = DepthWindow.of(node.attributes, w.shape[2:]), node.attribute("output_padding", [0] * 3)
    filters, channels, deep, *size = w.shape
    if way is None or not _is_volume(y) or not is_well_filled(ctx.block_size, filters * deep, channels):
        return None
    turned = ctx.g.Gather(ctx.g.Transpose(w, perm=[2, 0, 1, 3, 4]), np.arange(deep)[::-1].copy(), axis=0)
    weights = ctx.g.reshape(turned, (deep * filters, channels, *size))
    back = way._replace(stride=1, pad=(deep - 1) * way.dilation - way.pad)
    given = {**way.image_attributes, **({"output_padding": rest[1:]} if any(rest) else {})}
    return ctx.from_image(
        ctx.g.ConvTranspose(ctx.windows_as_channels(x, back, y.shape[2], way.stride), weights, **given), y.shape
    )


def _convert_weight_gradient(ctx: _ReshapedVolumes, gradient_info: GradientInfo, weights: Value) -> Value | None:
    """The gradient of weights [filters, channels, deep, high, wide], whose image tells what it is."""
    x, dy = gradient_info.x, gradient_info.dy
    if not _is_volume(x) or not _is_volume(dy) or gradient_info.attributes["group"] > 1:
        return None
    way = DepthWindow.of(gradient_info.attributes, weights.shape[2:])
    filters, channels, deep, *size = weights.shape
    if way is None or not is_well_filled(ctx.block_size, channels * deep, filters):
        return None
    seen, dy = ctx.windows_as_channels(x, way, dy.shape[2]), ctx.to_image(dy)
    met = _weight_gradient_by_conv(ctx.g, seen, dy, way)
    given = {name: way.image_attributes[name] for name in ("kernel_shape", "strides", "dilations", "pads")}
    ctx.g.gradients[met] = GradientInfo("Conv", seen, dy, {"group": 1, "auto_pad": None, **given})
    apart = ctx.g.reshape(met, (filters, deep, channels, *size))
    return ctx.g.Transpose(apart, perm=SWAP_CHANNELS_AND_DEPTH)


def _weight_gradient_by_conv(g: Builder, x: Value, dy: Value, window: DepthWindow) -> Value:
    """The gradient of an image's weights as one convolution, as the rule has it for many channels."""
    size, strides, gaps, before = (
        *(window.image_attributes[name] for name in ("kernel_shape", "strides", "dilations")),
        window.image_attributes["pads"],
    )
    sides = zip(x.shape[2:], dy.shape[2:], size, strides, gaps, before, strict=False)
    after = [max(0, (k - 1) * gap + 1 + stride * (m - 1) - n - front) for n, m, k, stride, gap, front in sides]
    place = {"strides": [*gaps, 1], "dilations": [*strides, 1], "pads": [*before[:2], 0, *after, 0]}
    image = g.Unsqueeze(g.Transpose(x, perm=[0, 2, 3, 1]), [0])
    filters = g.Unsqueeze(g.Transpose(dy, perm=[1, 0, 2, 3]), [-1])
    met = g.Slice(g.Squeeze(g.Conv(image, filters, **place), [0]), [0, 0], size, [1, 2])
    return g.refine(g.Transpose(met, perm=[0, 3, 1, 2]), (dy.shape[1], x.shape[1], *size))


def _convert_pool(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    """The greatest of a window is that of its planes', each of which has one; so it is with means."""
    x, y = node.inputs[0], node.outputs[0]
    way = DepthWindow.of(node.attributes, ()) if x in ctx and len(node.outputs) == 1 else None
    if x is None or way is None or not way.tiles(x.shape[2], y.shape[2]):
        return None
    if node.op == "MaxPool":
        return ctx.from_image(
            ctx.g.Max(*_window_planes(ctx, ctx.g.MaxPool(ctx.to_image(x), **way.image_attributes), x, y, way)), y.shape
        )
    given = {**way.image_attributes, "count_include_pad": node.attribute("count_include_pad", 0)}
    parts = _window_planes(ctx, ctx.g.AveragePool(ctx.to_image(x), **given), x, y, way)
    return ctx.from_image(ctx.g.Mul(reduce(ctx.g.Add, parts), 1.0 / way.size), y.shape)


def _window_planes(ctx: _ReshapedVolumes, image: Value, x: Value, y: Value, window: DepthWindow) -> list[Value]:
    """What a pooling of all planes of x gave, for each plane of a window by itself, as twins of volumes like y."""
    pooled = ctx.from_image(image, (*x.shape[:3], *y.shape[3:]))
    seen = ctx.windows_as_channels(pooled, window, y.shape[2])
    return [ctx.gather_channels(seen, part) for part in np.arange(seen.shape[1]).reshape(window.size, -1)]


def _convert_maxpool_gradient(ctx: _ReshapedVolumes, gradient_info: GradientInfo, gradient: Value) -> Value | None:
    """What a window got goes to its first plane with its maximum, and there to the first element of an image."""
    x, dy, g = gradient_info.x, gradient_info.dy, ctx.g
    way = DepthWindow.of(gradient_info.attributes, ()) if x in ctx else None
    if way is None or not way.tiles(x.shape[2], dy.shape[2]) or x.shape[1] % ctx.block_size:
        return None
    parts, rest, shares = (
        _window_planes(ctx, g.MaxPool(ctx.to_image(x), **way.image_attributes), x, dy, way),
        ctx.to_image(dy),
        [],
    )
    most = g.Max(*parts)
    for part in parts[:-1]:
        shares.append(g.Mul(rest, g.HardSigmoid(g.Sub(part, most), alpha=1e38, beta=1.0)))
        rest = g.Sub(rest, shares[-1])
    batch, channels, depth, *_ = x.shape
    got = g.Concat(*shares, rest, axis=1) if shares else rest
    rows = g.reshape(got, (batch, dy.shape[2] * way.size * channels, *dy.shape[3:]))
    if missing := depth - dy.shape[2] * way.size:
        rows = g.Pad(rows, [0, 0, 0, 0, 0, missing * channels, 0, 0])
    got = g.reshape(rows, (batch * depth, channels, *dy.shape[3:]))
    dx = _maxpool_gradient(g, ctx.to_image(x), got, way.image_attributes)
    g.gradients[dx] = GradientInfo("MaxPool", ctx.to_image(x), got, way.image_attributes)
    return ctx.from_image(dx, gradient.shape)


def _maxpool_gradient(g: Builder, x: Value, dy: Value, window: dict[str, Any]) -> Value:
    """The gradient of a max pooling of images in the form that the rule has for any."""
    _, places = g.MaxPool(x, outputs=2, **window)
    nothing = g.ConstantOfShape(g.Reshape(g.Size(x), [1]), value=tensor_proto(np.zeros(1, x.dtype)))
    dx = g.ScatterElements(nothing, g.Reshape(places, [-1]), g.Reshape(dy, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(dx, g.Shape(x)), x.shape)


def _convert_elementwise(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    y = node.outputs[0]
    if y.rank != 5 or not any(x in ctx and x is not None and x.shape == y.shape for x in node.inputs):
        return None
    operands = [_image_operand(ctx, x, y) for x in node.inputs if x is not None]
    if None in operands:
        return None
    return ctx.from_image(ctx.g.emit(node.op, *operands, **node.attributes), y.shape)


def _image_operand(ctx: _ReshapedVolumes, x: Value, y: Value) -> Value | None:
    """An operand of the twin of y: a volume's, or what is one number, or one for each channel."""
    if x.shape == y.shape:
        return ctx.to_image(x)
    if x.type.elements == 1:
        return ctx.g.reshape(x, ())
    return ctx.g.reshape(x, (y.shape[1], 1, 1)) if (1, *x.shape)[-5:] == (1, y.shape[1], 1, 1, 1) else None


def _convert_resize(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    """Every element as a tile of equal ones: planes several times, and what is in them."""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    plain = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if x not in ctx or x is None or node.attributes != plain:
        return None
    if not isinstance(scales, Constant) or scales.array.size != x.rank:
        return None
    times = scales.array[2]
    if list(scales.array[:2]) != [1, 1] or times != int(times):
        return None
    batch, channels, depth, *image = x.shape
    numbers = np.repeat(np.arange(depth), int(times))[:, None] * channels + np.arange(channels)
    rows = ctx.gather_channels(ctx.g.reshape(ctx.to_image(x), (batch, depth * channels, *image)), numbers)
    several = ctx.g.reshape(rows, (batch * y.shape[2], channels, *image))
    return ctx.from_image(ctx.g.Resize(several, None, np.delete(scales.array, 2), **plain), y.shape)


def _convert_concat(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    """Channels of several volumes behind one another."""
    y = node.outputs[0]
    if not any(x in ctx for x in node.inputs) or node.attribute("axis") not in (1, -4):
        return None
    return ctx.from_image(ctx.g.Concat(*(ctx.to_image(x) for x in node.inputs if x is not None), axis=1), y.shape)


def _convert_split(ctx: _ReshapedVolumes, node: Node) -> list[Value] | None:
    x, outputs = node.inputs[0], node.outputs
    if x not in ctx or x is None or node.attribute("axis", 0) not in (1, -4):
        return None
    ends = np.cumsum([y.shape[1] for y in outputs])
    parts = np.split(np.arange(x.shape[1]), ends[:-1])
    return [
        ctx.from_image(ctx.gather_channels(ctx.to_image(x), part), y.shape)
        for part, y in zip(parts, outputs, strict=True)
    ]


def _convert_shape(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    """Of a volume only the number of samples is not known before, and its twin tells it."""
    x, ends = node.inputs[0], (node.attribute("start", 0), node.attribute("end", 5))
    if x not in ctx or x is None or ends[0] != 0 or not 0 < ends[1] <= 5:
        return None
    samples = ctx.g.Div(ctx.g.Shape(ctx.to_image(x), start=0, end=1), x.shape[2])
    return samples if ends[1] == 1 else ctx.g.Concat(samples, ctx.g.const(x.shape[1 : ends[1]], "int64"), axis=0)


def _convert_reduction(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    """Means and sums of each channel."""
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in ctx or x is None or not isinstance(axes, Constant) or sorted(axes.array % 5) != [0, 2, 3, 4]:
        return None
    return ctx.g.reshape(ctx.g.emit(node.op, ctx.to_image(x), [0, 2, 3], **node.attributes), y.shape)


def _convert_transpose(ctx: _ReshapedVolumes, node: Node) -> Value | None:
    x, y = node.inputs[0], node.outputs[0]
    if x not in ctx or x is None or node.attribute("perm") != TO_CHANNELS_LAST:
        return None
    return ctx.g.reshape(ctx.g.Transpose(ctx.to_image(x), perm=[0, 2, 3, 1]), y.shape)


GRADIENT_CONVERTERS: dict[str, Callable[[_ReshapedVolumes, GradientInfo, Value], Value | None]] = {
    "Conv": _convert_weight_gradient,
    "MaxPool": _convert_maxpool_gradient,
}

CONVERTERS: dict[str, Callable[[_ReshapedVolumes, Node], Value | list[Value] | None]] = {
    "Conv": _convert_conv,
    "ConvTranspose": _convert_conv_transpose,
    "MaxPool": _convert_pool,
    "AveragePool": _convert_pool,
    "Resize": _convert_resize,
    "Concat": _convert_concat,
    "Split": _convert_split,
    "Shape": _convert_shape,
    **dict.fromkeys(("Add", "Div", "Exp", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Relu"), _convert_elementwise),
    **dict.fromkeys(("Sigmoid", "Sub", "Tanh"), _convert_elementwise),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _convert_reduction),
    "Transpose": _convert_transpose,
}
