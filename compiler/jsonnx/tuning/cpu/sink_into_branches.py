"""What one branch of an If alone reads is computed there: at a step that takes the other one nobody needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...ir import Graph, Node, Subgraph, Value
from ...ir.conditionals import BRANCH_OUTPUT, capture_outer_values
from ...ir.loops import free_values

BranchKey = tuple[Node, str]
"""An If and the name of one of its branches."""


def sink_into_branches(graph: Graph) -> Graph:
    """The graph with such nodes moved. What `gradients` tells of may be among them: this comes after who asks."""
    if not any(node.op == "If" for node in graph.nodes):
        return graph
    read: dict[Value, set[BranchKey | None]] = defaultdict(set, {root: {None} for root in graph.roots})
    moved: dict[BranchKey, list[Node]] = defaultdict(list)
    kept = []
    for node in reversed(graph.nodes):
        places = {place for output in node.outputs for place in read[output]}
        place = places.pop() if len(places) == 1 and not _has_subgraphs(node) else None
        if place is None:
            kept.append(node)
        else:
            moved[place].append(node)
        for x, where in _reads_by_branch(node) if place is None else ((x, place) for x in node.inputs):
            if x is not None:
                read[x].add(where)
    nodes = [
        _with_branch_prefixes(node, {name: moved[node, name][::-1] for name in _branches(node)})
        for node in reversed(kept)
    ]
    return graph.with_nodes(nodes, {})


def _has_subgraphs(node: Node) -> bool:
    return any(isinstance(value, Subgraph) for value in node.attributes.values())


def _branches(node: Node) -> dict[str, Subgraph]:
    return {name: body for name, body in node.attributes.items() if node.op == "If" and isinstance(body, Subgraph)}


def _reads_by_branch(node: Node) -> Iterator[tuple[Value | None, BranchKey | None]]:
    """What a node reads, and in which of its branches, if only there."""
    branches = _branches(node)
    if not branches:
        yield from ((x, None) for x in node.inputs)
        return
    yield node.inputs[0], None
    for name, body in branches.items():
        used = set(free_values(body.nodes, body.outputs.values(), []))
        formal = zip(body.inputs.values(), node.inputs, strict=True)
        yield from ((outer, (node, name)) for inner, outer in formal if inner in used)


def _with_branch_prefixes(node: Node, prefixes: dict[str, list[Node]]) -> Node:
    """An If with further nodes at the beginning of its branches."""
    if not any(prefixes.values()):
        return node
    condition = node.inputs[0]
    assert condition is not None
    inputs, made = capture_outer_values(
        condition, {name: _inlined_branch(node, body, prefixes[name]) for name, body in _branches(node).items()}
    )
    return replace(node, inputs=inputs, attributes={**node.attributes, **made})


def _inlined_branch(node: Node, body: Subgraph, prefix: list[Node]) -> tuple[list[Node], Value]:
    """The nodes of a branch behind others, and its result, as they would stand outside."""
    outer: dict[Any, Any] = dict(zip(body.inputs.values(), node.inputs, strict=True))
    nodes = [n.with_inputs(x if x is None else outer.get(x, x) for x in n.inputs) for n in body.nodes]
    result = body.outputs[BRANCH_OUTPUT]
    return [*prefix, *nodes], outer.get(result, result)
