"""Drops what nobody reads, and computes once what would be computed twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Body, Constant, Graph, Node, Value, needed
from ..ir.type_inference import is_unnamed

BROADCASTING = {"Add", "Div", "Mul", "Sub"}


def prune(graph: Graph) -> Graph:
    """Without the nodes on which no output, update or loss depends."""
    return graph.rewired(needed(graph.nodes, graph.roots), {})


def merge_equal(graph: Graph) -> Graph:
    """Nodes with the same operator, inputs and attributes become one."""
    new: dict[Value, Value] = {}
    first: dict[Any, Node] = {}
    kept = []
    for node in graph.nodes:
        if any(x in new for x in node.inputs):
            node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if any(isinstance(x, Body) for x in node.attributes.values()):
            attributes = {name: merge_equal(x) if isinstance(x, Body) else x for name, x in node.attributes.items()}
            node = replace(node, attributes=attributes)
        key = _key(node)
        if key in first and len(first[key].outputs) == len(node.outputs):
            new |= {x: _with_names(same, x) for x, same in zip(node.outputs, first[key].outputs, strict=True)}
        else:
            first[key] = node
            kept.append(node)
    return graph.rewired(kept, new)


def _with_names(value: Value, equal: Value) -> Value:
    """A value with those names of its sizes that only a shape rule of its equal could tell."""
    if value.type != equal.type:
        sizes = [theirs if is_unnamed(mine) else mine for mine, theirs in zip(value.shape, equal.shape, strict=True)]
        value.type = value.type.with_shape(tuple(sizes))
    return value


def _key(node: Node) -> Any:
    attributes = tuple(
        (name, value if isinstance(value, Body) else repr(value)) for name, value in sorted(node.attributes.items())
    )
    return node.op, node.domain, node.detached, attributes, tuple(map(_identity, node.inputs))


def _identity(value: Value | None) -> Any:
    if isinstance(value, Constant) and value.array.size <= 64 and value.array.dtype != np.dtype(object):
        return value.dtype, value.array.shape, value.array.tobytes()
    return value


def reciprocals(graph: Graph) -> Graph:
    """`1 / x` as Reciprocal.

    Of two quotients of 1 whose product is taken, onnxruntime's fusion of Div and Mul may drop one that is read
    elsewhere too; then it calls the model invalid (1.32, at every level of optimisation but none).
    """
    nodes = (replace(n, op="Reciprocal", inputs=n.inputs[1:]) if _is_reciprocal(n) else n for n in graph.nodes)
    return graph.rewired(nodes, {})


def _is_reciprocal(node: Node) -> bool:
    if node.op != "Div" or node.domain or not node.outputs[0].dtype.startswith("float"):
        return False
    one, x = node.inputs
    fits = isinstance(one, Constant) and one.array.size == 1 and x is not None and one.rank <= x.rank
    return fits and isinstance(one, Constant) and bool(one.array.reshape(()) == 1)


def unexpanded(graph: Graph) -> Graph:
    """Without the Expand before an operator that repeats its operand by itself.

    A product with a single number is taken before the Expand, so that this one comes nearer to such an operator.
    """
    if not any(node.op == "Expand" for node in graph.nodes):
        return graph
    small: dict[Value, tuple[Value, Value]] = {}  # what is expanded, and to which shape
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "Expand":
            small[node.outputs[0]] = node.inputs  # type: ignore[assignment]
        elif node.op in BROADCASTING and any(x in small for x in node.inputs):
            node = _before(node, small, nodes)
        nodes.append(node)
    return graph.rewired(nodes, {})


def _before(node: Node, small: dict[Value, tuple[Value, Value]], nodes: list[Node]) -> Node:
    """The node with a small operand for one that is expanded, where this gives the same."""
    for index, x in enumerate(node.inputs):
        other = node.inputs[1 - index]
        if x is None or x not in small or other is None:
            continue
        few, shape = small[x]
        inputs = (few, other) if index == 0 else (other, few)
        if other.shape == node.outputs[0].shape:
            return node.with_inputs(inputs)
        if other.type.elements == 1 and other.rank <= few.rank:
            product = Value(few.type)
            nodes.append(replace(node, inputs=inputs, outputs=(product,)))
            small[node.outputs[0]] = product, shape
            return replace(node, op="Expand", inputs=(product, shape), attributes={})
    return node


def reshaped_once(graph: Graph) -> Graph:
    """A Reshape of a Reshape reads what that one reads. onnxruntime sees to that, too, but has what it makes run last.

    Not where a size of the target is zero, which means the operand's.
    """
    sources: dict[Value, Value | None] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "Reshape":
            x, shape = node.inputs
            if x in sources and isinstance(shape, Constant) and shape.array.all():
                node = node.with_inputs((sources[x], shape))
            sources[node.outputs[0]] = node.inputs[0]
        nodes.append(node)
    return prune(graph.rewired(nodes, {}))


def tidy(graph: Graph) -> Graph:
    return prune(merge_equal(unexpanded(reciprocals(graph))))
