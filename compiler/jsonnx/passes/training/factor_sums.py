"""Sums over what is a multiple, as multiples of sums: the factor of a channel meets one number then, not an image.

So much of the gradient of a normalization is a sum that is there already. And once gradients are emitted, what was
detached for their sake is like everything else: nodes that differ in that alone become one.
"""

from __future__ import annotations

from dataclasses import replace

from ...ir import Builder, Constant, Graph, Node, Value
from ..canonicalize import canonicalize


def clear_detached(graph: Graph) -> Graph:
    """The graph with nothing detached any more, and without the Identity that was there for it."""
    if not any(node.detached for node in graph.nodes):
        return graph
    new: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if node.detached and node.op == "Identity" and node.inputs[0] is not None:
            new[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(replace(node, detached=False) if node.detached else node)
    return canonicalize(graph.with_nodes(kept, new))


def factor_sums(graph: Graph) -> Graph:
    """The graph with factors taken out of sums."""
    producers = graph.producers
    if not any(_split_factor(node, producers) for node in graph.nodes):
        return graph
    g = Builder.extending(replace(graph, nodes=()))
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        factors: list[Value] = []
        while (found := _split_factor(node, producers)) is not None:
            many, few = (new.get(x, x) for x in found)
            node = node.with_inputs([many, *node.inputs[1:]])
            factors.append(few)
        if not factors:
            g.nodes.append(node)
            continue
        with g.inherit(node):
            result = g.refine(g.emit(node.op, *node.inputs, **node.attributes), node.outputs[0].shape)
            for few in reversed(factors):
                result = g.Mul(result, few)
        new[node.outputs[0]] = result
    return canonicalize(graph.with_nodes(g.nodes, new))


def _split_factor(node: Node, producers: dict[Value, Node]) -> tuple[Value, Value] | None:
    """What a sum could be taken of instead, and by what it is to be multiplied then."""
    axes = node.input(1)
    if node.op != "ReduceSum" or not node.attribute("keepdims", 1) or not isinstance(axes, Constant):
        return None
    x = node.inputs[0]
    product = producers.get(x) if x is not None else None
    if x is None or product is None or product.op != "Mul":
        return None
    for many, few in (product.inputs, product.inputs[::-1]):
        if many is None or few is None or many.shape != x.shape or few.rank > x.rank:
            continue
        padded = (1,) * (x.rank - few.rank) + few.shape
        if all(padded[axis] == 1 for axis in axes.array.tolist()) and axes.array.size:
            return many, few
    return None
