"""Finds activation functions that are written out in arithmetic."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ...ir import Constant, Graph, Node, Value


def fuse_hard_activations(graph: Graph) -> Graph:
    """The same function with `clip(a * x + b, 0, m) / m` as HardSigmoid, and `x * hard_sigmoid(x)` as HardSwish."""
    found = HardActivationFuser(graph)
    return graph.with_nodes([found.fuse(node) for node in graph.nodes], {})


class HardActivationFuser:
    """One walk over a graph. What a found function no longer needs is left to be pruned."""

    def __init__(self, graph: Graph) -> None:
        self.producers: dict[Value, Node] = {}
        self.use_counts = Counter(x for node in graph.nodes for x in node.inputs if x is not None) + Counter(
            graph.roots
        )

    def fuse(self, node: Node) -> Node:
        node = self.hard_sigmoid(node) or node
        node = self.hard_swish(node) or node
        self.producers |= dict.fromkeys(node.outputs, node)
        return node

    def producer_scalar_operation(self, value: Value | None) -> tuple[Value, float, str] | None:
        """The operand, the number and the operator where a value is a sum or product with a number."""
        node = self.producers.get(value) if value is not None else None
        return None if node is None else scalar_operation(node)

    def hard_sigmoid(self, node: Node) -> Node | None:
        outer = scalar_operation(node)
        clip = self.producers.get(outer[0]) if outer is not None and outer[2] == "Mul" else None
        if outer is None or clip is None or clip.op != "Clip" or self.use_counts[clip.outputs[0]] != 1:
            return None
        low, high = scalar_value(clip.input(1)), scalar_value(clip.input(2))
        if low != 0 or high is None or high <= 0 or abs(high * outer[1] - 1) > 1e-6:
            return None
        x, alpha, beta = clip.inputs[0], 1.0, 0.0
        inner = self.producer_scalar_operation(x)
        if inner is not None and inner[2] == "Add":
            x, beta = inner[0], inner[1]
            inner = self.producer_scalar_operation(x)
        if inner is not None and inner[2] == "Mul":
            x, alpha = inner[0], inner[1]
        same = node.outputs[0].type.dtype.startswith("float") and x is not None and x.type == node.outputs[0].type
        attributes = {"alpha": alpha / high, "beta": beta / high}
        return replace(node, op="HardSigmoid", inputs=(x,), attributes=attributes) if same else None

    def hard_swish(self, node: Node) -> Node | None:
        if node.op != "Mul":
            return None
        for x, gate in (node.inputs, node.inputs[::-1]):
            maker = self.producers.get(gate) if gate is not None else None
            if maker is not None and maker.op == "HardSigmoid" and maker.inputs[0] is x:
                alpha, beta = maker.attribute("alpha", 0.2), maker.attribute("beta", 0.5)
                if abs(alpha - 1 / 6) < 1e-7 and abs(beta - 0.5) < 1e-7:
                    return replace(node, op="HardSwish", inputs=(x,))
        return None


def scalar_operation(node: Node) -> tuple[Value, float, str] | None:
    """A node's operand, number and operator (Add or Mul) where it adds a number to one, or multiplies by it."""
    if node.op not in ("Add", "Mul", "Sub", "Div"):
        return None
    first, second = node.inputs
    value, x = scalar_value(second), first
    if value is None and node.op in ("Add", "Mul"):
        value, x = scalar_value(first), second
    if value is None or x is None or (node.op == "Div" and value == 0):
        return None
    return (
        x,
        -value if node.op == "Sub" else 1 / value if node.op == "Div" else value,
        CANONICAL_OPS.get(node.op, node.op),
    )


CANONICAL_OPS = {"Sub": "Add", "Div": "Mul"}


def scalar_value(value: Value | None) -> float | None:
    """The number that a constant is everywhere; None for anything else."""
    if not isinstance(value, Constant) or value.array.size != 1 or value.dtype == "string":
        return None
    return float(value.array.reshape(()))
