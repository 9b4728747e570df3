"""Convolutions in the layout in which onnxruntime's CPU kernels are fastest: channels in blocks of as many as a vector
register holds, [batch, channels / block, height, width, block].

onnxruntime has such kernels, which take about half the time, and uses them itself only where the weights are constant;
in training they are not. So this pass writes their operators (domain `com.microsoft.nchwc`), for a graph that runs on
the CPU here and now: which block is right, the machine says, and a file for others must not hold them.

In the graph a blocked value has the type of the plain one, its channels filled up to whole blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ....ir import Constant, GradientInfo, Graph, Node, Value
from ....passes.canonicalize import canonicalize
from ..sink_into_branches import sink_into_branches
from ..target import Target
from .channel_dot import channel_dot
from .context import NCHWC_DOMAIN, FusedConv, NchwcContext
from .conv_transpose import convert_strided_conv_transpose
from .conv_weight_gradient import conv_weight_gradient
from .data_movement import convert_channel_pad, convert_concat, convert_gather, convert_reshape, convert_split
from .depthwise_weight_gradient import depthwise_weight_gradient
from .maxpool_2x2_gradient import maxpool_2x2_gradient
from .maxpool_gradient import maxpool_gradient

TO_CHANNELS_LAST = [0, 2, 3, 1]
"""The permutation that puts channels last."""
TO_CHANNELS_FIRST = [0, 3, 1, 2]
"""And the one that puts them before height and width."""


def to_nchwc(graph: Graph, target: Target) -> Graph:
    """Converts convolutions, and the operators between them, to the NCHWc layout."""
    if target.block_size == 1:
        return graph
    made = NchwcContext(graph, target.block_size, target.expected_batch, target.threads)
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        told = graph.gradients.get(node.outputs[0])
        with made.g.inherit(node):
            results = convert_node(made, node, None if told is None else told.remapped(new))
        if results is None:
            made.g.nodes.append(node)
        else:
            for old, result in zip(node.outputs, results, strict=True):
                new[old] = result
                made.inherit_uses(result, old)
    return sink_into_branches(canonicalize(graph.with_nodes(made.g.nodes, new)))


def convert_node(ctx: NchwcContext, node: Node, gradient_info: GradientInfo | None) -> Sequence[Value] | None:
    """What stands for a node's results, of which the first may be known to be a gradient; None where nothing does."""
    known = None if gradient_info is None else GRADIENT_CONVERTERS.get(gradient_info.op)
    result = None if gradient_info is None or known is None else known(ctx, gradient_info, node)
    if result is None and not node.domain and (node.outputs[0].dtype == "float32" or node.op == "Shape"):
        if node.op == "Split":
            return convert_split(ctx, node)
        form = CONVERTERS.get(node.op) if len(node.outputs) == 1 else None
        result = None if form is None else form(ctx, node)
    return None if result is None else [result]


def convert_conv(ctx: NchwcContext, node: Node) -> Value | None:
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    group, bias = node.attribute("group", 1), node.input(2)
    if x.rank == 4 and ctx.is_depthwise(x.shape[1], w, group):
        return ctx.emit_conv(FusedConv(ctx.to_blocked(x), ctx.depthwise_filters(w), node.attributes, bias), y.type)
    if x.rank != 4 or group > 1 or not ctx.is_profitable(w, y):
        return None
    if bias is not None:
        bias = ctx.padded_channel_vector(bias, y.shape[1])
    recipe = conv_with_channels_in_rows(ctx, node, x, w) or FusedConv(
        ctx.conv_operand(x), ctx.blocked_filters(w), node.attributes
    )
    return ctx.emit_conv(replace(recipe, bias=bias), y.type)


def conv_with_channels_in_rows(ctx: NchwcContext, node: Node, x: Value, w: Value) -> FusedConv | None:
    """Channels too few for a block, where they come last, lie beside each other in the rows of an image of one channel:
    a window over it is one of so many columns more, and nothing is transposed."""
    _, channels, high, wide = w.shape
    gaps = node.attribute("dilations", [1, 1])
    if (
        channels >= ctx.block_size
        or not ctx.has_channels_last(x)
        or not x.type.is_static(2, 3)
        or (wide > 1 and gaps[1] > 1)
    ):
        return None
    if node.attribute("auto_pad", "NOTSET") != "NOTSET":
        return None
    batch, _, height, width = x.shape
    down, right = node.attribute("strides", [1, 1])
    above, left, below, behind = node.attribute("pads", [0] * 4)
    moves = {
        "kernel_shape": [high, wide * channels],
        "strides": [down, right * channels],
        "pads": [above, left * channels, below, behind * channels],
        "dilations": [gaps[0], 1],
    }
    rows = ctx.g.reshape(ctx.channels_last(x), (batch, 1, height, width * channels))
    return FusedConv(rows, ctx.row_filters(w), moves)


def convert_conv_transpose(ctx: NchwcContext, node: Node) -> Value | None:
    """The gradient of a convolution of stride 1 is one of its cotangent, with all windows turned round. A layer may do
    the same, with a bias."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    group = node.attribute("group", 1)
    alone = ctx.is_depthwise(x.shape[1], w, group)
    if x.rank != 4 or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        return None
    if not (alone or (group == 1 and ctx.is_profitable(w, y, transposed=True))):
        return None
    bias = node.input(2)
    if bias is not None:
        bias = ctx.padded_channel_vector(bias, y.shape[1])
    if max(node.attribute("strides", [1, 1])) > 1:
        return convert_strided_conv_transpose(ctx, node, bias, depthwise=alone)
    gaps, given = node.attribute("dilations", [1, 1]), node.attribute("pads", [0] * 4)
    reach = [(size - 1) * gap for size, gap in zip(w.shape[2:], gaps, strict=True)]
    pads = [most - pad for most, pad in zip(reach * 2, given, strict=True)]
    if min(pads) < 0 or any(node.attribute("output_padding", [])):
        return None
    weights = ctx.depthwise_filters(w, flipped=True) if alone else ctx.blocked_filters(w, flipped=True)
    attributes = {"group": group, "dilations": gaps, "pads": pads}
    return ctx.emit_conv(
        FusedConv(ctx.to_blocked(x) if alone else ctx.conv_operand(x), weights, attributes, bias), y.type
    )


def convert_elementwise(ctx: NchwcContext, node: Node) -> Value | None:
    """What is done to every element alike is done to blocks, where an operand is there in blocks."""
    y, full = node.outputs[0], [x for x in node.inputs if x is not None and not has_one_element(x)]
    if y.rank != 4 or not (ctx.fills_blocks(y) or is_safe_on_padding(node)):
        return None
    if not any(x in ctx for x in full) or not all(x.shape == y.shape or is_broadcast_constant(x, y) for x in full):
        return None
    if any(ctx.needs_channel_pad(x) for x in full):
        return None
    operands = [ctx.blocked_operand(x, y) if x in full and x is not None else x for x in node.inputs]
    result = ctx.from_blocked(ctx.g.emit(node.op, *operands, **node.attributes), y.type)
    if node.op == "Mul" and all(is_blocked_like(ctx, x, y) for x in node.inputs):
        ctx.set_factors(result, operands)
    return result


def is_safe_on_padding(node: Node) -> bool:
    """Whether an operator makes numbers of any: a Div does by one known number that is not zero."""
    divisor = node.input(1)
    known = node.op == "Div" and isinstance(divisor, Constant) and has_one_element(divisor) and np.all(divisor.array)
    return bool(known) or node.op not in UNSAFE_ON_PADDING_OPS


def is_broadcast_constant(x: Value, y: Value) -> bool:
    """Whether x is a known pattern over every sample of y."""
    return isinstance(x, Constant) and y.type.is_static(1, 2, 3) and (x.rank < 4 or x.shape[0] == 1)


def has_one_element(x: Value) -> bool:
    return x.type.elements == 1


def is_blocked_like(ctx: NchwcContext, x: Value | None, y: Value) -> bool:
    return x in ctx and x is not None and x.shape == y.shape


def is_per_channel(x: Value | None, y: Value) -> bool:
    """Whether x holds one number for each channel of y."""
    return x is not None and y.rank == 4 and x.rank >= 3 and (1, *x.shape)[-4:] == (1, y.shape[1], 1, 1)


def convert_activation(ctx: NchwcContext, node: Node) -> Value | None:
    """What a convolution, or several that make an image, may do to every element of their results."""
    x, y, function = node.inputs[0], node.outputs[0], activation_attributes(node)
    recipe = ctx.fusable_conv(x)
    if function is None:
        return convert_elementwise(ctx, node)
    if recipe is None or "activation" in recipe.attributes:
        return ctx.apply_activation(x, function) or convert_elementwise(ctx, node)
    return ctx.emit_conv(replace(recipe, attributes={**recipe.attributes, **function}), y.type)


def activation_attributes(node: Node) -> dict[str, Any] | None:
    """An activation as a convolution's attributes; None where its bounds are not known."""
    numbers = [node.attribute(name, default) for name, default in FUSABLE_ACTIVATIONS[node.op].items()]
    if node.op == "Clip":
        bounds = [node.input(place) for place in (1, 2)]
        if not all(bound is None or isinstance(bound, Constant) for bound in bounds):
            return None
        ends = zip(bounds, (-np.inf, np.inf), strict=True)
        numbers = [bound.array.item() if isinstance(bound, Constant) else end for bound, end in ends]
    return {"activation": node.op, **({"activation_params": numbers} if numbers else {})}


def convert_mul(ctx: NchwcContext, node: Node) -> Value | None:
    """A factor for each channel is a depthwise convolution of one tap."""
    y = node.outputs[0]
    for x, factor in (node.inputs, node.inputs[::-1]):
        if is_blocked_like(ctx, x, y) and is_per_channel(factor, y):
            assert x is not None
            assert factor is not None
            return ctx.emit_conv(
                channel_scale_conv(ctx, ctx.to_blocked(x), ctx.padded_channel_vector(factor, y.shape[1])), y.type
            )
    return convert_elementwise(ctx, node)


def channel_scale_conv(ctx: NchwcContext, image: Value, factor: Value, bias: Value | None = None) -> FusedConv:
    """An image in blocks times a number for each channel of its blocks."""
    channels = image.shape[1]
    weights = ctx.g.reshape(factor, (channels, 1, 1, 1))
    return FusedConv(image, weights, {"group": channels, "kernel_shape": [1, 1]}, bias)


def convert_add(ctx: NchwcContext, node: Node) -> Value | None:
    """A summand, of each channel or as large as the result, goes into the convolution before it where there is one."""
    y = node.outputs[0]
    for x, other in (node.inputs, node.inputs[::-1]):
        if not is_blocked_like(ctx, x, y) or x is None or other is None:
            continue
        recipe = ctx.fusable_conv(x)
        if is_per_channel(other, y):
            bias = ctx.padded_channel_vector(other, y.shape[1])
            if recipe is None or "activation" in recipe.attributes or recipe.bias is not None:
                ones = ctx.g.const(np.ones(ctx.padded_channels(y.shape[1])), y.dtype)
                return ctx.emit_conv(channel_scale_conv(ctx, ctx.to_blocked(x), ones, bias), y.type)
            return ctx.emit_conv(replace(recipe, bias=bias), y.type)
        if other.shape == y.shape and recipe is not None and recipe.accepts_summand and other is not x:
            return ctx.emit_conv(replace(recipe, summand=ctx.to_blocked(other)), y.type)
    return convert_elementwise(ctx, node)


def convert_reduction(ctx: NchwcContext, node: Node) -> Value | None:
    """Means and sums of each channel."""
    x, y = node.inputs[0], node.outputs[0]
    axes: Any = node.input(1)
    if x not in ctx or x is None or not x.type.is_static(2, 3) or not hasattr(axes, "array"):
        return None
    if sorted(axes.array.tolist()) != [0, 2, 3]:
        return None
    # A single place has the same order by blocks and without.
    found, size = channel_dot(ctx, x), float(prod(x.shape[2:]))
    factor = 1.0 / size if node.op == "ReduceMean" else 1.0
    if found is None:
        one = ctx.padded_type(x.type.with_shape((*x.shape[:2], 1, 1)))
        found = ctx.g.custom_op("GlobalAveragePool", NCHWC_DOMAIN, [ctx.to_blocked(x)], one)
        factor = size if node.op == "ReduceSum" else 1.0
    if not ctx.fills_blocks(x):
        found = ctx.g.Slice(found, [0], [x.shape[1]], [1])
    result = ctx.g.emit(node.op, found, axes, **node.attributes)
    return ctx.g.refine(result if factor == 1.0 else ctx.g.Mul(result, factor), y.shape)


def convert_transpose(ctx: NchwcContext, node: Node) -> Value | None:
    """Channels last, from blocks or on the way to them."""
    x, y = node.inputs[0], node.outputs[0]
    if x is not None and node.attribute("perm") == TO_CHANNELS_FIRST:
        ctx.set_channels_last(y, x)
    if node.attribute("perm") != TO_CHANNELS_LAST or x not in ctx or x is None:
        return None
    return ctx.channels_last_from_blocked(x)


def convert_pool(ctx: NchwcContext, node: Node) -> Value | None:
    x, y = node.inputs[0], node.outputs[0]
    if x not in ctx or x is None or node.attribute("ceil_mode"):
        return None
    return ctx.from_blocked(
        ctx.g.custom_op(node.op, NCHWC_DOMAIN, [ctx.to_blocked(x)], ctx.padded_type(y.type), **node.attributes), y.type
    )


def convert_resize(ctx: NchwcContext, node: Node) -> Value | None:
    """Every element as a tile of equal ones."""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    plain = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if x not in ctx or x is None or node.attributes != plain or not isinstance(scales, Constant):
        return None
    factors = [int(factor) for factor in scales.array]
    if factors[:2] != [1, 1] or factors != scales.array.tolist():
        return None
    tiled = ctx.g.custom_op(
        "Upsample", NCHWC_DOMAIN, [ctx.to_blocked(x)], ctx.padded_type(y.type), scales=factors, mode="nearest"
    )
    return ctx.from_blocked(tiled, y.type)


def convert_pad_or_slice(ctx: NchwcContext, node: Node) -> Value | None:
    """What is cut from the sides of all images, or put around them."""
    (x, *places), y = node.inputs, node.outputs[0]
    if x not in ctx or x is None or y.shape[:2] != x.shape[:2] or not all(isinstance(p, Constant) for p in places):
        return None
    arrays = [np.asarray(p.array) for p in places if isinstance(p, Constant)]
    if node.op == "Pad":
        if x.rank != 4 or node.attribute("mode", "constant") != "constant" or len(places) > 2:
            return None
        arrays[0] = np.insert(arrays[0], [4, 8], 0)
    elif len(places) < 3 or any(axis % 4 < 2 for axis in arrays[2]):
        return None
    else:
        arrays[2] = arrays[2] % 4
    batch, channels, *size = ctx.to_blocked(x).shape
    apart = ctx.g.reshape(ctx.to_blocked(x), (batch, channels // ctx.block_size, *size, ctx.block_size))
    framed = ctx.g.emit(node.op, apart, *arrays, **node.attributes)
    framed = ctx.g.refine(framed, (*apart.shape[:2], *y.shape[2:], ctx.block_size))
    return ctx.from_blocked(ctx.g.reshape(framed, ctx.padded_type(y.type).shape), y.type)


def convert_shape(ctx: NchwcContext, node: Node) -> Value | None:
    """Blocks have the shape of the plain value but for channels that fill them, so that need not be made for it; nor
    need a product."""
    x = node.inputs[0]
    if x not in ctx or x is None or not x.type.is_static(1):
        return None
    like, *_ = ctx.factors(x) or [ctx.to_blocked(x)]
    more = [0, like.shape[1] - x.shape[1], 0, 0][node.attribute("start", 0) : node.attribute("end")]
    found = ctx.g.emit(node.op, like, **node.attributes)
    return ctx.g.Sub(found, ctx.g.const(more, "int64")) if any(more) else found


UNSAFE_ON_PADDING_OPS = {"Div", "Exp", "Reciprocal", "Sqrt"}
"""What may make infinities or no numbers at all of channels that are there to fill a block."""

FUSABLE_ACTIVATIONS: dict[str, dict[str, float]] = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.01},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Clip": {},
    "Sigmoid": {},
    "Tanh": {},
}
"""What the convolution's operator applies, and the attributes that it takes as parameters, with their defaults."""

GRADIENT_CONVERTERS: dict[str, Callable[[NchwcContext, GradientInfo, Node], Value | None]] = {
    "Conv": lambda b, told, node: (
        depthwise_weight_gradient(b, told, node.outputs[0]) or conv_weight_gradient(b, told, node)
    ),
    "MaxPool": lambda b, told, node: (
        maxpool_2x2_gradient(b, told, node.outputs[0]) or maxpool_gradient(b, told, node.outputs[0])
    ),
}

CONVERTERS: dict[str, Callable[[NchwcContext, Node], Value | None]] = {
    "Conv": convert_conv,
    "ConvTranspose": convert_conv_transpose,
    "Transpose": convert_transpose,
    **dict.fromkeys(FUSABLE_ACTIVATIONS, convert_activation),
    "Mul": convert_mul,
    "Add": convert_add,
    "Concat": convert_concat,
    "ReduceMean": convert_reduction,
    "ReduceSum": convert_reduction,
    "MaxPool": convert_pool,
    "AveragePool": convert_pool,
    "Resize": convert_resize,
    "Pad": lambda b, node: convert_pad_or_slice(b, node) or convert_channel_pad(b, node),
    "Slice": convert_pad_or_slice,
    "Shape": convert_shape,
    "Reshape": convert_reshape,
    "Gather": convert_gather,
    **dict.fromkeys(
        ("Abs", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "Max", "Min", "Mish"), convert_elementwise
    ),
    **dict.fromkeys(("Neg", "Reciprocal", "Selu", "Softplus", "Softsign", "Sqrt", "Sub"), convert_elementwise),
}
