"""Factors constants of a sum out of it: `sum(x * factor)` becomes `sum(x) * factor`.

The factor of a channel is then multiplied by one sum instead of a whole image, and the sums in the gradient of a
normalization turn out to be sums that the step computes already.
"""

from __future__ import annotations

from dataclasses import replace

from ...ir import Constant, Graph, Node, Value
from ..canonicalize import canonicalize
from ..rewrite import Match, RuleSet

factoring = RuleSet()
detached_identities = RuleSet(cleanup=None)


def factor_sums(graph: Graph) -> Graph:
    """Moves factors that are equal for all summands of a ReduceSum behind it."""
    return factoring.apply(graph)


@factoring("ReduceSum")
def factor_sum(m: Match) -> Value | None:
    """ReduceSum(Mul(x, factor)) -> Mul(ReduceSum(x), factor), for all factors of x in turn"""
    axes, x, factors = m.node.input(1), m.node.inputs[0], list[Value]()
    if x is None or not m.node.attribute("keepdims", 1) or not isinstance(axes, Constant) or not axes.array.size:
        return None
    while (operands := _summand_and_factor(x, axes.array.tolist(), m.original_producer(x))) is not None:
        x, factor = (m.replacements.get(operand, operand) for operand in operands)
        factors.append(factor)
    if not factors:
        return None
    total: Value = m.g.emit("ReduceSum", x, *m.node.inputs[1:], **m.node.attributes)
    total = m.g.refine(total, m.node.outputs[0].shape)
    for factor in reversed(factors):
        total = m.g.Mul(total, factor)
    return total


def _summand_and_factor(x: Value, axes: list[int], producer: Node | None) -> tuple[Value, Value] | None:
    """The operands of a Mul, if one has the shape of x and the other is equal along the axes; else None."""
    if producer is None or producer.op != "Mul":
        return None
    for summand, factor in (producer.inputs, producer.inputs[::-1]):
        if summand is None or factor is None or summand.shape != x.shape or factor.rank > x.rank:
            continue
        factor_shape = (1,) * (x.rank - factor.rank) + factor.shape
        if all(factor_shape[axis] == 1 for axis in axes):
            return summand, factor
    return None


def clear_gradient_flags(graph: Graph) -> Graph:
    """Clears the flags that say how gradients pass nodes, which mean nothing once gradients are emitted, so that equal
    nodes can be merged."""
    if not any(map(_has_gradient_flag, graph.nodes)):
        return graph
    graph = detached_identities.apply(graph)
    nodes = (
        replace(node, detached=False, straight_through=False) if _has_gradient_flag(node) else node
        for node in graph.nodes
    )
    return canonicalize(graph.with_nodes(nodes, {}))


def _has_gradient_flag(node: Node) -> bool:
    return node.detached or node.straight_through


@detached_identities("Identity")
def remove_detached_identity(m: Match) -> Value | None:
    """Identity(x) -> x, if detached"""
    return m.node.inputs[0] if m.node.detached else None
