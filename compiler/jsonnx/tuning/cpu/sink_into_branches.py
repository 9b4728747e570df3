"""What one branch of an If alone reads is computed there: at a step that takes the other one nobody needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...ir import Body, Graph, Node, Value
from ...ir.conditionals import RESULT, closed
from ...ir.loops import free

Place = tuple[Node, str]
"""An If and the name of one of its branches."""


def into_branches(graph: Graph) -> Graph:
    """The graph with such nodes moved. What `gradients` tells of may be among them: this comes after who asks."""
    if not any(node.op == "If" for node in graph.nodes):
        return graph
    read: dict[Value, set[Place | None]] = defaultdict(set, {root: {None} for root in graph.roots})
    moved: dict[Place, list[Node]] = defaultdict(list)
    kept = []
    for node in reversed(graph.nodes):
        places = {place for output in node.outputs for place in read[output]}
        place = places.pop() if len(places) == 1 and not _has_bodies(node) else None
        if place is None:
            kept.append(node)
        else:
            moved[place].append(node)
        for x, where in _reads(node) if place is None else ((x, place) for x in node.inputs):
            if x is not None:
                read[x].add(where)
    nodes = [_with(node, {name: moved[node, name][::-1] for name in _branches(node)}) for node in reversed(kept)]
    return graph.rewired(nodes, {})


def _has_bodies(node: Node) -> bool:
    return any(isinstance(value, Body) for value in node.attributes.values())


def _branches(node: Node) -> dict[str, Body]:
    return {name: body for name, body in node.attributes.items() if node.op == "If" and isinstance(body, Body)}


def _reads(node: Node) -> Iterator[tuple[Value | None, Place | None]]:
    """What a node reads, and in which of its branches, if only there."""
    branches = _branches(node)
    if not branches:
        yield from ((x, None) for x in node.inputs)
        return
    yield node.inputs[0], None
    for name, body in branches.items():
        used = set(free(body.nodes, body.outputs.values(), []))
        formal = zip(body.inputs.values(), node.inputs, strict=True)
        yield from ((outer, (node, name)) for inner, outer in formal if inner in used)


def _with(node: Node, more: dict[str, list[Node]]) -> Node:
    """An If with further nodes at the beginning of its branches."""
    if not any(more.values()):
        return node
    condition = node.inputs[0]
    assert condition is not None
    inputs, made = closed(condition, {name: _opened(node, body, more[name]) for name, body in _branches(node).items()})
    return replace(node, inputs=inputs, attributes={**node.attributes, **made})


def _opened(node: Node, body: Body, more: list[Node]) -> tuple[list[Node], Value]:
    """The nodes of a branch behind others, and its result, as they would stand outside."""
    outer: dict[Any, Any] = dict(zip(body.inputs.values(), node.inputs, strict=True))
    nodes = [n.with_inputs(x if x is None else outer.get(x, x) for x in n.inputs) for n in body.nodes]
    result = body.outputs[RESULT]
    return [*more, *nodes], outer.get(result, result)
