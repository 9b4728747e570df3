"""If: the gradient is a second If, whose branches differentiate the branches of the first.

They compute what they need of their branch again, since a value of a branch cannot be read from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir import Graph, Subgraph
from ...ir.conditionals import emit_if, inline_branch
from ..backward import gradients
from ..registry import Cotangents, GradientBuilder, Node, Value, vjp


@vjp("If")
def if_(g: GradientBuilder, node: Node, *dys: Value | None) -> Cotangents:
    """The cotangents of the values that the branches read, each of which is zero for a branch that does not depend on
    it."""
    condition, *_ = node.inputs
    wrt = [x for x in dict.fromkeys(node.inputs) if x is not None and x in g.active_values]
    found = {name: _branch_gradients(g, node, body, dys, wrt) for name, body in node.bodies.items()}
    reached = [x for x in wrt if any(x in by_value for _, by_value in found.values())]
    if condition is None or not reached:
        return None
    branches = {}
    for name, (inner, by_value) in found.items():
        dxs = [inner.refine(by_value[x], x.shape) if x in by_value else inner.zeros(x) for x in reached]
        branches[name] = inner.nodes, dxs
    cotangents = dict(zip(reached, emit_if(g, condition, branches), strict=True))
    first = {x: index for index, x in reversed(list(enumerate(node.inputs)))}
    return [cotangents.get(x) if x is not None and first[x] == index else None for index, x in enumerate(node.inputs)]


def _branch_gradients(
    g: GradientBuilder, node: Node, body: Subgraph, dys: Sequence[Value | None], wrt: Sequence[Value]
) -> tuple[GradientBuilder, dict[Value, Value]]:
    """A builder that has computed the branch again, and the cotangents of the values `wrt` in it."""
    inner = g.subgraph_builder()
    nodes, results = inline_branch(node, body)
    copies: dict[Value | None, Value | None] = {}
    for original in nodes:
        outputs = tuple(Value(y.type) for y in original.outputs)
        inputs = tuple(copies.get(x, x) for x in original.inputs)
        inner.nodes.append(replace(original, inputs=inputs, outputs=outputs))
        copies |= zip(original.outputs, outputs, strict=True)
    cotangents: dict[Value, Value] = {}
    for result, dy in zip(results, dys, strict=True):
        y = copies.get(result) or result
        if dy is not None:
            cotangents[y] = inner.Add(cotangents[y], dy) if y in cotangents else dy
    return inner, gradients(inner, Graph({}, {}, tuple(inner.nodes)), cotangents, wrt)
