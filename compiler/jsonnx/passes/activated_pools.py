"""The slope of a ReLU before a max pooling, taken where there are fewer elements: behind it.

The gradient of the pooling reaches the greatest element of a window alone. There the ReLU's result is the pooling's, so
`up(dy) * first * (x > 0)` is `up(dy * (y > 0)) * first`: two passes over the image less.
"""

from __future__ import annotations

from ..graph import Builder, Graph, Node, Value
from .tidy import tidy


def masked_behind(graph: Graph) -> Graph:
    """The graph with these slopes behind their poolings."""
    producers = graph.producers
    slopes = [node for node in graph.nodes if node.op == "HardSigmoid" and is_step(node)]
    if not slopes or not any(node.op == "MaxPool" for node in graph.nodes):
        return graph
    g = Builder.onto(graph)
    g.nodes = []
    for node in graph.nodes:
        with g.origin(node):
            made = _moved(g, node, producers) if node.op == "Mul" else None
        g.nodes.append(node if made is None else made)
    return tidy(graph.rewired(g.nodes, {}))


def is_step(node: Node) -> bool:
    """1 where the operand is positive, else 0, as the rules emit it."""
    return node.attribute("alpha", 0.2) >= 1e30 and abs(node.attribute("beta", 0.5)) < 1e-20


def _moved(g: Builder, node: Node, producers: dict[Value, Node]) -> Node | None:
    """The last node of the product in another form, those before it emitted."""
    for spread, slope in (node.inputs, node.inputs[::-1]):
        step = producers.get(slope) if slope is not None else None
        last = producers.get(spread) if spread is not None else None
        if step is None or last is None or step.op != "HardSigmoid" or not is_step(step):
            continue
        product = producers.get(last.inputs[0]) if last.op == "Pad" and last.inputs[0] is not None else last
        if product is None or product.op != "Mul":
            continue
        first, enlarged = (producers.get(x) if x is not None else None for x in product.inputs)
        y = pooled(first, step.inputs[0], producers)
        if y is None or enlarged is None or enlarged.op != "Resize":
            continue
        few = g.Mul(enlarged.inputs[0], g.HardSigmoid(y, **step.attributes))
        many = g.refine(g.emit("Resize", few, *enlarged.inputs[1:], **enlarged.attributes), enlarged.outputs[0].shape)
        if last is product:
            return node.with_inputs([product.inputs[0], many])
        cut = g.Mul(product.inputs[0], many)
        return Node("Pad", (cut, *last.inputs[1:]), node.outputs, last.attributes, node.scope, node.path)
    return None


def pooled(first: Node | None, x: Value | None, producers: dict[Value, Node]) -> Value | None:
    """The result of the max pooling of x, where a node marks the first maximum of each of its windows."""
    marks = _greatest(first, producers)
    product = producers.get(marks) if marks is not None else None
    if product is None or product.op != "Mul" or product.inputs[0] is None:
        return None
    seen = _compared(producers.get(product.inputs[0]), producers)
    if seen is None:
        return None
    image, y = seen
    cut, pool = producers.get(image), producers.get(y)
    whole = cut.inputs[0] if image is not x and cut is not None and cut.op == "Slice" else image
    return y if whole is x and pool is not None and pool.op == "MaxPool" and pool.inputs[0] is x else None


def _greatest(node: Node | None, producers: dict[Value, Node]) -> Value | None:
    """What is compared with the greatest of its own windows."""
    seen = _compared(node, producers)
    pool = producers.get(seen[1]) if seen is not None else None
    return seen[0] if seen is not None and pool is not None and pool.inputs[0] is seen[0] else None


def _compared(node: Node | None, producers: dict[Value, Node]) -> tuple[Value, Value] | None:
    """x and y of a node that marks where x reaches the enlarged y."""
    if node is None or node.op != "HardSigmoid" or node.attribute("beta") != 1.0 or node.inputs[0] is None:
        return None
    difference = producers.get(node.inputs[0])
    if difference is None or difference.op != "Sub":
        return None
    x, most = difference.inputs
    enlarged = producers.get(most) if most is not None else None
    if x is None or enlarged is None or enlarged.op != "Resize" or enlarged.inputs[0] is None:
        return None
    return x, enlarged.inputs[0]
