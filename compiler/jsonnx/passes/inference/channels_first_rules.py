"""Layout rules for inference: operators along the last axis become operators along the channels axis of a convolution.

A MatMul becomes a convolution with a kernel of size one, a LayerNormalization becomes arithmetic. Both cost more than
the original operator, but less than two Transposes. Training graphs do not use these rules: the gradients would cost
more, too.
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
    """MatMul(Transpose(x), kernel) -> Transpose(Conv(x, kernel)), if x has the channels first"""
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
    """LayerNormalization(Transpose(x)) -> Transpose((x - mean) / deviation * scale + bias), along the axes of x"""
    view, weights = ctx.sinkable_view(node), node.inputs[1:]
    if view is None or len(node.outputs) > 1 or not all(isinstance(weight, Constant) for weight in weights):
        return False
    rank = len(view.perm)
    first = node.attribute("axis", -1) % rank
    axes = sorted(view.perm[first:])
    x, weight_perm = view.physical, inverse(view.perm)
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))

    def add(op: str, shape: Sequence[Any], *operands: Value, **attributes: Any) -> Value:
        result = Value(x.type.with_shape(tuple(shape)))
        ctx.nodes.append(Node(op, operands, (result,), attributes, node.scope, node.path))
        return result

    centered = add("Sub", x.shape, x, add("ReduceMean", reduced, x, int64_constant(axes), keepdims=1))
    squares = add("Mul", x.shape, centered, centered)
    variance = add("ReduceMean", reduced, squares, int64_constant(axes), keepdims=1)
    epsilon = Constant(x.type.with_shape(()), np.asarray(node.attribute("epsilon", 1e-5), x.dtype))
    deviation = add("Sqrt", reduced, add("Add", reduced, variance, epsilon))
    last, operands = Node("Div", node.inputs[:2], node.outputs, {}, node.scope, node.path), [centered, deviation]
    for op, weight in zip(("Mul", "Add"), weights, strict=False):
        assert isinstance(weight, Constant)
        operands = [add(last.op, x.shape, *operands), _weight_in_layout(weight, rank, weight_perm)]
        last = Node(op, node.inputs[:2], node.outputs, {}, node.scope, node.path)
    return ctx.emit_physical(last, operands, [view.perm])


def _weight_in_layout(weight: Constant, rank: int, perm: tuple[int, ...]) -> Constant:
    """A weight of the last axes, with as many axes as a physical value and in their order."""
    array = weight.array.reshape((1,) * (rank - weight.rank) + weight.array.shape).transpose(perm)
    return Constant(weight.type.with_shape(array.shape), array, weight.name)


INFERENCE_RULES: dict[str, Rule] = {**RULES, "MatMul": matmul, "LayerNormalization": layer_normalization}
