"""Folds batch normalizations into the weights before them, by operators: the weights of training graphs are variables.

`normalize(conv(x, w) + b)` is `conv(x, w * f) + (b - mean) * f + beta` with `f = gamma / sqrt(variance + epsilon)`. The
weight of a compiled model, which is rounded to integers, is `w * f`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from ...ir import Constant, Graph, Node, Parameter, State, Value
from ..rewrite import Match, RuleSet
from .fake_quantization import as_vector, normalization_factor, output_axis

LINEAR_OPS = ("Conv", "ConvTranspose", "MatMul")

folding = RuleSet()


def fold_normalization(graph: Graph, inference: Graph) -> Graph:
    """The graph with batch normalizations folded into the linear operators before them; results differ by rounding.

    `inference` is the part of the graph that a compiled model has, in which nothing else reads the results of these
    operators.
    """
    reads = Counter([*(x for node in inference.nodes for x in node.inputs), *inference.roots])
    return folding.apply(graph, {x for x, count in reads.items() if count == 1})


class _LinearResult(NamedTuple):
    """A linear operator, and the bias that is added to its result by the operator or by the node `add`."""

    node: Node
    bias: Value | None
    add: Node | None = None


@folding("BatchNormalization")
def fold_into_weights(m: Match) -> Node | None:
    """BatchNormalization(Conv(x, weight, bias)) -> Conv(x, weight * factor, (bias - mean) * factor + beta)

    The same for ConvTranspose, MatMul, and for a MatMul with an Add.
    """
    x, gamma, beta, mean, variance = m.node.inputs
    linear = _linear_result(m, x)
    if linear is None or gamma is None or mean is None or variance is None or len(m.node.outputs) > 1:
        return None
    g, (data, weight) = m.g, linear.node.inputs[:2]
    assert weight is not None
    epsilon, axis = m.node.attribute("epsilon", 1e-5), output_axis(linear.node)
    factor = normalization_factor(g, gamma, variance, epsilon, weight.rank, axis)
    scaled = g.Mul(weight, factor)
    centered = g.Neg(mean) if linear.bias is None else g.Sub(linear.bias, mean)
    shift = g.Add(g.Mul(centered, as_vector(g, factor)), beta)
    if linear.node.op != "MatMul":
        return replace(linear.node, inputs=(data, scaled, shift), outputs=m.node.outputs)
    with g.inherit(linear.node):
        product = g.refine(g.MatMul(data, scaled), linear.node.outputs[0].shape)
    return replace(linear.add or linear.node, op="Add", inputs=(product, shift), outputs=m.node.outputs)


def _linear_result(m: Match, x: Value | None) -> _LinearResult | None:
    """The linear operator that computes x for the normalization alone, if its weights can be changed."""
    bias: Value | None = None
    node, add = _only_producer(m, x), None
    if node is not None and node.op == "Add" and len(node.inputs) == 2:
        for operand, other in (node.inputs, node.inputs[::-1]):
            if isinstance(other, (Constant, Parameter)) and other.rank == 1:
                add, bias, node = node, other, _only_producer(m, operand)
                break
    if node is None or node.domain or node.op not in LINEAR_OPS or (add is not None and node.op != "MatMul"):
        return None
    if node.op == "MatMul" and (x is None or x.rank != 2):
        return None
    if node.op == "ConvTranspose" and node.attribute("group", 1) != 1:
        return None
    bias = node.input(2) if node.op != "MatMul" else bias
    return _LinearResult(node, bias, add) if _is_static(m, node.inputs[1]) else None


def _only_producer(m: Match, x: Value | None) -> Node | None:
    return m.producer(x) if x in m.context else None


def _is_static(m: Match, x: Value | None) -> bool:
    """Whether a value depends on weights alone."""
    pending = [x]
    while pending:
        value = pending.pop()
        node = m.producer(value)
        if node is not None:
            pending += node.inputs
        elif value is not None and not isinstance(value, (Constant, Parameter, State)):
            return False
    return True
