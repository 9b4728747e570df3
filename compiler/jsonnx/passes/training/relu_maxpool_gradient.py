"""The slope of a ReLU before a max pooling, taken where there are fewer elements: behind it.

The gradient of the pooling reaches the greatest element of a window alone. There the ReLU's result is the pooling's, so
`up(dy) * first * (x > 0)` is `up(dy * (y > 0)) * first`: two passes over the image less.
"""

from __future__ import annotations

from dataclasses import replace

from ...ir import Builder, Graph, Node, Value
from ..canonicalize import canonicalize


def move_relu_mask_after_pool(graph: Graph) -> Graph:
    """The graph with these slopes behind their poolings."""
    pools = [node for node in graph.nodes if node.op == "MaxPool"]
    if not pools or not any(is_step_function(node) for node in graph.nodes):
        return graph
    producers = graph.producers
    g = Builder.extending(graph)
    g.nodes = []
    for node in graph.nodes:
        with g.inherit(node):
            made = _mask_after_pool(g, node, producers, pools) if node.op == "Mul" else None
        g.nodes.append(node if made is None else made)
    return canonicalize(replace(graph, gradients=g.gradients).with_nodes(g.nodes, {}))


def is_step_function(node: Node) -> bool:
    """1 where the operand is positive, else 0, as the rules emit it."""
    steep = node.op == "HardSigmoid" and node.attribute("alpha", 0.2) >= 1e30
    return steep and abs(node.attribute("beta", 0.5)) < 1e-20


def _mask_after_pool(g: Builder, node: Node, producers: dict[Value, Node], pools: list[Node]) -> Node | None:
    """The last node of the product in another form, those before it emitted."""
    for spread, slope in (node.inputs, node.inputs[::-1]):
        step, told = (
            (None, None) if spread is None or slope is None else (producers.get(slope), g.gradients.get(spread))
        )
        if (
            step is None
            or told is None
            or told.op != "MaxPool"
            or not is_step_function(step)
            or step.inputs[0] is not told.x
        ):
            continue
        y = next(n.outputs[0] for n in pools if n.inputs[0] is told.x and n.attributes == told.attributes)
        assert spread is not None
        few = g.Mul(told.dy, g.HardSigmoid(y, **step.attributes))
        if _recompute(g, spread, {told.x: told.x, y: y, told.dy: few}, producers) is spread:
            continue
        g.gradients[node.outputs[0]] = replace(told, dy=few)
        return replace(g.nodes.pop(), outputs=node.outputs)
    return None


def _recompute(g: Builder, value: Value, replacements: dict[Value, Value], producers: dict[Value, Node]) -> Value:
    """A value computed once more of what has come in the place of others; itself where it needs none of these."""
    if value not in replacements and value in producers:
        node = producers[value]
        inputs = [None if x is None else _recompute(g, x, replacements, producers) for x in node.inputs]
        if any(x is not old for x, old in zip(inputs, node.inputs, strict=True)):
            replacements[value] = g.refine(g.emit(node.op, *inputs, **node.attributes), value.shape)
    return replacements.setdefault(value, value)
