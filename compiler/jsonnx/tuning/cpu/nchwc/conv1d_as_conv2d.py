"""Convolutions of sequences as those of images one row high, for a session that has blocks for images (`blocked`).

A value [batch, channels, steps] gets a twin [batch, channels, 1, steps], and what is computed of it between two
convolutions is computed of its twin. Neither costs anything: the numbers lie in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ....core.types import Dim
from ....ir import Builder, Constant, GradientInfo, Graph, Node, Value
from ....passes.canonicalize import canonicalize
from ..target import Target

HEIGHT_AXIS = 2
"""The axis that is put in."""
HEIGHT_ATTRIBUTES = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with a number for each spatial axis, and what they are along the row."""
TRANSPOSED_LAYOUTS = {(0, 2, 1): (1, [0, 3, 1, 2]), (2, 1, 0): (0, [3, 2, 0, 1])}
"""Permutations that give values of rank 3 as layers emit them, steps before channels: where the row's axis comes in
before them, and which permutation gives the twin then."""


def conv1d_to_conv2d(graph: Graph, target: Target) -> Graph:
    """The graph with these convolutions and what stands between them."""
    if target.block_size == 1 or not any(_is_conv1d(node) for node in graph.nodes):
        return graph
    twins = _ReshapedSequences(graph)
    new = twins.replacements
    # What a gradient is made of has to be there before its twin, which may come sooner than the gradient.
    early = {told.dy for told in graph.gradients.values() if told.op == "MaxPool" and told.dy.rank == 3}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        form = None if node.domain or len(node.outputs) != 1 else CONVERTERS.get(node.op)
        with twins.g.inherit(node):
            result = None if form is None else form(twins, node)
            if result is None:
                twins.g.nodes.append(node)
            told = graph.gradients.get(node.outputs[0])
            if told is not None and told.op in GRADIENT_CONVERTERS and told.x.rank == 3:
                result = GRADIENT_CONVERTERS[told.op](twins, result or node.outputs[0], told.remapped(new))
        if result is not None:
            new[node.outputs[0]] = result
        for y in node.outputs:
            if y in early:
                twins.to_image(new.get(y, y))
    return canonicalize(replace(graph, gradients=twins.g.gradients).with_nodes(twins.g.nodes, new))


def _is_conv1d(node: Node) -> bool:
    return node.op in ("Conv", "ConvTranspose") and node.inputs[0] is not None and node.inputs[0].rank == 3


class _ReshapedSequences:
    """The nodes made so far, and which of their values of rank 3 have a twin."""

    def __init__(self, graph: Graph) -> None:
        self.g = Builder.extending(graph)
        self.g.nodes = []
        self.replacements: dict[Value, Value] = {}
        """What has come in the place of a value of the graph."""
        self._images: dict[Value, Value] = {}
        self._producers = graph.producers

    def __contains__(self, x: Value | None) -> bool:
        return x in self._images

    def to_image(self, x: Value) -> Value:
        """The twin of a value, which is made where there is none."""
        if x not in self._images:
            node = self._producers.get(x)
            source = node.inputs[0] if node is not None and node.op == "Transpose" else None
            turned = (
                TRANSPOSED_LAYOUTS.get(tuple(node.attribute("perm")))
                if node is not None and source is not None
                else None
            )
            if turned is None or source is None:
                self._images[x] = self.insert_axis(x, HEIGHT_AXIS)
            else:
                axis, perm = turned
                self._images[x] = self.g.Transpose(
                    self.insert_axis(self.replacements.get(source, source), axis), perm=perm
                )
        return self._images[x]

    def image_operand(self, x: Value) -> Value:
        """What stands beside a twin for a value that is repeated to its shape."""
        return self.to_image(x) if x.rank == 3 else self.insert_axis(x, 1) if x.rank == 2 else x

    def insert_axis(self, x: Value, axis: int) -> Value:
        return self.g.refine(self.g.Unsqueeze(x, [axis]), (*x.shape[:axis], 1, *x.shape[axis:]))

    def from_image(self, image: Value, shape: tuple[Dim, ...]) -> Value:
        """The value of this shape, of rank 3, of a twin."""
        result = self.g.refine(self.g.Squeeze(image, [HEIGHT_AXIS]), shape)
        self._images[result] = self.g.refine(image, (*shape[:HEIGHT_AXIS], 1, *shape[HEIGHT_AXIS:]))
        return result


def _convert_conv_or_pool(ctx: _ReshapedSequences, node: Node) -> Value | None:
    """What has a moving window: along the row it is one wide."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.rank != 3 or (x not in ctx and not _is_conv1d(node)):
        return None
    operands = [ctx.to_image(x) if x is not None and x.rank == 3 else x for x in node.inputs]
    twin = ctx.g.emit(node.op, *operands, **{**node.attributes, **_image_attributes(node.attributes)})
    return ctx.from_image(twin, y.shape)


def _convert_weight_gradient(ctx: _ReshapedSequences, gradient: Value, gradient_info: GradientInfo) -> Value:
    """The gradient of a convolution's weights [filters, channels, taps], whose twin tells what it is."""
    gradient_info = _image_gradient_info(ctx, gradient_info)  # before what it tells of: as nodes come
    twin = ctx.insert_axis(gradient, HEIGHT_AXIS)
    ctx.g.gradients[twin] = gradient_info
    return ctx.from_image(twin, gradient.shape)


def _convert_maxpool_gradient(ctx: _ReshapedSequences, gradient: Value, gradient_info: GradientInfo) -> Value:
    """The gradient of a max pooling, where what was pooled has a twin."""
    if gradient_info.x not in ctx:
        return gradient
    gradient_info = _image_gradient_info(ctx, gradient_info)
    twin = ctx.to_image(gradient)
    ctx.g.gradients[twin] = gradient_info
    return ctx.from_image(twin, gradient.shape)


def _image_gradient_info(ctx: _ReshapedSequences, gradient_info: GradientInfo) -> GradientInfo:
    attributes = {**gradient_info.attributes, **_image_attributes(gradient_info.attributes)}
    return GradientInfo(gradient_info.op, ctx.to_image(gradient_info.x), ctx.to_image(gradient_info.dy), attributes)


def _image_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that have a number for each spatial axis, or for both of its ends."""
    found = {name: [along, *attributes[name]] for name, along in HEIGHT_ATTRIBUTES.items() if attributes.get(name)}
    if pads := attributes.get("pads"):
        found["pads"] = [0, pads[0], 0, pads[1]]
    return found


def _convert_elementwise(ctx: _ReshapedSequences, node: Node) -> Value | None:
    y = node.outputs[0]
    if y.rank != 3 or not any(x in ctx and x is not None and x.shape == y.shape for x in node.inputs):
        return None
    twin = ctx.g.emit(node.op, *(None if x is None else ctx.image_operand(x) for x in node.inputs), **node.attributes)
    return ctx.from_image(twin, y.shape)


def _convert_reduction(ctx: _ReshapedSequences, node: Node) -> Value | None:
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in ctx or x is None or not isinstance(axes, Constant):
        return None
    places = sorted({HEIGHT_AXIS, *(_image_axis(axis) for axis in axes.array.tolist())})
    result = ctx.g.emit(node.op, ctx.to_image(x), places, **node.attributes)
    return ctx.g.refine(ctx.g.Squeeze(result, [HEIGHT_AXIS]) if node.attribute("keepdims", 1) else result, y.shape)


def _image_axis(axis: int) -> int:
    """Where an axis is in the twin."""
    axis %= 3
    return axis + (axis >= HEIGHT_AXIS)


def _convert_transpose(ctx: _ReshapedSequences, node: Node) -> Value | None:
    x, y = node.inputs[0], node.outputs[0]
    if x not in ctx or x is None or list(node.attribute("perm")) != [0, 2, 1]:
        return None
    return ctx.g.refine(ctx.g.Squeeze(ctx.g.Transpose(ctx.to_image(x), perm=[0, 2, 3, 1]), [1]), y.shape)


def _convert_pad_or_slice(ctx: _ReshapedSequences, node: Node) -> Value | None:
    """What is cut from the ends of sequences, or put around them."""
    (x, *places), y = node.inputs, node.outputs[0]
    if x not in ctx or x is None or not all(isinstance(p, Constant) or p is None for p in places):
        return None
    given: list[Any] = [p.array if isinstance(p, Constant) else None for p in places]
    if node.op == "Pad" and len(places) < 3:
        before, after = given[0].tolist()[:3], given[0].tolist()[3:]
        given[0] = [end for ends in (before, after) for end in (*ends[:HEIGHT_AXIS], 0, *ends[HEIGHT_AXIS:])]
    elif node.op == "Slice" and len(places) >= 3 and given[2] is not None:
        given[2] = [_image_axis(axis) for axis in given[2].tolist()]
    else:
        return None
    twin = ctx.g.emit(node.op, ctx.to_image(x), *given, **node.attributes)
    return ctx.from_image(twin, y.shape)


def _convert_resize(ctx: _ReshapedSequences, node: Node) -> Value | None:
    """Every element several times."""
    x, scales = node.inputs[0], node.input(2)
    if x not in ctx or x is None or x.rank != 3 or not isinstance(scales, Constant) or len(node.inputs) > 3:
        return None
    twin = ctx.g.emit(node.op, ctx.to_image(x), None, np.insert(scales.array, HEIGHT_AXIS, 1), **node.attributes)
    return ctx.from_image(twin, node.outputs[0].shape)


GRADIENT_CONVERTERS: dict[str, Callable[[_ReshapedSequences, Value, GradientInfo], Value]] = {
    "Conv": _convert_weight_gradient,
    "MaxPool": _convert_maxpool_gradient,
}

CONVERTERS: dict[str, Callable[[_ReshapedSequences, Node], Value | None]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool"), _convert_conv_or_pool),
    **dict.fromkeys(("Add", "Div", "Exp", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Relu"), _convert_elementwise),
    **dict.fromkeys(("Sigmoid", "Sub", "Tanh"), _convert_elementwise),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _convert_reduction),
    "Transpose": _convert_transpose,
    "Pad": _convert_pad_or_slice,
    "Resize": _convert_resize,
    "Slice": _convert_pad_or_slice,
}
