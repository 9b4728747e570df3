"""3-D convolutions as 2-D convolutions, which `to_nchwc` then converts to the NCHWc layout.

A volume [batch, channels, depth, height, width] gets the second form [batch * depth, channels, height, width], one
image per plane, and the operators between two convolutions are converted too. For a convolution, the planes of each
window along the depth become channels of one image; its weights get the taps along the depth as input channels. The
gradients of a convolution by its operand and by its weights are converted in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ....core.types import Dim, TensorType
from ....ir import Builder, Constant, GradientInfo, Graph, Node, Value, tensor_proto
from ....passes.conversion import Conversion, Results
from ..target import Target
from .profitability import is_well_filled

TO_CHANNELS_FIRST = [0, 4, 1, 2, 3]
"""The permutation from channels-last to channels-first volumes, as layers emit it."""
TO_CHANNELS_LAST = [0, 2, 3, 4, 1]
"""The inverse permutation."""
SWAP_CHANNELS_AND_DEPTH = [0, 2, 1, 3, 4]

IS_ZERO_SLOPE = 1e38
"""Slope of a HardSigmoid with beta 1 that maps 0 to 1 and any normal negative number to 0."""


def conv3d_to_conv2d(graph: Graph, target: Target) -> Graph:
    """Converts 3-D convolutions, and the operators between them, to operators over images."""
    block_size = target.block_size
    if block_size == 1 or not any(node.op == "Conv" and _is_profitable(node, block_size) for node in graph.nodes):
        return graph
    return _VolumesAsImages(graph, block_size).run(CONVERTERS, GRADIENT_CONVERTERS)


class DepthWindow(NamedTuple):
    """The window of an operator along the depth, and its attributes over an image."""

    size: int
    stride: int
    dilation: int
    pad: int
    image_attributes: dict[str, Any]

    @staticmethod
    def of(attributes: Any, default_size: Sequence[Dim]) -> DepthWindow | None:
        """The window by an operator's attributes; None if its position depends on the sizes of the operand."""
        if (attributes.get("auto_pad") or "NOTSET") != "NOTSET" or attributes.get("ceil_mode"):
            return None
        size, strides, dilations = (
            list(attributes.get(name) or default)
            for name, default in (("kernel_shape", default_size), ("strides", [1] * 3), ("dilations", [1] * 3))
        )
        pads = list(attributes.get("pads") or [0] * 6)
        image = {"strides": strides[1:], "dilations": dilations[1:], "pads": [*pads[1:3], *pads[4:]]}
        return DepthWindow(size[0], strides[0], dilations[0], pads[0], {"kernel_shape": size[1:], **image})

    def tiles(self, depth: Any, window_count: Any) -> bool:
        """Whether the windows touch without overlap or gap along the depth, and none covers padding."""
        touch = self.size == self.stride and self.dilation == 1 and self.pad == 0
        return touch and bool(self.size * window_count <= depth)

    def planes(self, depth: int, window_count: int, input_dilation: int = 1) -> np.ndarray:
        """[windows, size]: the plane under each tap, `depth` for padding.

        With an input dilation, zeros are inserted between the planes, so that they are so far apart.
        """
        positions = np.arange(window_count)[:, None] * self.stride + np.arange(self.size) * self.dilation - self.pad
        is_plane = (positions >= 0) & (positions < depth * input_dilation) & (positions % input_dilation == 0)
        return np.where(is_plane, positions // input_dilation, depth)


def _is_profitable(node: Node, block_size: int) -> bool:
    """Whether a 3-D Conv is faster as a 2-D Conv in the NCHWc layout."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or not _is_volume(x) or not _is_volume(y) or node.attribute("group", 1) > 1:
        return False
    return is_well_filled(block_size, w.shape[1] * w.shape[2], w.shape[0])


def _is_volume(x: Value) -> bool:
    return x.rank == 5 and x.dtype == "float32" and x.type.is_static(1, 2, 3, 4)


class _VolumesAsImages(Conversion):
    """The second form of [batch, channels, depth, height, width] is [batch * depth, channels, height, width]."""

    def __init__(self, graph: Graph, block_size: int) -> None:
        super().__init__(graph)
        self.block_size = block_size
        self._window_images: dict[Any, Value] = {}

    def emit_form(self, x: Value) -> Value:
        batch, channels, depth, *size = x.shape
        producer = self.graph.producers.get(x)
        if producer is not None and producer.op == "Transpose" and producer.attribute("perm") == TO_CHANNELS_FIRST:
            source = producer.inputs[0]
            assert source is not None
            channels_last = self.g.reshape(self.current(source), (batch * depth, *size, channels))
            return self.g.Transpose(channels_last, perm=[0, 3, 1, 2])
        planes = x if channels == 1 else self.g.Transpose(x, perm=SWAP_CHANNELS_AND_DEPTH)
        return self.g.reshape(planes, (batch * depth, channels, *size))

    def emit_plain(self, form: Value, plain_type: TensorType) -> Value:
        batch, channels, depth, *size = plain_type.shape
        self.g.refine(form, (batch * depth, channels, *size))
        planes = self.g.reshape(form, (batch, depth, channels, *size))
        return self.g.Transpose(planes, perm=SWAP_CHANNELS_AND_DEPTH)

    to_image, from_image = Conversion.to_form, Conversion.from_form

    def windows_as_channels(self, x: Value, window: DepthWindow, window_count: int, input_dilation: int = 1) -> Value:
        """[batch * windows, size * channels, height, width]: the planes of a volume under each window along the depth,
        zeros for padding. See `DepthWindow.planes` for the input dilation."""
        key = x, *window[:4], window_count, input_dilation
        if key not in self._window_images:
            planes = window.planes(x.shape[2], window_count, input_dilation)
            self._window_images[key] = self._planes_as_channels(x, planes)
        return self._window_images[key]

    def _planes_as_channels(self, x: Value, planes: np.ndarray) -> Value:
        """[batch * windows, size * channels, height, width]: planes [windows, size] of a volume by their indices."""
        g, (batch, channels, depth, *size), (window_count, window_size) = self.g, x.shape, planes.shape
        rows = g.reshape(self.to_image(x), (batch, depth * channels, *size))
        if (planes == depth).any():
            rows = g.Pad(rows, [0, 0, 0, 0, 0, channels, 0, 0])
        indices = (planes[..., None] * channels + np.arange(channels)).ravel()
        if not np.array_equal(indices, np.arange(rows.shape[1])):
            rows = self.gather_channels(rows, indices)
        image = g.reshape(rows, (batch * window_count, window_size * channels, *size))
        if image.shape[1] < self.block_size:  # convolutions with so few channels read them channels-last
            image = g.Transpose(g.Transpose(image, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
        return image

    def gather_channels(self, x: Value, indices: np.ndarray) -> Value:
        """The channels of an image with these indices."""
        return self.g.Gather(x, self.g.const(indices.ravel(), "int64"), axis=1)


def _convert_conv(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """3-D Conv(x, w) -> 2-D Conv(windows of x along the depth as channels, taps of w along the depth as channels)"""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    window = DepthWindow.of(node.attributes, w.shape[2:]) if _is_profitable(node, ctx.block_size) else None
    if window is None:
        return None
    filters, channels, taps, *size = w.shape
    weights = ctx.g.reshape(ctx.g.Transpose(w, perm=SWAP_CHANNELS_AND_DEPTH), (filters, taps * channels, *size))
    images = ctx.windows_as_channels(x, window, y.shape[2])
    return ctx.from_image(ctx.g.Conv(images, weights, node.input(2), **window.image_attributes), y.type)


def _convert_conv_transpose(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """3-D ConvTranspose(x, w) -> 2-D ConvTranspose(windows of x along the depth as channels, w flipped along the depth)

    Along the depth it is a Conv of x, dilated by the stride, with the taps in reverse order.
    """
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or not _is_volume(x) or node.attribute("group", 1) > 1 or node.input(2) is not None:
        return None
    window, output_padding = DepthWindow.of(node.attributes, w.shape[2:]), node.attribute("output_padding", [0] * 3)
    filters, channels, taps, *size = w.shape
    if window is None or not _is_volume(y) or not is_well_filled(ctx.block_size, filters * taps, channels):
        return None
    flipped = ctx.g.Gather(ctx.g.Transpose(w, perm=[2, 0, 1, 3, 4]), np.arange(taps)[::-1].copy(), axis=0)
    weights = ctx.g.reshape(flipped, (taps * filters, channels, *size))
    backward_window = window._replace(stride=1, pad=(taps - 1) * window.dilation - window.pad)
    images = ctx.windows_as_channels(x, backward_window, y.shape[2], window.stride)
    attributes = {**window.image_attributes, **({"output_padding": output_padding[1:]} if any(output_padding) else {})}
    return ctx.from_image(ctx.g.ConvTranspose(images, weights, **attributes), y.type)


def _convert_weight_gradient(ctx: _VolumesAsImages, node: Node, gradient_info: GradientInfo) -> Value | None:
    """gradient of weights [filters, channels, taps, ...] -> gradient of [filters, taps * channels, ...], transposed"""
    x, dy, weights = gradient_info.x, gradient_info.dy, node.outputs[0]
    if not _is_volume(x) or not _is_volume(dy) or gradient_info.attributes["group"] > 1:
        return None
    window = DepthWindow.of(gradient_info.attributes, weights.shape[2:])
    filters, channels, taps, *size = weights.shape
    if window is None or not is_well_filled(ctx.block_size, channels * taps, filters):
        return None
    images, image_dy = ctx.windows_as_channels(x, window, dy.shape[2]), ctx.to_image(dy)
    gradient = _weight_gradient_by_conv(ctx.g, images, image_dy, window)
    attributes = {name: window.image_attributes[name] for name in ("kernel_shape", "strides", "dilations", "pads")}
    ctx.g.gradients[gradient] = GradientInfo("Conv", images, image_dy, {"group": 1, "auto_pad": None, **attributes})
    by_tap = ctx.g.reshape(gradient, (filters, taps, channels, *size))
    return ctx.g.Transpose(by_tap, perm=SWAP_CHANNELS_AND_DEPTH)


def _weight_gradient_by_conv(g: Builder, x: Value, dy: Value, window: DepthWindow) -> Value:
    """The gradient of a 2-D convolution's weights as one 3-D convolution of [1, batch, height, width, channels] with dy
    as filters: the form of the gradient rule for many channels."""
    attributes = window.image_attributes
    size, strides, dilations = attributes["kernel_shape"], attributes["strides"], attributes["dilations"]
    pads = attributes["pads"]
    sides = zip(x.shape[2:], dy.shape[2:], size, strides, dilations, pads, strict=False)
    pads_after = [max(0, (k - 1) * gap + 1 + stride * (m - 1) - n - pad) for n, m, k, stride, gap, pad in sides]
    moves = {"strides": [*dilations, 1], "dilations": [*strides, 1], "pads": [*pads[:2], 0, *pads_after, 0]}
    image = g.Unsqueeze(g.Transpose(x, perm=[0, 2, 3, 1]), [0])
    filters = g.Unsqueeze(g.Transpose(dy, perm=[1, 0, 2, 3]), [-1])
    correlation = g.Slice(g.Squeeze(g.Conv(image, filters, **moves), [0]), [0, 0], size, [1, 2])
    return g.refine(g.Transpose(correlation, perm=[0, 3, 1, 2]), (dy.shape[1], x.shape[1], *size))


def _convert_pool(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """3-D MaxPool or AveragePool with windows that tile the depth -> Max or mean of the pooled planes of each window"""
    x, y = node.inputs[0], node.outputs[0]
    window = DepthWindow.of(node.attributes, ()) if x in ctx and len(node.outputs) == 1 else None
    if x is None or window is None or not window.tiles(x.shape[2], y.shape[2]):
        return None
    if node.op == "MaxPool":
        pooled = ctx.g.MaxPool(ctx.to_image(x), **window.image_attributes)
        return ctx.from_image(ctx.g.Max(*_planes_by_tap(ctx, pooled, x, y, window)), y.type)
    attributes = {**window.image_attributes, "count_include_pad": node.attribute("count_include_pad", 0)}
    pooled = ctx.g.AveragePool(ctx.to_image(x), **attributes)
    total = reduce(ctx.g.Add, _planes_by_tap(ctx, pooled, x, y, window))
    return ctx.from_image(ctx.g.Mul(total, 1.0 / window.size), y.type)


def _planes_by_tap(ctx: _VolumesAsImages, pooled: Value, x: Value, y: Value, window: DepthWindow) -> list[Value]:
    """The pooled planes of x under each tap of the windows along the depth, as images of volumes shaped like y."""
    volume = ctx.from_image(pooled, x.type.with_shape((*x.shape[:3], *y.shape[3:])))
    planes = ctx.windows_as_channels(volume, window, y.shape[2])
    return [ctx.gather_channels(planes, channels) for channels in np.arange(planes.shape[1]).reshape(window.size, -1)]


def _convert_maxpool_gradient(ctx: _VolumesAsImages, node: Node, gradient_info: GradientInfo) -> Value | None:
    """gradient of a 3-D MaxPool whose windows tile the depth -> gradient of a 2-D MaxPool

    The cotangent of a window goes to its first plane with the maximum, and there to the first such element.
    """
    x, dy, g = gradient_info.x, gradient_info.dy, ctx.g
    window = DepthWindow.of(gradient_info.attributes, ()) if x in ctx else None
    if window is None or not window.tiles(x.shape[2], dy.shape[2]) or x.shape[1] % ctx.block_size:
        return None
    planes = _planes_by_tap(ctx, g.MaxPool(ctx.to_image(x), **window.image_attributes), x, dy, window)
    by_tap = _cotangent_by_tap(g, planes, ctx.to_image(dy))
    batch, channels, depth, *_ = x.shape
    rows = g.reshape(by_tap, (batch, dy.shape[2] * window.size * channels, *dy.shape[3:]))
    if uncovered := depth - dy.shape[2] * window.size:
        rows = g.Pad(rows, [0, 0, 0, 0, 0, uncovered * channels, 0, 0])
    image_dy = g.reshape(rows, (batch * depth, channels, *dy.shape[3:]))
    dx = _maxpool_gradient(g, ctx.to_image(x), image_dy, window.image_attributes)
    g.gradients[dx] = GradientInfo("MaxPool", ctx.to_image(x), image_dy, window.image_attributes)
    return ctx.from_image(dx, node.outputs[0].type)


def _cotangent_by_tap(g: Builder, planes: Sequence[Value], dy: Value) -> Value:
    """The gradient of Max(*planes) by each plane, concatenated along the channels; the first maximum gets all of dy."""
    maximum, remaining, cotangents = g.Max(*planes), dy, []
    for plane in planes[:-1]:
        is_max = g.HardSigmoid(g.Sub(plane, maximum), alpha=IS_ZERO_SLOPE, beta=1.0)
        cotangents.append(g.Mul(remaining, is_max))
        remaining = g.Sub(remaining, cotangents[-1])
    return g.Concat(*cotangents, remaining, axis=1) if cotangents else remaining


def _maxpool_gradient(g: Builder, x: Value, dy: Value, window: dict[str, Any]) -> Value:
    """The gradient of a 2-D max pooling, in the form of the gradient rule for any window."""
    _, indices = g.MaxPool(x, outputs=2, **window)
    zeros = g.ConstantOfShape(g.Reshape(g.Size(x), [1]), value=tensor_proto(np.zeros(1, x.dtype)))
    dx = g.ScatterElements(zeros, g.Reshape(indices, [-1]), g.Reshape(dy, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(dx, g.Shape(x)), x.shape)


def _convert_elementwise(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """element-wise operator over volumes -> the same over images"""
    y = node.outputs[0]
    if y.rank != 5 or not any(x in ctx and x is not None and x.shape == y.shape for x in node.inputs):
        return None
    operands = [_image_operand(ctx, x, y) for x in node.inputs if x is not None]
    if None in operands:
        return None
    return ctx.from_image(ctx.g.emit(node.op, *operands, **node.attributes), y.type)


def _image_operand(ctx: _VolumesAsImages, x: Value, y: Value) -> Value | None:
    """The operand of an element-wise operator over images: x is a volume, a scalar or one number per channel of y."""
    if x.shape == y.shape:
        return ctx.to_image(x)
    if x.type.elements == 1:
        return ctx.g.reshape(x, ())
    return ctx.g.reshape(x, (y.shape[1], 1, 1)) if (1, *x.shape)[-5:] == (1, y.shape[1], 1, 1, 1) else None


def _convert_resize(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """Resize of volumes to nearest neighbours by whole factors -> Resize of images whose planes are repeated"""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    repeating = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if x not in ctx or x is None or node.attributes != repeating:
        return None
    if not isinstance(scales, Constant) or scales.array.size != x.rank:
        return None
    depth_scale = scales.array[2]
    if list(scales.array[:2]) != [1, 1] or depth_scale != int(depth_scale):
        return None
    batch, channels, depth, *size = x.shape
    indices = np.repeat(np.arange(depth), int(depth_scale))[:, None] * channels + np.arange(channels)
    rows = ctx.gather_channels(ctx.g.reshape(ctx.to_image(x), (batch, depth * channels, *size)), indices)
    images = ctx.g.reshape(rows, (batch * y.shape[2], channels, *size))
    return ctx.from_image(ctx.g.Resize(images, None, np.delete(scales.array, 2), **repeating), y.type)


def _convert_concat(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """Concat of the channels of volumes -> Concat of the channels of images"""
    y = node.outputs[0]
    if not any(x in ctx for x in node.inputs) or node.attribute("axis") not in (1, -4):
        return None
    return ctx.from_image(ctx.g.Concat(*(ctx.to_image(x) for x in node.inputs if x is not None), axis=1), y.type)


def _convert_split(ctx: _VolumesAsImages, node: Node) -> list[Value] | None:
    """Split of the channels of a volume -> one Gather of channels of its image per output"""
    x, outputs = node.inputs[0], node.outputs
    if x not in ctx or x is None or node.attribute("axis", 0) not in (1, -4):
        return None
    ends = np.cumsum([y.shape[1] for y in outputs])
    channels_by_output = np.split(np.arange(x.shape[1]), ends[:-1])
    return [
        ctx.from_image(ctx.gather_channels(ctx.to_image(x), channels), y.type)
        for channels, y in zip(channels_by_output, outputs, strict=True)
    ]


def _convert_shape(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """Shape of a volume -> its batch size, from the Shape of its image, and its other sizes as constants"""
    x, start, end = node.inputs[0], node.attribute("start", 0), node.attribute("end", 5)
    if x not in ctx or x is None or start != 0 or not 0 < end <= 5:
        return None
    samples = ctx.g.Div(ctx.g.Shape(ctx.to_image(x), start=0, end=1), x.shape[2])
    return samples if end == 1 else ctx.g.Concat(samples, ctx.g.const(x.shape[1:end], "int64"), axis=0)


def _convert_reduction(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """ReduceMean or ReduceSum of each channel of volumes -> the same of images"""
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in ctx or x is None or not isinstance(axes, Constant) or sorted(axes.array % 5) != [0, 2, 3, 4]:
        return None
    return ctx.g.reshape(ctx.g.emit(node.op, ctx.to_image(x), [0, 2, 3], **node.attributes), y.shape)


def _convert_transpose(ctx: _VolumesAsImages, node: Node) -> Value | None:
    """Transpose of volumes to channels-last -> Reshape(Transpose of images to channels-last)"""
    x, y = node.inputs[0], node.outputs[0]
    if x not in ctx or x is None or node.attribute("perm") != TO_CHANNELS_LAST:
        return None
    return ctx.g.reshape(ctx.g.Transpose(ctx.to_image(x), perm=[0, 2, 3, 1]), y.shape)


GRADIENT_CONVERTERS: dict[str, Callable[[_VolumesAsImages, Node, GradientInfo], Results]] = {
    "Conv": _convert_weight_gradient,
    "MaxPool": _convert_maxpool_gradient,
}

CONVERTERS: dict[str, Callable[[_VolumesAsImages, Node], Results]] = {
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
