"""Reductions along axes, and softmax."""

from __future__ import annotations

from math import prod

from ...ir import Constant
from ..registry import Builder, Node, Value, vjp
from .elementwise import sign


def reduced_axes(node: Node) -> list[int]:
    """The axes of a Reduce operator, counted from 0."""
    x, axes = node.inputs[0], node.input(1)
    if axes is None:
        return list(range(x.rank))
    if not isinstance(axes, Constant):
        raise NotImplementedError("along axes that are not constant")
    return [int(axis) % x.rank for axis in axes.array] or list(range(x.rank))


def restore_reduced_axes(g: Builder, node: Node, value: Value) -> Value:
    """A reduction's result with the reduced axes as size one. A scalar stays as it is: it broadcasts to any shape.

    onnxruntime 1.32 removes a product with ones of shape [1, 1], and with it the rank that its later optimizations rely
    on.
    """
    axes = reduced_axes(node)
    if node.attribute("keepdims", 1) or len(axes) == node.inputs[0].rank:
        return value
    return g.Unsqueeze(value, axes)


def expand_to_shape_of(g: Builder, value: Value, x: Value) -> Value:
    """A value broadcast to the shape of x."""
    if value.shape == x.shape:
        return value
    shape = g.const(list(x.shape), "int64") if x.type.is_static() else g.Shape(x)
    return g.refine(g.Expand(value, shape), x.shape)


@vjp("ReduceSum")
def reduce_sum(g: Builder, node: Node, dy: Value):
    """dx = dy, broadcast along the reduced axes."""
    return expand_to_shape_of(g, restore_reduced_axes(g, node, dy), node.inputs[0]), None


@vjp("ReduceMean")
def reduce_mean(g: Builder, node: Node, dy: Value):
    """dx = dy / n, broadcast along the reduced axes."""
    x = node.inputs[0]
    share = g.Div(restore_reduced_axes(g, node, dy), element_count(g, x, reduced_axes(node)))
    return expand_to_shape_of(g, share, x), None


@vjp("ReduceMax", "ReduceMin")
def reduce_extremum(g: Builder, node: Node, dy: Value):
    """dx = dy where x = y, divided equally among ties, as in JAX."""
    y = restore_reduced_axes(g, node, node.outputs[0])
    return distribute_among_ties(g, node.inputs[0], y, restore_reduced_axes(g, node, dy), reduced_axes(node)), None


def distribute_among_ties(g: Builder, x: Value, y: Value, dy: Value, axes: list[int]) -> Value:
    """dx = dy / (number of ties) where x = y, else 0; y and dy have the reduced axes with size one."""
    hits = g.cast(g.Equal(x, y), x.dtype)
    return g.Mul(hits, g.Div(dy, g.ReduceSum(hits, axes, keepdims=1)))


def element_count(g: Builder, x: Value, axes: list[int]) -> Value:
    """The number of elements along axes, in x's element type."""
    if x.type.is_static(*axes):
        return g.const(float(prod(x.shape[axis] for axis in axes)), x.dtype)
    sizes = g.Gather(g.Shape(x), axes) if len(axes) < x.rank else g.Shape(x)
    return g.cast(g.ReduceProd(sizes, keepdims=0), x.dtype)


@vjp("ReduceSumSquare")
def reduce_sum_square(g: Builder, node: Node, dy: Value):
    """y = sum(x ** 2), so dx = 2 * dy * x."""
    return g.Mul(node.inputs[0], g.Mul(restore_reduced_axes(g, node, dy), 2.0)), None


@vjp("ReduceL1")
def reduce_l1(g: Builder, node: Node, dy: Value):
    """y = sum(|x|), so dx = dy * sign(x)."""
    return g.Mul(sign(g, node.inputs[0]), restore_reduced_axes(g, node, dy)), None


@vjp("ReduceL2")
def reduce_l2(g: Builder, node: Node, dy: Value):
    """y = sqrt(sum(x ** 2)), so dx = dy * x / y, and 0 where y = 0."""
    share = g.Div(dy, g.Max(node.outputs[0], 1e-38))
    return g.Mul(node.inputs[0], restore_reduced_axes(g, node, share)), None


@vjp("ReduceLogSum")
def reduce_log_sum(g: Builder, node: Node, dy: Value):
    """y = log(sum(x)), so dx = dy * exp(-y)."""
    dsum = g.Mul(dy, g.Exp(g.Neg(node.outputs[0])))
    return expand_to_shape_of(g, restore_reduced_axes(g, node, dsum), node.inputs[0]), None


@vjp("ReduceLogSumExp")
def reduce_log_sum_exp(g: Builder, node: Node, dy: Value):
    """y = log(sum(exp(x))), so dx = dy * exp(x - y)."""
    shares = g.Exp(g.Sub(node.inputs[0], restore_reduced_axes(g, node, node.outputs[0])))
    return g.Mul(shares, restore_reduced_axes(g, node, dy)), None


@vjp("ReduceProd")
def reduce_prod(g: Builder, node: Node, dy: Value):
    """dx = dy * (product of the other elements). If one element is zero, only its dx is not; with two zeros, dx = 0."""
    x, axes = node.inputs[0], reduced_axes(node)
    is_zero = g.Equal(x, 0.0)
    zero = g.cast(is_zero, x.dtype)
    nonzero = g.Add(x, zero)
    others = g.Div(g.ReduceProd(nonzero, axes, keepdims=1), nonzero)
    no_other_zero = g.cast(g.Equal(g.ReduceSum(zero, axes, keepdims=1), zero), x.dtype)
    return g.Mul(g.Mul(others, no_other_zero), restore_reduced_axes(g, node, dy)), None


@vjp("Softmax")
def softmax(g: Builder, node: Node, dy: Value):
    """dx = y * (dy - sum(dy * y)) = dy * y - y * sum(dy * y)."""
    y, axis = node.outputs[0], node.attribute("axis", -1)
    weighted = g.Mul(dy, y)
    return g.Sub(weighted, g.Mul(y, g.ReduceSum(weighted, [axis], keepdims=1)))


@vjp("LogSoftmax")
def log_softmax(g: Builder, node: Node, dy: Value):
    """dx = dy - softmax(x) * sum(dy)."""
    y, axis = node.outputs[0], node.attribute("axis", -1)
    return g.Sub(dy, g.Mul(g.Exp(y), g.ReduceSum(dy, [axis], keepdims=1)))
