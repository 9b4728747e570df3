"""Sums, means and extrema along axes, and what normalises by them."""

from __future__ import annotations

from math import prod

from ...graph import Constant
from ..table import Builder, Node, Value, vjp


def reduced_axes(node: Node) -> list[int]:
    """The axes a Reduce operator takes away, counted from 0."""
    x, axes = node.inputs[0], node.input(1)
    if axes is None:
        return list(range(x.rank))
    if not isinstance(axes, Constant):
        raise NotImplementedError(f"{node.op} along axes that are not constant")
    return [int(axis) % x.rank for axis in axes.array] or list(range(x.rank))


def restored(g: Builder, node: Node, value: Value) -> Value:
    """A reduction's result with the reduced axes back, as size one."""
    if node.attribute("keepdims", 1):
        return value
    x = node.inputs[0]
    axes = reduced_axes(node)
    if len(axes) == x.rank:
        return g.reshape(value, (1,) * x.rank)
    return g.Unsqueeze(value, axes)


def expanded(g: Builder, value: Value, x: Value) -> Value:
    """A value repeated to the shape of x."""
    if value.shape == x.shape:
        return value
    shape = g.const(list(x.shape), "int64") if x.type.is_fixed() else g.Shape(x)
    return g.refine(g.Expand(value, shape), x.shape)


@vjp("ReduceSum")
def reduce_sum(g: Builder, node: Node, dy: Value):
    return expanded(g, restored(g, node, dy), node.inputs[0]), None


@vjp("ReduceMean")
def reduce_mean(g: Builder, node: Node, dy: Value):
    """Each element gets its share: dx = dy / n."""
    x = node.inputs[0]
    return expanded(g, g.Div(restored(g, node, dy), count(g, x, reduced_axes(node))), x), None


def count(g: Builder, x: Value, axes: list[int]) -> Value:
    """The number of elements along axes, in x's element type."""
    if x.type.is_fixed(*axes):
        return g.const(float(prod(x.shape[axis] for axis in axes)), x.dtype)
    sizes = g.Gather(g.Shape(x), axes) if len(axes) < x.rank else g.Shape(x)
    return g.cast(g.ReduceProd(sizes, keepdims=0), x.dtype)


@vjp("Softmax")
def softmax(g: Builder, node: Node, dy: Value):
    """dx = y * (dy - sum(dy * y))."""
    y, axis = node.outputs[0], node.attribute("axis", -1)
    weighted = g.Mul(dy, y)
    return g.Sub(weighted, g.Mul(y, g.ReduceSum(weighted, [axis], keepdims=1)))


@vjp("LogSoftmax")
def log_softmax(g: Builder, node: Node, dy: Value):
    """dx = dy - softmax(x) * sum(dy)."""
    y, axis = node.outputs[0], node.attribute("axis", -1)
    return g.Sub(dy, g.Mul(g.Exp(y), g.ReduceSum(dy, [axis], keepdims=1)))
