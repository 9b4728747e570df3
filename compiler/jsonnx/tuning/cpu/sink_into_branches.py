"""Sinks nodes that only one branch of an If needs into that branch, so that a step which takes the other skips them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from ...ir import Graph, Node, Subgraph, Value
from ...ir.conditionals import capture_outer_values, inline_branch
from ...ir.loops import free_values

BranchKey = tuple[Node, str]
"""An If and the name of one of its branches; None stands for the graph around it."""


def sink_into_branches(graph: Graph) -> Graph:
    """Moves nodes into branches, in reverse order, so that the operands of a moved node may follow it.

    Values with gradient info may end up in a branch, so passes that read this info have to run before.
    """
    if not any(node.op == "If" for node in graph.nodes):
        return graph
    readers: dict[Value, set[BranchKey | None]] = defaultdict(set, {root: {None} for root in graph.roots})
    moved: dict[BranchKey, list[Node]] = defaultdict(list)
    kept = []
    for node in reversed(graph.nodes):
        branches = {branch for output in node.outputs for branch in readers[output]}
        branch = branches.pop() if len(branches) == 1 and not _has_subgraphs(node) else None
        if branch is None:
            kept.append(node)
        else:
            moved[branch].append(node)
        for x, reader in _reads_by_branch(node) if branch is None else ((x, branch) for x in node.inputs):
            if x is not None:
                readers[x].add(reader)
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
    """The values that a node reads, each with the branch that reads it, or None for the node itself."""
    branches = _branches(node)
    if not branches:
        yield from ((x, None) for x in node.inputs)
        return
    yield node.inputs[0], None
    for name, body in branches.items():
        used = set(free_values(body.nodes, body.outputs.values(), []))
        pairs = zip(body.inputs.values(), node.inputs, strict=True)
        yield from ((outer, (node, name)) for inner, outer in pairs if inner in used)


def _with_branch_prefixes(node: Node, prefixes: dict[str, list[Node]]) -> Node:
    """The If with these nodes at the beginning of its branches."""
    if not any(prefixes.values()):
        return node
    condition = node.inputs[0]
    assert condition is not None
    branches = {}
    for name, body in _branches(node).items():
        nodes, results = inline_branch(node, body)
        branches[name] = [*prefixes[name], *nodes], results
    inputs, subgraphs = capture_outer_values(condition, branches)
    return replace(node, inputs=inputs, attributes={**node.attributes, **subgraphs})
