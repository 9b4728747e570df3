"""1-D convolutions as 2-D convolutions over images one row high, which `to_nchwc` then converts to the NCHWc layout.

A value [batch, channels, steps] gets the second form [batch, channels, 1, steps]. Both have the same elements in the
same order, so the form costs nothing, and the operators between two convolutions are converted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....core.types import TensorType
from ....ir import Constant, GradientInfo, Graph, Node, Value
from ....passes.conversion import Conversion, Results
from ..target import Target

HEIGHT_AXIS = 2
"""The axis of an image, of size 1, that a sequence does not have."""
HEIGHT_ATTRIBUTES = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with one entry per spatial axis, and their entry for the height."""
TRANSPOSED_LAYOUTS = {(0, 2, 1): (1, [0, 3, 1, 2]), (2, 1, 0): (0, [3, 2, 0, 1])}
"""Permutations by which layers transpose channels-last values of rank 3: (axis of the operand where a height of 1 is
inserted, permutation of the result to the image)."""


def conv1d_to_conv2d(graph: Graph, target: Target) -> Graph:
    """Converts 1-D convolutions, and the operators between them, to operators over images one row high."""
    if target.block_size == 1 or not any(_is_conv1d(node) for node in graph.nodes):
        return graph
    return _SequencesAsImages(graph).run(CONVERTERS, GRADIENT_CONVERTERS)


def _is_conv1d(node: Node) -> bool:
    return node.op in ("Conv", "ConvTranspose") and node.inputs[0] is not None and node.inputs[0].rank == 3


class _SequencesAsImages(Conversion):
    """The second form of a value [batch, channels, steps] is the image [batch, channels, 1, steps]."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        infos = graph.gradients.values()
        self.pool_cotangents = {info.dy for info in infos if info.op == "MaxPool" and info.dy.rank == 3}
        """Cotangents of max poolings. Their images are emitted with them: the image of a pooling's gradient may precede
        the gradient, but must not precede the image of its cotangent."""

    def visit(self, node: Node) -> None:
        super().visit(node)
        for y in node.outputs:
            if y in self.pool_cotangents:
                self.to_image(self.current(y))

    def convert(self, node: Node, gradient_info: GradientInfo | None) -> Results:
        """Emits the node first: the image of a gradient is made from its plain value."""
        results = self.convert_operator(node)
        rule = None if gradient_info is None else self.gradient_converters.get(gradient_info.op)
        if gradient_info is None or rule is None or gradient_info.x.rank != 3:
            return results
        if results is None:
            self.keep(node)
        else:
            assert isinstance(results, Value)
            self.replace(node.outputs, [results])
        return rule(self, node, gradient_info) or self.current(node.outputs[0])

    def is_convertible(self, node: Node) -> bool:
        return super().is_convertible(node) and len(node.outputs) == 1

    def emit_form(self, x: Value) -> Value:
        producer = self.graph.producers.get(x)
        source = producer.inputs[0] if producer is not None and producer.op == "Transpose" else None
        if producer is None or source is None or tuple(producer.attribute("perm")) not in TRANSPOSED_LAYOUTS:
            return self.insert_axis(x, HEIGHT_AXIS)
        axis, perm = TRANSPOSED_LAYOUTS[tuple(producer.attribute("perm"))]
        return self.g.Transpose(self.insert_axis(self.current(source), axis), perm=perm)

    def emit_plain(self, form: Value, plain_type: TensorType) -> Value:
        batch, channels, steps = plain_type.shape
        self.g.refine(form, (batch, channels, 1, steps))
        return self.g.refine(self.g.Squeeze(form, [HEIGHT_AXIS]), plain_type.shape)

    to_image, from_image = Conversion.to_form, Conversion.from_form

    def image_operand(self, x: Value) -> Value:
        """The operand of an element-wise operator over images, where x was one over sequences and may broadcast."""
        return self.to_image(x) if x.rank == 3 else self.insert_axis(x, 1) if x.rank == 2 else x

    def insert_axis(self, x: Value, axis: int) -> Value:
        return self.g.refine(self.g.Unsqueeze(x, [axis]), (*x.shape[:axis], 1, *x.shape[axis:]))


def _convert_conv_or_pool(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """1-D Conv, ConvTranspose, MaxPool or AveragePool -> the 2-D operator, with windows one row high"""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.rank != 3 or (x not in ctx and not _is_conv1d(node)):
        return None
    operands = [ctx.to_image(x) if x is not None and x.rank == 3 else x for x in node.inputs]
    attributes = {**node.attributes, **_image_attributes(node.attributes)}
    return ctx.from_image(ctx.g.emit(node.op, *operands, **attributes), y.type)


def _convert_weight_gradient(ctx: _SequencesAsImages, node: Node, gradient_info: GradientInfo) -> Value:
    """gradient of weights [filters, channels, taps] -> Squeeze(gradient of weights [filters, channels, 1, taps])"""
    image_info, gradient = _image_gradient_info(ctx, gradient_info), ctx.current(node.outputs[0])
    image = ctx.insert_axis(gradient, HEIGHT_AXIS)
    ctx.g.gradients[image] = image_info
    return ctx.from_image(image, gradient.type)


def _convert_maxpool_gradient(ctx: _SequencesAsImages, node: Node, gradient_info: GradientInfo) -> Value | None:
    """gradient of a MaxPool over sequences -> Squeeze(gradient of a MaxPool over images)"""
    if gradient_info.x not in ctx:
        return None
    image_info, gradient = _image_gradient_info(ctx, gradient_info), ctx.current(node.outputs[0])
    image = ctx.to_image(gradient)
    ctx.g.gradients[image] = image_info
    return ctx.from_image(image, gradient.type)


def _image_gradient_info(ctx: _SequencesAsImages, gradient_info: GradientInfo) -> GradientInfo:
    """The gradient info for images. It emits nodes that must precede the gradient's image, so call it first."""
    attributes = {**gradient_info.attributes, **_image_attributes(gradient_info.attributes)}
    return GradientInfo(gradient_info.op, ctx.to_image(gradient_info.x), ctx.to_image(gradient_info.dy), attributes)


def _image_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a window over images that have an entry for each spatial axis, or for each end of an axis."""
    image_attributes = {
        name: [height, *attributes[name]] for name, height in HEIGHT_ATTRIBUTES.items() if attributes.get(name)
    }
    if pads := attributes.get("pads"):
        image_attributes["pads"] = [0, pads[0], 0, pads[1]]
    return image_attributes


def _convert_elementwise(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """element-wise operator over sequences -> the same over images"""
    y = node.outputs[0]
    if y.rank != 3 or not any(x in ctx and x is not None and x.shape == y.shape for x in node.inputs):
        return None
    operands = [None if x is None else ctx.image_operand(x) for x in node.inputs]
    return ctx.from_image(ctx.g.emit(node.op, *operands, **node.attributes), y.type)


def _convert_reduction(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """ReduceMean or ReduceSum over axes of sequences -> the same over axes of images, among them the height"""
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in ctx or x is None or not isinstance(axes, Constant):
        return None
    image_axes = sorted({HEIGHT_AXIS, *(_image_axis(axis) for axis in axes.array.tolist())})
    result = ctx.g.emit(node.op, ctx.to_image(x), image_axes, **node.attributes)
    return ctx.g.refine(ctx.g.Squeeze(result, [HEIGHT_AXIS]) if node.attribute("keepdims", 1) else result, y.shape)


def _image_axis(axis: int) -> int:
    """The axis of an image for an axis of a sequence."""
    axis %= 3
    return axis + (axis >= HEIGHT_AXIS)


def _convert_transpose(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """Transpose of sequences to channels-last -> Squeeze(Transpose of images to channels-last)"""
    x, y = node.inputs[0], node.outputs[0]
    if x not in ctx or x is None or list(node.attribute("perm")) != [0, 2, 1]:
        return None
    return ctx.g.refine(ctx.g.Squeeze(ctx.g.Transpose(ctx.to_image(x), perm=[0, 2, 3, 1]), [1]), y.shape)


def _convert_pad(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """Pad of sequences by constant widths -> Pad of images"""
    (x, *operands), y = node.inputs, node.outputs[0]
    arrays = _constant_arrays(operands)
    if x not in ctx or x is None or arrays is None or len(arrays) > 2:
        return None
    widths = arrays[0].tolist()
    image_widths = [width for ends in (widths[:3], widths[3:]) for width in np.insert(ends, HEIGHT_AXIS, 0).tolist()]
    return ctx.from_image(ctx.g.emit(node.op, ctx.to_image(x), image_widths, *arrays[1:], **node.attributes), y.type)


def _convert_slice(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """Slice of sequences by constants -> Slice of images"""
    (x, *operands), y = node.inputs, node.outputs[0]
    arrays = _constant_arrays(operands)
    if x not in ctx or x is None or arrays is None or len(arrays) < 3 or arrays[2] is None:
        return None
    starts, ends, axes, *steps = arrays
    image_axes = [_image_axis(axis) for axis in axes.tolist()]
    return ctx.from_image(ctx.g.emit(node.op, ctx.to_image(x), starts, ends, image_axes, *steps), y.type)


def _constant_arrays(operands: Sequence[Value | None]) -> list[Any] | None:
    """The arrays of constant operands, None for an absent one; None if any operand is not constant."""
    if not all(operand is None or isinstance(operand, Constant) for operand in operands):
        return None
    return [operand.array if isinstance(operand, Constant) else None for operand in operands]


def _convert_resize(ctx: _SequencesAsImages, node: Node) -> Value | None:
    """Resize of sequences by constant scales -> Resize of images, by a scale of 1 along the height"""
    x, scales, y = node.inputs[0], node.input(2), node.outputs[0]
    if x not in ctx or x is None or x.rank != 3 or not isinstance(scales, Constant) or len(node.inputs) > 3:
        return None
    image_scales = np.insert(scales.array, HEIGHT_AXIS, 1)
    return ctx.from_image(ctx.g.emit(node.op, ctx.to_image(x), None, image_scales, **node.attributes), y.type)


GRADIENT_CONVERTERS: dict[str, Callable[[_SequencesAsImages, Node, GradientInfo], Results]] = {
    "Conv": _convert_weight_gradient,
    "MaxPool": _convert_maxpool_gradient,
}

CONVERTERS: dict[str, Callable[[_SequencesAsImages, Node], Results]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool"), _convert_conv_or_pool),
    **dict.fromkeys(("Add", "Div", "Exp", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Relu"), _convert_elementwise),
    **dict.fromkeys(("Sigmoid", "Sub", "Tanh"), _convert_elementwise),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _convert_reduction),
    "Transpose": _convert_transpose,
    "Pad": _convert_pad,
    "Resize": _convert_resize,
    "Slice": _convert_slice,
}
