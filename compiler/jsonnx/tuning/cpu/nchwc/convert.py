"""Converts convolutions of images, and the operators between them, to onnxruntime's NCHWc layout.

NCHWc is the layout of onnxruntime's fastest CPU convolutions: [batch, channels / block, height, width, block], where a
block of channels fills a vector register. onnxruntime converts a Conv to it by itself only if the weights are constant,
which they are not in training. This pass emits the operators of the domain `com.microsoft.nchwc` directly. The block
size depends on the machine, so graphs written to a file must not contain them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ....ir import Constant, GradientInfo, Graph, Node, Value
from ....passes.canonicalize import canonicalize
from ....passes.conversion import Results
from ..sink_into_branches import sink_into_branches
from ..target import Target
from .channel_dot import channel_dot
from .context import NCHWC_DOMAIN, FusedConv, NchwcContext
from .conv_as_product import product_of_cotangents, product_of_windows, weight_gradient_product
from .conv_transpose import convert_strided_conv_transpose
from .conv_weight_gradient import conv_weight_gradient
from .data_movement import (
    convert_channel_pad,
    convert_concat,
    convert_gather,
    convert_reshape,
    convert_shape,
    convert_split,
    convert_transpose,
)
from .depthwise_weight_gradient import depthwise_weight_gradient
from .maxpool_2x2_gradient import maxpool_2x2_gradient
from .maxpool_gradient import maxpool_gradient
from .profitability import is_profitable

IMAGE_OPS = {"AveragePool", "Conv", "ConvTranspose", "MaxPool", "Resize"}
"""Operators of which a graph has one if it has images; all others only join, move or change blocked images."""


def to_nchwc(graph: Graph, target: Target) -> Graph:
    """Converts convolutions, and the operators between them, to the NCHWc layout."""
    if target.block_size == 1:
        return graph
    if IMAGE_OPS.isdisjoint([node.op for node in graph.nodes]):
        return sink_into_branches(canonicalize(graph))
    return NchwcContext(graph, target).run(CONVERTERS, GRADIENT_CONVERTERS)


def convert_conv(ctx: NchwcContext, node: Node) -> Value | None:
    """Conv -> NCHWc Conv"""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    group, bias = node.attribute("group", 1), node.input(2)
    if x.rank == 4 and ctx.is_depthwise(x.shape[1], w, group):
        return ctx.emit_conv(FusedConv(ctx.to_blocked(x), ctx.depthwise_filters(w), node.attributes, bias), y.type)
    if x.rank != 4 or group > 1 or not is_profitable(ctx, w, y):
        return None
    product = product_of_windows(ctx, node)
    if product is not None:
        return product
    if bias is not None:
        bias = ctx.padded_channel_vector(bias, y.shape[1])
    conv = conv_over_channels_last_rows(ctx, node, x, w) or FusedConv(
        ctx.conv_operand(x), ctx.blocked_filters(w), node.attributes
    )
    return ctx.emit_conv(replace(conv, bias=bias), y.type)


def conv_over_channels_last_rows(ctx: NchwcContext, node: Node, x: Value, w: Value) -> FusedConv | None:
    """A Conv of a channels-last image with fewer channels than a block, without a Transpose to channels-first.

    The rows of the image, [width * channels], become rows of an image of one channel; the window is as many columns
    wide as it has columns times channels. None if the image has no channels-last form.
    """
    _, channels, kernel_height, kernel_width = w.shape
    dilations = node.attribute("dilations", [1, 1])
    if (
        channels >= ctx.block_size
        or not ctx.has_channels_last(x)
        or not x.type.is_static(2, 3)
        or (kernel_width > 1 and dilations[1] > 1)
        or node.attribute("auto_pad", "NOTSET") != "NOTSET"
    ):
        return None
    batch, _, height, width = x.shape
    row_stride, column_stride = node.attribute("strides", [1, 1])
    top, left, bottom, right = node.attribute("pads", [0] * 4)
    attributes = {
        "kernel_shape": [kernel_height, kernel_width * channels],
        "strides": [row_stride, column_stride * channels],
        "pads": [top, left * channels, bottom, right * channels],
        "dilations": [dilations[0], 1],
    }
    rows = ctx.g.reshape(ctx.channels_last(x), (batch, 1, height, width * channels))
    return FusedConv(rows, ctx.row_filters(w), attributes)


def convert_conv_transpose(ctx: NchwcContext, node: Node) -> Value | None:
    """ConvTranspose with stride 1 -> NCHWc Conv with flipped filters; strides are in `conv_transpose`

    It is the gradient of a Conv by its operand, or a layer, which may have a bias.
    """
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    group = node.attribute("group", 1)
    depthwise = ctx.is_depthwise(x.shape[1], w, group)
    if x.rank != 4 or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        return None
    if not (depthwise or (group == 1 and is_profitable(ctx, w, y, transposed=True))):
        return None
    product = product_of_cotangents(ctx, node)
    if product is not None:
        return product
    bias = node.input(2)
    if bias is not None:
        bias = ctx.padded_channel_vector(bias, y.shape[1])
    if max(node.attribute("strides", [1, 1])) > 1:
        return convert_strided_conv_transpose(ctx, node, bias, depthwise=depthwise)
    dilations, forward_pads = node.attribute("dilations", [1, 1]), node.attribute("pads", [0] * 4)
    max_pads = [(size - 1) * dilation for size, dilation in zip(w.shape[2:], dilations, strict=True)] * 2
    pads = [max_pad - pad for max_pad, pad in zip(max_pads, forward_pads, strict=True)]
    if min(pads) < 0 or any(node.attribute("output_padding", [])):
        return None
    weights = ctx.depthwise_filters(w, flipped=True) if depthwise else ctx.blocked_filters(w, flipped=True)
    attributes = {"group": group, "dilations": dilations, "pads": pads}
    image = ctx.to_blocked(x) if depthwise else ctx.conv_operand(x)
    return ctx.emit_conv(FusedConv(image, weights, attributes, bias), y.type)


def convert_elementwise(ctx: NchwcContext, node: Node) -> Value | None:
    """element-wise operator, an operand of which is blocked -> the same over blocks"""
    y, images = node.outputs[0], [x for x in node.inputs if x is not None and not has_one_element(x)]
    if y.rank != 4 or not (ctx.fills_blocks(y) or is_safe_on_padding(node)):
        return None
    if not any(x in ctx for x in images) or not all(x.shape == y.shape or is_broadcast_constant(x, y) for x in images):
        return None
    if any(ctx.needs_channel_pad(x) for x in images):
        return None
    operands = [ctx.blocked_operand(x, y) if x in images and x is not None else x for x in node.inputs]
    result = ctx.from_blocked(ctx.g.emit(node.op, *operands, **node.attributes), y.type)
    if node.op == "Mul" and all(is_blocked_like(ctx, x, y) for x in node.inputs):
        ctx.set_factors(result, operands)
    return result


def is_safe_on_padding(node: Node) -> bool:
    """Whether an operator gives finite numbers for padding channels: a Div by a nonzero constant does."""
    divisor = node.input(1)
    nonzero = node.op == "Div" and isinstance(divisor, Constant) and has_one_element(divisor) and np.all(divisor.array)
    return bool(nonzero) or node.op not in UNSAFE_ON_PADDING_OPS


def is_broadcast_constant(x: Value, y: Value) -> bool:
    """Whether x is a constant that is equal for all samples of y."""
    return isinstance(x, Constant) and y.type.is_static(1, 2, 3) and (x.rank < 4 or x.shape[0] == 1)


def has_one_element(x: Value) -> bool:
    return x.type.elements == 1


def is_blocked_like(ctx: NchwcContext, x: Value | None, y: Value) -> bool:
    """Whether x has a blocked form and the shape of y."""
    return x in ctx and x is not None and x.shape == y.shape


def is_per_channel(x: Value | None, y: Value) -> bool:
    """Whether x has one element for each channel of y."""
    return x is not None and y.rank == 4 and x.rank >= 3 and (1, *x.shape)[-4:] == (1, y.shape[1], 1, 1)


def convert_activation(ctx: NchwcContext, node: Node) -> Value | None:
    """activation(Conv) -> Conv with the activation fused; elsewhere the activation over blocks"""
    x, y, activation = node.inputs[0], node.outputs[0], activation_attributes(node)
    conv = ctx.fusable_conv(x)
    if activation is None:
        return convert_elementwise(ctx, node)
    if conv is None or "activation" in conv.attributes:
        return ctx.apply_activation(x, activation) or convert_elementwise(ctx, node)
    return ctx.emit_conv(replace(conv, attributes={**conv.attributes, **activation}), y.type)


def activation_attributes(node: Node) -> dict[str, Any] | None:
    """The attributes of an NCHWc Conv with this activation; None for a Clip whose bounds are not constant."""
    parameters = [node.attribute(name, default) for name, default in FUSABLE_ACTIVATIONS[node.op].items()]
    if node.op == "Clip":
        bounds = [node.input(index) for index in (1, 2)]
        if not all(bound is None or isinstance(bound, Constant) for bound in bounds):
            return None
        bounds_and_defaults = zip(bounds, (-np.inf, np.inf), strict=True)
        parameters = [
            bound.array.item() if isinstance(bound, Constant) else default for bound, default in bounds_and_defaults
        ]
    return {"activation": node.op, **({"activation_params": parameters} if parameters else {})}


def convert_mul(ctx: NchwcContext, node: Node) -> Value | None:
    """Mul(image, one factor per channel) -> depthwise NCHWc Conv with one tap; elsewhere Mul over blocks"""
    y = node.outputs[0]
    for x, factor in (node.inputs, node.inputs[::-1]):
        if is_blocked_like(ctx, x, y) and is_per_channel(factor, y):
            assert x is not None
            assert factor is not None
            factors = ctx.padded_channel_vector(factor, y.shape[1])
            return ctx.emit_conv(channel_scale_conv(ctx, ctx.to_blocked(x), factors), y.type)
    return convert_elementwise(ctx, node)


def channel_scale_conv(ctx: NchwcContext, image: Value, factors: Value, bias: Value | None = None) -> FusedConv:
    """A blocked image times one factor per channel, as a depthwise Conv."""
    channels = image.shape[1]
    weights = ctx.g.reshape(factors, (channels, 1, 1, 1))
    return FusedConv(image, weights, {"group": channels, "kernel_shape": [1, 1]}, bias)


def convert_add(ctx: NchwcContext, node: Node) -> Value | None:
    """Add(Conv, summand) -> Conv with a fused summand, or with a bias if the summand has one element per channel

    Without a Conv, a summand per channel is the bias of a depthwise Conv by ones; elsewhere Add over blocks.
    """
    y = node.outputs[0]
    for x, other in (node.inputs, node.inputs[::-1]):
        if not is_blocked_like(ctx, x, y) or x is None or other is None:
            continue
        conv = ctx.fusable_conv(x)
        if is_per_channel(other, y):
            bias = ctx.padded_channel_vector(other, y.shape[1])
            if conv is None or "activation" in conv.attributes or conv.bias is not None:
                ones = ctx.g.const(np.ones(ctx.padded_channels(y.shape[1])), y.dtype)
                return ctx.emit_conv(channel_scale_conv(ctx, ctx.to_blocked(x), ones, bias), y.type)
            return ctx.emit_conv(replace(conv, bias=bias), y.type)
        if other.shape == y.shape and conv is not None and conv.accepts_summand and other is not x:
            return ctx.emit_conv(replace(conv, summand=ctx.to_blocked(other)), y.type)
    return convert_elementwise(ctx, node)


def convert_reduction(ctx: NchwcContext, node: Node) -> Value | None:
    """ReduceMean or ReduceSum of each channel -> NCHWc GlobalAveragePool, or `channel_dot` for a product, then the same
    over [batch, channels, 1, 1], whose blocked and plain forms are equal"""
    x, y, axes = node.inputs[0], node.outputs[0], node.input(1)
    if x not in ctx or x is None or not x.type.is_static(2, 3) or not isinstance(axes, Constant):
        return None
    if sorted(axes.array.tolist()) != [0, 2, 3]:
        return None
    channel_values, positions = channel_dot(ctx, x), float(prod(x.shape[2:]))
    factor = 1.0 / positions if node.op == "ReduceMean" else 1.0
    if channel_values is None:
        pooled_type = ctx.padded_type(x.type.with_shape((*x.shape[:2], 1, 1)))
        channel_values = ctx.g.custom_op("GlobalAveragePool", NCHWC_DOMAIN, [ctx.to_blocked(x)], pooled_type)
        factor = positions if node.op == "ReduceSum" else 1.0
    if not ctx.fills_blocks(x):
        channel_values = ctx.g.Slice(channel_values, [0], [x.shape[1]], [1])
    result = ctx.g.emit(node.op, channel_values, axes, **node.attributes)
    return ctx.g.refine(result if factor == 1.0 else ctx.g.Mul(result, factor), y.shape)


def convert_pool(ctx: NchwcContext, node: Node) -> Value | None:
    """MaxPool or AveragePool of a blocked image -> the NCHWc operator"""
    x, y = node.inputs[0], node.outputs[0]
    if x not in ctx or x is None or node.attribute("ceil_mode"):
        return None
    blocks = ctx.g.custom_op(node.op, NCHWC_DOMAIN, [ctx.to_blocked(x)], ctx.padded_type(y.type), **node.attributes)
    return ctx.from_blocked(blocks, y.type)


def convert_resize(ctx: NchwcContext, node: Node) -> Value | None:
    """Resize of a blocked image to nearest neighbours by whole factors -> NCHWc Upsample"""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    repeating = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if x not in ctx or x is None or node.attributes != repeating or not isinstance(scales, Constant):
        return None
    factors = [int(factor) for factor in scales.array]
    if factors[:2] != [1, 1] or factors != scales.array.tolist():
        return None
    blocks = ctx.g.custom_op(
        "Upsample", NCHWC_DOMAIN, [ctx.to_blocked(x)], ctx.padded_type(y.type), scales=factors, mode="nearest"
    )
    return ctx.from_blocked(blocks, y.type)


def convert_pad(ctx: NchwcContext, node: Node) -> Value | None:
    """Pad of rows and columns, or of whole blocks of channels -> Pad of [batch, blocks, height, width, block]"""
    return convert_spatial_pad(ctx, node) or convert_channel_pad(ctx, node)


def convert_spatial_pad(ctx: NchwcContext, node: Node) -> Value | None:
    """Pad of rows and columns by constant widths -> Pad of [batch, blocks, height, width, block]"""
    x, operands = node.inputs[0], constant_operands(node)
    if operands is None or len(operands) > 2 or node.attribute("mode", "constant") != "constant":
        return None
    if x is None or x.rank != 4 or not keeps_channels(ctx, node):
        return None
    return edit_rows_and_columns(ctx, node, [np.insert(operands[0], [4, 8], 0), *operands[1:]])


def convert_slice(ctx: NchwcContext, node: Node) -> Value | None:
    """Slice of rows and columns by constants -> Slice of [batch, blocks, height, width, block]"""
    operands = constant_operands(node)
    if operands is None or len(operands) < 3 or not keeps_channels(ctx, node):
        return None
    starts, ends, axes, *steps = operands
    if any(axis % 4 < 2 for axis in axes):
        return None
    return edit_rows_and_columns(ctx, node, [starts, ends, axes % 4, *steps])


def constant_operands(node: Node) -> list[np.ndarray] | None:
    """The arrays of the operands after the first; None if one of them is absent or not constant."""
    arrays = [np.asarray(x.array) for x in node.inputs[1:] if isinstance(x, Constant)]
    return arrays if len(arrays) == len(node.inputs) - 1 else None


def keeps_channels(ctx: NchwcContext, node: Node) -> bool:
    """Whether the first operand is blocked, and the result has its batch size and channels."""
    x, y = node.inputs[0], node.outputs[0]
    return x in ctx and x is not None and y.shape[:2] == x.shape[:2]


def edit_rows_and_columns(ctx: NchwcContext, node: Node, operands: Sequence[np.ndarray]) -> Value:
    """Emits the node's operator over [batch, blocks, height, width, block] with these operands after the first."""
    (x, *_), y = node.inputs, node.outputs[0]
    assert x is not None
    batch, channels, *size = ctx.to_blocked(x).shape
    blocks = ctx.g.reshape(ctx.to_blocked(x), (batch, channels // ctx.block_size, *size, ctx.block_size))
    edited = ctx.g.emit(node.op, blocks, *operands, **node.attributes)
    edited = ctx.g.refine(edited, (*blocks.shape[:2], *y.shape[2:], ctx.block_size))
    return ctx.from_blocked(ctx.g.reshape(edited, ctx.padded_type(y.type).shape), y.type)


def convert_weight_gradient(ctx: NchwcContext, node: Node, gradient_info: GradientInfo) -> Value | None:
    """gradient of a Conv's weights -> NCHWc Conv, depthwise or over blocks of samples"""
    weights = node.outputs[0]
    special = depthwise_weight_gradient(ctx, gradient_info, weights) or weight_gradient_product(
        ctx, gradient_info, weights
    )
    return special or conv_weight_gradient(ctx, gradient_info, node)


def convert_maxpool_gradient(ctx: NchwcContext, node: Node, gradient_info: GradientInfo) -> Value | None:
    """gradient of a MaxPool -> comparisons over blocks, for 2x2 windows or for any"""
    gradient = node.outputs[0]
    return maxpool_2x2_gradient(ctx, gradient_info, gradient) or maxpool_gradient(ctx, gradient_info, gradient)


UNSAFE_ON_PADDING_OPS = {"Div", "Exp", "Reciprocal", "Sqrt"}
"""Operators that may give infinities or NaN for padding channels."""

FUSABLE_ACTIVATIONS: dict[str, dict[str, float]] = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.01},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Clip": {},
    "Sigmoid": {},
    "Tanh": {},
}
"""Activations that an NCHWc Conv can apply: the attributes that it takes as parameters, with their defaults."""

GRADIENT_CONVERTERS: dict[str, Callable[[NchwcContext, Node, GradientInfo], Results]] = {
    "Conv": convert_weight_gradient,
    "MaxPool": convert_maxpool_gradient,
}

CONVERTERS: dict[str, Callable[[NchwcContext, Node], Results]] = {
    "Conv": convert_conv,
    "ConvTranspose": convert_conv_transpose,
    "Transpose": convert_transpose,
    **dict.fromkeys(FUSABLE_ACTIVATIONS, convert_activation),
    "Mul": convert_mul,
    "Add": convert_add,
    "Concat": convert_concat,
    "Split": convert_split,
    "ReduceMean": convert_reduction,
    "ReduceSum": convert_reduction,
    "MaxPool": convert_pool,
    "AveragePool": convert_pool,
    "Resize": convert_resize,
    "Pad": convert_pad,
    "Slice": convert_slice,
    "Shape": convert_shape,
    "Reshape": convert_reshape,
    "Gather": convert_gather,
    **dict.fromkeys(
        ("Abs", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "Max", "Min", "Mish"), convert_elementwise
    ),
    **dict.fromkeys(("Neg", "Reciprocal", "Selu", "Softplus", "Softsign", "Sqrt", "Sub"), convert_elementwise),
}
