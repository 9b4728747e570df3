"""Two ways to a value, of which the data decide: ONNX' If."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .ir import Body, Input, Node, Value, needed
from .loops import free

if TYPE_CHECKING:
    from .builder import Builder

Way = Callable[["Builder"], Value]


def either(g: Builder, condition: Value, then: Way, otherwise: Way) -> Value:
    """See `Builder.either`."""
    made = []
    for way in (then, otherwise):
        inner = g.inside()
        result = way(inner)
        made.append((result, needed(inner.nodes, [result])))
    read = dict.fromkeys(value for result, nodes in made for value in free(nodes, [result], []))
    outer = [condition, *(value for value in read if value is not condition)]
    new: dict[Value, Input] = {value: Input(f"outer_{index}", value.type) for index, value in enumerate(outer)}
    bodies = [
        Body(
            {x.name: x for x in new.values()},
            {"result": new.get(result, result)},
            tuple(node.with_inputs(x if x is None else new.get(x, x) for x in node.inputs) for node in nodes),
        )
        for result, nodes in made
    ]
    result = Value(made[0][0].type)
    attributes = {"then_branch": bodies[0], "else_branch": bodies[1]}
    g.nodes.append(Node("If", tuple(outer), (result,), attributes, inner._scope, inner._path))
    return result
