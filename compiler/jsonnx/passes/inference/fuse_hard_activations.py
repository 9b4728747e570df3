"""Fuses activation functions that are written as arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ...ir import Constant, Graph, Node, Value
from ..rewrite import Match, RuleSet

activations = RuleSet(cleanup=None)


def fuse_hard_activations(graph: Graph) -> Graph:
    """Fuses arithmetic into HardSigmoid and HardSwish. Nodes that are no longer read are left for `prune`."""
    return activations.apply(graph)


@activations("Mul", "Div")
def fuse_hard_sigmoid(m: Match) -> Node | None:
    """Mul(Clip(a * x + b, 0, high), 1 / high) -> HardSigmoid(x), alpha = a / high and beta = b / high"""
    outer, y = _scalar_operation(m.node), m.node.outputs[0]
    clip = None if outer is None else m.producer(outer.x)
    if outer is None or clip is None or clip.op != "Clip" or m.use_counts[outer.x] != 1:
        return None
    low, high = _scalar_value(clip.input(1)), _scalar_value(clip.input(2))
    if low != 0 or high is None or high <= 0 or abs(high * outer.number - 1) > 1e-6:
        return None
    x, alpha, beta = clip.inputs[0], 1.0, 0.0
    inner = _scalar_operation(m.producer(x))
    if inner is not None and inner.op == "Add":
        x, beta = inner.x, inner.number
        inner = _scalar_operation(m.producer(x))
    if inner is not None and inner.op == "Mul":
        x, alpha = inner.x, inner.number
    if not y.dtype.startswith("float") or x is None or x.type != y.type:
        return None
    return replace(m.node, op="HardSigmoid", inputs=(x,), attributes={"alpha": alpha / high, "beta": beta / high})


@activations("Mul")
def fuse_hard_swish(m: Match) -> Node | None:
    """Mul(x, HardSigmoid(x)) -> HardSwish(x), if alpha is 1/6 and beta 1/2"""
    for x, gate in (m.node.inputs, m.node.inputs[::-1]):
        sigmoid = m.producer(gate)
        if sigmoid is None or sigmoid.op != "HardSigmoid" or sigmoid.inputs[0] is not x:
            continue
        alpha, beta = sigmoid.attribute("alpha", 0.2), sigmoid.attribute("beta", 0.5)
        if abs(alpha - 1 / 6) < 1e-7 and abs(beta - 0.5) < 1e-7:
            return replace(m.node, op="HardSwish", inputs=(x,))
    return None


class _ScalarOperation(NamedTuple):
    """`x + number` (Add) or `x * number` (Mul)."""

    x: Value
    number: float
    op: str


def _scalar_operation(node: Node | None) -> _ScalarOperation | None:
    """The node as a sum or product of a tensor and a number; None if it is neither."""
    if node is None or node.op not in ("Add", "Mul", "Sub", "Div"):
        return None
    first, second = node.inputs
    number, x = _scalar_value(second), first
    if number is None and node.op in ("Add", "Mul"):
        number, x = _scalar_value(first), second
    if number is None or x is None or (node.op == "Div" and number == 0):
        return None
    if node.op == "Sub":
        return _ScalarOperation(x, -number, "Add")
    return _ScalarOperation(x, 1 / number, "Mul") if node.op == "Div" else _ScalarOperation(x, number, node.op)


def _scalar_value(value: Value | None) -> float | None:
    """The number in a constant of one element; None for anything else."""
    if not isinstance(value, Constant) or value.array.size != 1 or value.dtype == "string":
        return None
    return float(value.array.reshape(()))
