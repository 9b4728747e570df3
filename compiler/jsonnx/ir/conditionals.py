"""Two ways to a value, of which the data decide: ONNX' If."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from .emitter import Emitter
from .graph import Input, Node, Subgraph, Value, reachable_nodes
from .loops import free_values

E = TypeVar("E", bound=Emitter)

BranchFn = Callable[[E], Value]

BRANCH_OUTPUT = "result"
"""What a branch's output is called."""


def cond(g: E, condition: Value, then: BranchFn[E], otherwise: BranchFn[E]) -> Value:
    """See `Builder.cond`."""
    ways = {}
    for name, way in (("then_branch", then), ("else_branch", otherwise)):
        inner = g.subgraph_builder()
        result = way(inner)
        ways[name] = reachable_nodes(inner.nodes, [result]), result
    inputs, bodies = capture_outer_values(condition, ways)
    (_, result), *_ = ways.values()
    chosen = Value(result.type)
    g.nodes.append(Node("If", inputs, (chosen,), dict(bodies), *inner.place))
    return chosen


def capture_outer_values(
    condition: Value, branches: Mapping[str, tuple[Sequence[Node], Value]]
) -> tuple[tuple[Value, ...], dict[str, Subgraph]]:
    """The inputs and the branches of an If, of the nodes and the result of each that read what stands outside."""
    read = [value for nodes, result in branches.values() for value in free_values(nodes, [result], [])]
    outer = tuple(dict.fromkeys([condition, *read]))
    new: dict[Value, Input] = {value: Input(f"outer_{index}", value.type) for index, value in enumerate(outer)}
    bodies = {
        name: Subgraph(
            {x.name: x for x in new.values()},
            {BRANCH_OUTPUT: new.get(result, result)},
            tuple(node.with_inputs(x if x is None else new.get(x, x) for x in node.inputs) for node in nodes),
        )
        for name, (nodes, result) in branches.items()
    }
    return outer, bodies
