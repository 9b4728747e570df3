"""Removes operators that change nothing, and all but the last of several that only give a shape, or put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ...ir import Constant, Graph, Node, Value

NEUTRAL_ELEMENTS: Mapping[str, tuple[float, bool]] = {
    "Add": (0, True),
    "Sub": (0, False),
    "Mul": (1, True),
    "Div": (1, False),
}
"""By operator, the number that changes nothing as its second operand, and whether it may as well be the first."""

RESHAPE_OPS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}
"""Operators that keep all elements in their order."""


def remove_noops(graph: Graph) -> Graph:
    """The same function without operators whose result is their operand; outputs keep their names."""
    new: dict[Value, Value] = {}
    shaped: dict[Value, Value] = {}
    joined: dict[Value, Node] = {}
    uses = Counter(x for node in graph.nodes for x in node.inputs if x is not None) + Counter(graph.roots)
    nodes = []
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        node = _merge_concats(_skip_inner_reshapes(node, shaped), joined)
        x = _noop_operand(node)
        if x is not None:
            new[node.outputs[0]] = x
            continue
        if node.op in RESHAPE_OPS and node.inputs[0] is not None:
            shaped[node.outputs[0]] = node.inputs[0]
        if node.op == "Concat" and uses[node.outputs[0]] == 1:
            joined[node.outputs[0]] = node
        nodes.append(node)
    return graph.with_nodes(nodes, new)


def _skip_inner_reshapes(node: Node, reshape_sources: Mapping[Value, Value]) -> Node:
    """A Reshape of what another operator gave a shape, as one of that operator's operand."""
    x = node.inputs[0] if node.inputs else None
    target = node.input(1)
    while (
        node.op == "Reshape"
        and x is not None
        and x in reshape_sources
        and isinstance(target, Constant)
        and (target.array != 0).all()
    ):
        x = reshape_sources[x]
        node = node.with_inputs((x, target))
    if (
        node.op in RESHAPE_OPS
        and x is not None
        and x in reshape_sources
        and reshape_sources[x].type == node.outputs[0].type
    ):
        node = node.with_inputs((reshape_sources[x], *node.inputs[1:]))
    return node


def _merge_concats(node: Node, concats: Mapping[Value, Node]) -> Node:
    """A Concat of what another one put together along the same axis, as one of all."""
    if node.op != "Concat":
        return node
    rank, axis = node.outputs[0].rank, node.attribute("axis")
    parts: list[Value | None] = []
    for x in node.inputs:
        inner = concats.get(x) if x is not None else None
        same = inner is not None and (inner.attribute("axis") - axis) % rank == 0
        parts += inner.inputs if inner is not None and same else [x]
    return node.with_inputs(parts)


def _noop_operand(node: Node) -> Value | None:
    """The operand that is the node's result; None where it has none."""
    if node.domain or len(node.outputs) != 1 or not node.inputs or node.outputs[0].dtype == "string":
        return None
    x, y = node.inputs[0], node.outputs[0]
    if node.op in NEUTRAL_ELEMENTS:
        return _neutral_operand(node)
    if x is None or x.type != y.type:
        return None
    if node.op == "Transpose":
        perm = list(node.attribute("perm") or range(x.rank)[::-1])
        return x if perm == sorted(perm) else None
    if node.op == "Pad":
        pads = node.inputs[1]
        return x if isinstance(pads, Constant) and not pads.array.any() else None
    alone = node.op == "Concat" and len(node.inputs) == 1
    return x if alone or node.op in RESHAPE_OPS or node.op in ("Identity", "Cast", "Expand") else None


def _neutral_operand(node: Node) -> Value | None:
    number, either = NEUTRAL_ELEMENTS[node.op]
    first, second = node.inputs
    for x, other in ((first, second), (second, first)) if either else ((first, second),):
        neutral = isinstance(other, Constant) and bool((other.array == number).all())
        if neutral and x is not None and x.type == node.outputs[0].type:
            return x
    return None
