"""The slope of a ReLU before a max pooling, taken where there are fewer elements: behind it.

The gradient of the pooling reaches the greatest element of a window alone. There the ReLU's result is the pooling's, so
`up(dy) * first * (x > 0)` is `up(dy * (y > 0)) * first`: two passes over the image less.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Builder, Graph, Node, Value
from .tidy import tidy


def masked_behind(graph: Graph) -> Graph:
    """The graph with these slopes behind their poolings."""
    pools = [node for node in graph.nodes if node.op == "MaxPool"]
    if not pools or not any(is_step(node) for node in graph.nodes):
        return graph
    producers = graph.producers
    g = Builder.onto(graph)
    g.nodes = []
    for node in graph.nodes:
        with g.origin(node):
            made = _moved(g, node, producers, pools) if node.op == "Mul" else None
        g.nodes.append(node if made is None else made)
    return tidy(replace(graph, gradients=g.gradients).rewired(g.nodes, {}))


def is_step(node: Node) -> bool:
    """1 where the operand is positive, else 0, as the rules emit it."""
    steep = node.op == "HardSigmoid" and node.attribute("alpha", 0.2) >= 1e30
    return steep and abs(node.attribute("beta", 0.5)) < 1e-20


def _moved(g: Builder, node: Node, producers: dict[Value, Node], pools: list[Node]) -> Node | None:
    """The last node of the product in another form, those before it emitted."""
    for spread, slope in (node.inputs, node.inputs[::-1]):
        step, told = (
            (None, None) if spread is None or slope is None else (producers.get(slope), g.gradients.get(spread))
        )
        if step is None or told is None or told.op != "MaxPool" or not is_step(step) or step.inputs[0] is not told.x:
            continue
        y = next(n.outputs[0] for n in pools if n.inputs[0] is told.x and n.attributes == told.attributes)
        assert spread is not None
        last = producers[spread]  # first * up(dy), or that with what no window covers around it
        product = producers[_operand(last)] if last.op == "Pad" else last
        ups = [x for x in product.inputs if x in producers and producers[x].inputs[0] is told.dy]
        if product.op != "Mul" or len(ups) != 1:
            continue
        few = g.Mul(told.dy, g.HardSigmoid(y, **step.attributes))
        g.gradients[node.outputs[0]] = replace(told, dy=few)
        up = producers[ups[0]]
        many = g.refine(g.emit(up.op, few, *up.inputs[1:], **up.attributes), up.outputs[0].shape)
        operands = [many if x is ups[0] else x for x in product.inputs]
        if last is product:
            return node.with_inputs(operands)
        inputs = (g.Mul(*operands), *last.inputs[1:])
        return Node("Pad", inputs, node.outputs, last.attributes, node.scope, node.path)
    return None


def _operand(node: Node) -> Value:
    assert node.inputs[0] is not None
    return node.inputs[0]
