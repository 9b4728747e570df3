"""Two ways to a value, of which the data decide: ONNX' If."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from .emitter import Emitter
from .graph import Body, Input, Node, Value, needed
from .loops import free

E = TypeVar("E", bound=Emitter)

Way = Callable[[E], Value]

RESULT = "result"
"""What a branch's output is called."""


def either(g: E, condition: Value, then: Way[E], otherwise: Way[E]) -> Value:
    """See `Builder.either`."""
    ways = {}
    for name, way in (("then_branch", then), ("else_branch", otherwise)):
        inner = g.inside()
        result = way(inner)
        ways[name] = needed(inner.nodes, [result]), result
    inputs, bodies = closed(condition, ways)
    (_, result), *_ = ways.values()
    chosen = Value(result.type)
    g.nodes.append(Node("If", inputs, (chosen,), dict(bodies), *inner.place))
    return chosen


def closed(
    condition: Value, ways: Mapping[str, tuple[Sequence[Node], Value]]
) -> tuple[tuple[Value, ...], dict[str, Body]]:
    """The inputs and the branches of an If, of the nodes and the result of each that read what stands outside."""
    read = [value for nodes, result in ways.values() for value in free(nodes, [result], [])]
    outer = tuple(dict.fromkeys([condition, *read]))
    new: dict[Value, Input] = {value: Input(f"outer_{index}", value.type) for index, value in enumerate(outer)}
    bodies = {
        name: Body(
            {x.name: x for x in new.values()},
            {RESULT: new.get(result, result)},
            tuple(node.with_inputs(x if x is None else new.get(x, x) for x in node.inputs) for node in nodes),
        )
        for name, (nodes, result) in ways.items()
    }
    return outer, bodies
