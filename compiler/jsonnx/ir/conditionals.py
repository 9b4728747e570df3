"""Conditionals: the ONNX operator If."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from .emitter import Emitter
from .graph import Input, Node, Subgraph, Value, reachable_nodes
from .loops import free_values

E = TypeVar("E", bound=Emitter)

BranchFn = Callable[[E], Value]

BRANCH_OUTPUT = "result"
"""The name of a branch's output."""


def cond(g: E, condition: Value, then: BranchFn[E], otherwise: BranchFn[E]) -> Value:
    """See `Builder.cond`."""
    branches = {}
    for name, branch in (("then_branch", then), ("else_branch", otherwise)):
        inner = g.subgraph_builder()
        result = branch(inner)
        branches[name] = reachable_nodes(inner.nodes, [result]), result
    inputs, bodies = capture_outer_values(condition, branches)
    (_, result), *_ = branches.values()
    chosen = Value(result.type)
    g.nodes.append(Node("If", inputs, (chosen,), dict(bodies), *inner.scope_and_path))
    return chosen


def capture_outer_values(
    condition: Value, branches: Mapping[str, tuple[Sequence[Node], Value]]
) -> tuple[tuple[Value, ...], dict[str, Subgraph]]:
    """The inputs of an If and the bodies of its branches, from each branch's nodes and result.

    Values that a branch reads from outside become inputs of the node and of both bodies.
    """
    read = [value for nodes, result in branches.values() for value in free_values(nodes, [result], [])]
    outer = tuple(dict.fromkeys([condition, *read]))
    inner: dict[Value, Input] = {value: Input(f"outer_{index}", value.type) for index, value in enumerate(outer)}
    bodies = {
        name: Subgraph(
            {x.name: x for x in inner.values()},
            {BRANCH_OUTPUT: inner.get(result, result)},
            tuple(node.with_inputs(x if x is None else inner.get(x, x) for x in node.inputs) for node in nodes),
        )
        for name, (nodes, result) in branches.items()
    }
    return outer, bodies
