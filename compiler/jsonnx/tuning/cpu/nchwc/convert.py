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

from ....ir import Constant, GradientOf, Graph, Node, Value
from ....passes.canonicalize import tidy
from ..sink_into_branches import into_branches
from .channel_dot import sums_of_product
from .context import DOMAIN, Blocks, Recipe
from .conv_transpose import strided
from .conv_weight_gradient import of_sample_blocks
from .data_movement import framed, joined, parted, reshaped, taken
from .depthwise_weight_gradient import own_filters
from .maxpool_2x2_gradient import halved
from .maxpool_gradient import overlapping

TO_LAST = [0, 2, 3, 1]
"""The permutation that puts channels last."""
TO_FIRST = [0, 3, 1, 2]
"""And the one that puts them before height and width."""


def blocked(graph: Graph, block: int, samples: int | None = None, threads: int = 1) -> Graph:
    """The graph with what it can by blocks; `block` is the machine's number of channels in one, `samples` how many
    there will mostly be, where somebody knows, and `threads` will run it."""
    made = Blocks(graph, block, samples, threads)
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        told = graph.gradients.get(node.outputs[0])
        with made.g.origin(node):
            results = by_blocks(made, node, None if told is None else told.instead(new))
        if results is None:
            made.g.nodes.append(node)
        else:
            for old, result in zip(node.outputs, results, strict=True):
                new[old] = result
                made.stands_for(result, old)
    return into_branches(tidy(graph.rewired(made.g.nodes, new)))


def by_blocks(b: Blocks, node: Node, told: GradientOf | None) -> Sequence[Value] | None:
    """What stands for a node's results, of which the first may be known to be a gradient; None where nothing does."""
    known = None if told is None else GRADIENTS.get(told.op)
    result = None if told is None or known is None else known(b, told, node)
    if result is None and not node.domain and (node.outputs[0].dtype == "float32" or node.op == "Shape"):
        if node.op == "Split":
            return parted(b, node)
        form = FORMS.get(node.op) if len(node.outputs) == 1 else None
        result = None if form is None else form(b, node)
    return None if result is None else [result]


def convolution(b: Blocks, node: Node) -> Value | None:
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    group, bias = node.attribute("group", 1), node.input(2)
    if x.rank == 4 and b.alone(x.shape[1], w, group):
        return b.convolved(Recipe(b.into(x), b.filters_of_own(w), node.attributes, bias), y.type)
    if x.rank != 4 or group > 1 or not b.suits(w, y):
        return None
    if bias is not None:
        bias = b.of_channels(bias, y.shape[1])
    recipe = beside_each_other(b, node, x, w) or Recipe(b.image(x), b.filters(w), node.attributes)
    return b.convolved(replace(recipe, bias=bias), y.type)


def beside_each_other(b: Blocks, node: Node, x: Value, w: Value) -> Recipe | None:
    """Channels too few for a block, where they come last, lie beside each other in the rows of an image of one channel:
    a window over it is one of so many columns more, and nothing is transposed."""
    _, channels, high, wide = w.shape
    gaps = node.attribute("dilations", [1, 1])
    if channels >= b.block or not b.has_last(x) or not x.type.is_fixed(2, 3) or (wide > 1 and gaps[1] > 1):
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
    rows = b.g.reshape(b.last(x), (batch, 1, height, width * channels))
    return Recipe(rows, b.filters_beside(w), moves)


def transposed_convolution(b: Blocks, node: Node) -> Value | None:
    """The gradient of a convolution of stride 1 is one of its cotangent, with all windows turned round. A layer may do
    the same, with a bias."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    group = node.attribute("group", 1)
    alone = b.alone(x.shape[1], w, group)
    if x.rank != 4 or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        return None
    if not (alone or (group == 1 and b.suits(w, y, back=True))):
        return None
    bias = node.input(2)
    if bias is not None:
        bias = b.of_channels(bias, y.shape[1])
    if max(node.attribute("strides", [1, 1])) > 1:
        return strided(b, node, bias, alone=alone)
    gaps, given = node.attribute("dilations", [1, 1]), node.attribute("pads", [0] * 4)
    reach = [(size - 1) * gap for size, gap in zip(w.shape[2:], gaps, strict=True)]
    pads = [most - pad for most, pad in zip(reach * 2, given, strict=True)]
    if min(pads) < 0 or any(node.attribute("output_padding", [])):
        return None
    weights = b.filters_of_own(w, backwards=True) if alone else b.filters(w, backwards=True)
    attributes = {"group": group, "dilations": gaps, "pads": pads}
    return b.convolved(Recipe(b.into(x) if alone else b.image(x), weights, attributes, bias), y.type)


def elementwise(b: Blocks, node: Node) -> Value | None:
    """What is done to every element alike is done to blocks, where an operand is there in blocks."""
    y, full = node.outputs[0], [x for x in node.inputs if x is not None and not is_single(x)]
    if y.rank != 4 or not (b.is_whole(y) or is_bounded(node)):
        return None
    if not any(x in b for x in full) or not all(x.shape == y.shape or spreads(x, y) for x in full):
        return None
    if any(b.must_be_filled(x) for x in full):
        return None
    operands = [b.spread(x, y) if x in full and x is not None else x for x in node.inputs]
    result = b.out_of(b.g.emit(node.op, *operands, **node.attributes), y.type)
    if node.op == "Mul" and all(fits(b, x, y) for x in node.inputs):
        b.have_factors(result, operands)
    return result


def is_bounded(node: Node) -> bool:
    """Whether an operator makes numbers of any: a Div does by one known number that is not zero."""
    divisor = node.input(1)
    known = node.op == "Div" and isinstance(divisor, Constant) and is_single(divisor) and np.all(divisor.array)
    return bool(known) or node.op not in UNBOUNDED


def spreads(x: Value, y: Value) -> bool:
    """Whether x is a known pattern over every sample of y."""
    return isinstance(x, Constant) and y.type.is_fixed(1, 2, 3) and (x.rank < 4 or x.shape[0] == 1)


def is_single(x: Value) -> bool:
    return x.type.elements == 1


def fits(b: Blocks, x: Value | None, y: Value) -> bool:
    return x in b and x is not None and x.shape == y.shape


def by_channel(x: Value | None, y: Value) -> bool:
    """Whether x holds one number for each channel of y."""
    return x is not None and y.rank == 4 and x.rank >= 3 and (1, *x.shape)[-4:] == (1, y.shape[1], 1, 1)


def activation(b: Blocks, node: Node) -> Value | None:
    """What a convolution, or several that make an image, may do to every element of their results."""
    x, y, function = node.inputs[0], node.outputs[0], applied(node)
    recipe = b.unfinished(x)
    if function is None:
        return elementwise(b, node)
    if recipe is None or "activation" in recipe.attributes:
        return b.activated(x, function) or elementwise(b, node)
    return b.convolved(replace(recipe, attributes={**recipe.attributes, **function}), y.type)


def applied(node: Node) -> dict[str, Any] | None:
    """An activation as a convolution's attributes; None where its bounds are not known."""
    numbers = [node.attribute(name, default) for name, default in ACTIVATIONS[node.op].items()]
    if node.op == "Clip":
        bounds = [node.input(place) for place in (1, 2)]
        if not all(bound is None or isinstance(bound, Constant) for bound in bounds):
            return None
        ends = zip(bounds, (-np.inf, np.inf), strict=True)
        numbers = [bound.array.item() if isinstance(bound, Constant) else end for bound, end in ends]
    return {"activation": node.op, **({"activation_params": numbers} if numbers else {})}


def product(b: Blocks, node: Node) -> Value | None:
    """A factor for each channel is a depthwise convolution of one tap."""
    y = node.outputs[0]
    for x, factor in (node.inputs, node.inputs[::-1]):
        if fits(b, x, y) and by_channel(factor, y):
            assert x is not None
            assert factor is not None
            return b.convolved(depthwise(b, b.into(x), b.of_channels(factor, y.shape[1])), y.type)
    return elementwise(b, node)


def depthwise(b: Blocks, blocks: Value, factor: Value, bias: Value | None = None) -> Recipe:
    """An image in blocks times a number for each channel of its blocks."""
    channels = blocks.shape[1]
    weights = b.g.reshape(factor, (channels, 1, 1, 1))
    return Recipe(blocks, weights, {"group": channels, "kernel_shape": [1, 1]}, bias)


def addition(b: Blocks, node: Node) -> Value | None:
    """A summand, of each channel or as large as the result, goes into the convolution before it where there is one."""
    y = node.outputs[0]
    for x, other in (node.inputs, node.inputs[::-1]):
        if not fits(b, x, y) or x is None or other is None:
            continue
        recipe = b.unfinished(x)
        if by_channel(other, y):
            bias = b.of_channels(other, y.shape[1])
            if recipe is None or "activation" in recipe.attributes or recipe.bias is not None:
                ones = b.g.const(np.ones(b.full(y.shape[1])), y.dtype)
                return b.convolved(depthwise(b, b.into(x), ones, bias), y.type)
            return b.convolved(replace(recipe, bias=bias), y.type)
        if other.shape == y.shape and recipe is not None and recipe.free and other is not x:
            return b.convolved(replace(recipe, added=b.into(other)), y.type)
    return elementwise(b, node)


def reduction(b: Blocks, node: Node) -> Value | None:
    """Means and sums of each channel."""
    x, y = node.inputs[0], node.outputs[0]
    axes: Any = node.input(1)
    if x not in b or x is None or not x.type.is_fixed(2, 3) or not hasattr(axes, "array"):
        return None
    if sorted(axes.array.tolist()) != [0, 2, 3]:
        return None
    # A single place has the same order by blocks and without.
    found, size = sums_of_product(b, x), float(prod(x.shape[2:]))
    factor = 1.0 / size if node.op == "ReduceMean" else 1.0
    if found is None:
        one = b.filled(x.type.with_shape((*x.shape[:2], 1, 1)))
        found = b.g.custom("GlobalAveragePool", DOMAIN, [b.into(x)], one)
        factor = size if node.op == "ReduceSum" else 1.0
    if not b.is_whole(x):
        found = b.g.Slice(found, [0], [x.shape[1]], [1])
    result = b.g.emit(node.op, found, axes, **node.attributes)
    return b.g.refine(result if factor == 1.0 else b.g.Mul(result, factor), y.shape)


def permutation(b: Blocks, node: Node) -> Value | None:
    """Channels last, from blocks or on the way to them."""
    x, y = node.inputs[0], node.outputs[0]
    if x is not None and node.attribute("perm") == TO_FIRST:
        b.have_last(y, x)
    if node.attribute("perm") != TO_LAST or x not in b or x is None:
        return None
    return b.last_out_of(x)


def pool(b: Blocks, node: Node) -> Value | None:
    x, y = node.inputs[0], node.outputs[0]
    if x not in b or x is None or node.attribute("ceil_mode"):
        return None
    return b.out_of(b.g.custom(node.op, DOMAIN, [b.into(x)], b.filled(y.type), **node.attributes), y.type)


def enlargement(b: Blocks, node: Node) -> Value | None:
    """Every element as a tile of equal ones."""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    plain = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if x not in b or x is None or node.attributes != plain or not isinstance(scales, Constant):
        return None
    factors = [int(factor) for factor in scales.array]
    if factors[:2] != [1, 1] or factors != scales.array.tolist():
        return None
    tiled = b.g.custom("Upsample", DOMAIN, [b.into(x)], b.filled(y.type), scales=factors, mode="nearest")
    return b.out_of(tiled, y.type)


def frame(b: Blocks, node: Node) -> Value | None:
    """What is cut from the sides of all images, or put around them."""
    (x, *places), y = node.inputs, node.outputs[0]
    if x not in b or x is None or y.shape[:2] != x.shape[:2] or not all(isinstance(p, Constant) for p in places):
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
    batch, channels, *size = b.into(x).shape
    apart = b.g.reshape(b.into(x), (batch, channels // b.block, *size, b.block))
    framed = b.g.emit(node.op, apart, *arrays, **node.attributes)
    framed = b.g.refine(framed, (*apart.shape[:2], *y.shape[2:], b.block))
    return b.out_of(b.g.reshape(framed, b.filled(y.type).shape), y.type)


def shape(b: Blocks, node: Node) -> Value | None:
    """Blocks have the shape of the plain value but for channels that fill them, so that need not be made for it; nor
    need a product."""
    x = node.inputs[0]
    if x not in b or x is None or not x.type.is_fixed(1):
        return None
    like, *_ = b.factors(x) or [b.into(x)]
    more = [0, like.shape[1] - x.shape[1], 0, 0][node.attribute("start", 0) : node.attribute("end")]
    found = b.g.emit(node.op, like, **node.attributes)
    return b.g.Sub(found, b.g.const(more, "int64")) if any(more) else found


UNBOUNDED = {"Div", "Exp", "Reciprocal", "Sqrt"}
"""What may make infinities or no numbers at all of channels that are there to fill a block."""

ACTIVATIONS: dict[str, dict[str, float]] = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.01},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Clip": {},
    "Sigmoid": {},
    "Tanh": {},
}
"""What the convolution's operator applies, and the attributes that it takes as parameters, with their defaults."""

GRADIENTS: dict[str, Callable[[Blocks, GradientOf, Node], Value | None]] = {
    "Conv": lambda b, told, node: own_filters(b, told, node.outputs[0]) or of_sample_blocks(b, told, node),
    "MaxPool": lambda b, told, node: halved(b, told, node.outputs[0]) or overlapping(b, told, node.outputs[0]),
}

FORMS: dict[str, Callable[[Blocks, Node], Value | None]] = {
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "Transpose": permutation,
    **dict.fromkeys(ACTIVATIONS, activation),
    "Mul": product,
    "Add": addition,
    "Concat": joined,
    "ReduceMean": reduction,
    "ReduceSum": reduction,
    "MaxPool": pool,
    "AveragePool": pool,
    "Resize": enlargement,
    "Pad": lambda b, node: frame(b, node) or framed(b, node),
    "Slice": frame,
    "Shape": shape,
    "Reshape": reshaped,
    "Gather": taken,
    **dict.fromkeys(("Abs", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "Max", "Min", "Mish"), elementwise),
    **dict.fromkeys(("Neg", "Reciprocal", "Selu", "Softplus", "Softsign", "Sqrt", "Sub"), elementwise),
}
