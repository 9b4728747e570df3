"""Rules of layout for networks that only run: what works along the channels works along them where they stand first.

A product of the channels with a matrix is a convolution with a kernel of size one; a LayerNormalization is written out.
Both cost more than what they stand for, and less than two transposes. In training the gradients would cost more too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir import Constant, Node, Value
from ..layout.permutation import inverse
from ..layout.propagate import Rule, TransposePropagation, int64_constant
from ..layout.rules import RULES


def matmul(ctx: TransposePropagation, node: Node) -> bool:
    kernel = node.inputs[1]
    view = ctx.sinkable_view(node)
    if view is None or not isinstance(kernel, Constant) or kernel.rank != 2:
        return False
    rank = len(view.perm)
    if view.perm != (0, *range(2, rank), 1):
        return False
    array = kernel.array.T.reshape(*kernel.shape[::-1], *[1] * (rank - 2))
    weights = Constant(kernel.type.with_shape(array.shape), array, kernel.name)
    ctx.emit_physical(
        Node("Conv", node.inputs, node.outputs, {}, node.scope, node.path), [view.physical, weights], [view.perm]
    )
    return True


def layer_normalization(ctx: TransposePropagation, node: Node) -> bool:
    view, weights = ctx.sinkable_view(node), node.inputs[1:]
    if view is None or len(node.outputs) > 1 or not all(isinstance(weight, Constant) for weight in weights):
        return False
    rank = len(view.perm)
    first = node.attribute("axis", -1) % rank
    axes = sorted(view.perm[first:])
    x, turned = view.physical, inverse(view.perm)
    few = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))

    def add(op: str, shape: Sequence[Any], *operands: Value, **attributes: Any) -> Value:
        result = Value(x.type.with_shape(tuple(shape)))
        ctx.nodes.append(Node(op, operands, (result,), attributes, node.scope, node.path))
        return result

    centered = add("Sub", x.shape, x, add("ReduceMean", few, x, int64_constant(axes), keepdims=1))
    squares = add("Mul", x.shape, centered, centered)
    variance = add("ReduceMean", few, squares, int64_constant(axes), keepdims=1)
    epsilon = Constant(x.type.with_shape(()), np.asarray(node.attribute("epsilon", 1e-5), x.dtype))
    deviation = add("Sqrt", few, add("Add", few, variance, epsilon))
    last, operands = Node("Div", node.inputs[:2], node.outputs, {}, node.scope, node.path), [centered, deviation]
    for op, weight in zip(("Mul", "Add"), weights, strict=False):
        assert isinstance(weight, Constant)
        operands = [add(last.op, x.shape, *operands), _weight_in_layout(weight, rank, turned)]
        last = Node(op, node.inputs[:2], node.outputs, {}, node.scope, node.path)
    return ctx.emit_physical(last, operands, [view.perm])


def _weight_in_layout(weight: Constant, rank: int, perm: tuple[int, ...]) -> Constant:
    """A weight of the last axes, beside a physical value."""
    array = weight.array.reshape((1,) * (rank - weight.rank) + weight.array.shape).transpose(perm)
    return Constant(weight.type.with_shape(array.shape), array, weight.name)


INFERENCE_RULES: dict[str, Rule] = {**RULES, "MatMul": matmul, "LayerNormalization": layer_normalization}
