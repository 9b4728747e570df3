"""Removes operators whose result is their operand, and merges chains of Reshapes and of Concats."""

from __future__ import annotations

from collections.abc import Mapping

from ...ir import Constant, Graph, Node, Value
from ..rewrite import Match, RuleSet

NEUTRAL_ELEMENTS: Mapping[str, tuple[float, bool]] = {
    "Add": (0, True),
    "Sub": (0, False),
    "Mul": (1, True),
    "Div": (1, False),
}
"""By operator: its neutral second operand, and whether the operator is commutative."""

RESHAPE_OPS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
"""Operators that keep all elements in their order."""

simplification = RuleSet(cleanup=None)


def remove_noops(graph: Graph) -> Graph:
    """Removes operators that change nothing; the names of the graph's outputs stay."""
    return simplification.apply(graph)


@simplification("Identity", "Cast", "Expand")
def remove_identity(m: Match) -> Value | None:
    """Identity(x) -> x; Cast(x) -> x and Expand(x) -> x, if x has the type of the result"""
    return _operand_of_same_type(m.node)


@simplification("Transpose")
def remove_identity_transpose(m: Match) -> Value | None:
    """Transpose(x) -> x, if the axes stay in order"""
    perm = list(m.node.attribute("perm") or range(m.node.outputs[0].rank)[::-1])
    return _operand_of_same_type(m.node) if perm == sorted(perm) else None


@simplification("Pad")
def remove_empty_pad(m: Match) -> Value | None:
    """Pad(x, zeros) -> x"""
    pads = m.node.inputs[1]
    return _operand_of_same_type(m.node) if isinstance(pads, Constant) and not pads.array.any() else None


@simplification(*NEUTRAL_ELEMENTS)
def remove_neutral_operand(m: Match) -> Value | None:
    """x + 0 -> x; x - 0 -> x; x * 1 -> x; x / 1 -> x"""
    neutral, is_commutative = NEUTRAL_ELEMENTS[m.node.op]
    y, (first, second) = m.node.outputs[0], m.node.inputs
    for x, other in ((first, second), (second, first)) if is_commutative else ((first, second),):
        is_neutral = isinstance(other, Constant) and bool((other.array == neutral).all())
        if is_neutral and x is not None and x.type == y.type and y.dtype != "string":
            return x
    return None


@simplification(*RESHAPE_OPS)
def merge_reshapes(m: Match) -> Node | Value | None:
    """Reshape(Reshape(x)) -> Reshape(x); Reshape(x) -> x, if x has the type of the result"""
    node, x, target = m.node, m.node.inputs[0], m.node.input(1)
    # A zero in the target stands for the size of the operand, which is another one after the merge.
    if node.op == "Reshape" and isinstance(target, Constant) and target.array.all():
        while (source := _reshape_source(m, x)) is not None:
            x = source
        node = node.with_inputs((x, target))
    source = _reshape_source(m, x)
    if _is_same_value(source, node.outputs[0]):
        return source
    return _operand_of_same_type(node) or node


def _reshape_source(m: Match, x: Value | None) -> Value | None:
    """The operand of the operator of `RESHAPE_OPS` that computes x."""
    node = m.producer(x)
    return node.inputs[0] if node is not None and node.op in RESHAPE_OPS else None


@simplification("Concat")
def merge_concats(m: Match) -> Node | Value:
    """Concat(a, Concat(b, c)) -> Concat(a, b, c), if nothing else reads the inner one; Concat(x) -> x"""
    rank, axis = m.node.outputs[0].rank, m.node.attribute("axis")
    parts: list[Value | None] = []
    for x in m.node.inputs:
        inner = m.producer(x)
        is_merged = inner is not None and inner.op == "Concat" and m.use_counts[x] == 1
        same_axis = is_merged and inner is not None and (inner.attribute("axis") - axis) % rank == 0
        parts += inner.inputs if inner is not None and same_axis else [x]
    node = m.node.with_inputs(parts)
    return (_operand_of_same_type(node) if len(parts) == 1 else None) or node


def _operand_of_same_type(node: Node) -> Value | None:
    """The first operand, if it has the type of the result; None for strings, which no operator may share."""
    return node.inputs[0] if _is_same_value(node.inputs[0], node.outputs[0]) else None


def _is_same_value(x: Value | None, y: Value) -> bool:
    """Whether x can replace y, which has the same elements."""
    return x is not None and x.type == y.type and y.dtype != "string"
