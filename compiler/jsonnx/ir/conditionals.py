"""Conditionals: the ONNX operator If."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from .emitter import Emitter
from .graph import Input, Node, Subgraph, Value, reachable_nodes
from .loops import free_values

E = TypeVar("E", bound=Emitter)

BranchFn = Callable[[E], Value]

Branch = tuple[Sequence[Node], Sequence[Value]]
"""The nodes of a branch and its results."""


def cond(g: E, condition: Value, then: BranchFn[E], otherwise: BranchFn[E]) -> Value:
    """See `Builder.cond`."""
    branches = {}
    for name, branch in (("then_branch", then), ("else_branch", otherwise)):
        inner = g.subgraph_builder()
        result = branch(inner)
        branches[name] = inner.nodes, [result]
    return emit_if(g, condition, branches)[0]


def emit_if(g: Emitter, condition: Value, branches: Mapping[str, Branch]) -> list[Value]:
    """Emits an If with the nodes and results of each branch. Returns as many values as a branch has results."""
    needed = {name: (reachable_nodes(nodes, results), results) for name, (nodes, results) in branches.items()}
    inputs, bodies = capture_outer_values(condition, needed)
    (_, results), *_ = needed.values()
    chosen = [Value(result.type) for result in results]
    g.nodes.append(Node("If", inputs, tuple(chosen), dict(bodies), *g.scope_and_path))
    return chosen


def capture_outer_values(
    condition: Value, branches: Mapping[str, Branch]
) -> tuple[tuple[Value, ...], dict[str, Subgraph]]:
    """The inputs of an If and the bodies of its branches, from each branch's nodes and results.

    Values that a branch reads from outside become inputs of the node and of both bodies.
    """
    read = [value for nodes, results in branches.values() for value in free_values(nodes, results, [])]
    outer = tuple(dict.fromkeys([condition, *read]))
    inner: dict[Value, Input] = {value: Input(f"outer_{index}", value.type) for index, value in enumerate(outer)}
    bodies = {
        name: Subgraph(
            {x.name: x for x in inner.values()},
            {branch_output_name(index): inner.get(result, result) for index, result in enumerate(results)},
            tuple(node.with_inputs(x if x is None else inner.get(x, x) for x in node.inputs) for node in nodes),
        )
        for name, (nodes, results) in branches.items()
    }
    return outer, bodies


def branch_output_name(index: int) -> str:
    return f"result_{index}" if index else "result"


def inline_branch(node: Node, body: Subgraph) -> Branch:
    """The nodes and results of a branch of an If, with outer values in place of the branch's inputs."""
    outer: dict[Value | None, Value | None] = dict(zip(body.inputs.values(), node.inputs, strict=True))
    nodes = [n.with_inputs(outer.get(x, x) for x in n.inputs) for n in body.nodes]
    return nodes, [outer.get(result) or result for result in body.outputs.values()]
