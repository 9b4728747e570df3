"""Drops what nobody reads, and computes once what would be computed twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Constant, Graph, Node, Subgraph, Value, reachable_nodes
from ..ir.type_inference import is_unknown_size

BROADCASTING_OPS = {"Add", "Div", "Mul", "Sub"}


def prune(graph: Graph) -> Graph:
    """Without the nodes on which no output, update or loss depends."""
    return graph.with_nodes(reachable_nodes(graph.nodes, graph.roots), {})


def merge_common_subexpressions(graph: Graph) -> Graph:
    """Nodes with the same operator, inputs and attributes become one."""
    new: dict[Value, Value] = {}
    first: dict[Any, Node] = {}
    kept = []
    for node in graph.nodes:
        if any(x in new for x in node.inputs):
            node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if any(isinstance(x, Subgraph) for x in node.attributes.values()):
            attributes = {
                name: merge_common_subexpressions(x) if isinstance(x, Subgraph) else x
                for name, x in node.attributes.items()
            }
            node = replace(node, attributes=attributes)
        key = _node_key(node)
        if key in first and len(first[key].outputs) == len(node.outputs):
            new |= {x: _with_size_names(same, x) for x, same in zip(node.outputs, first[key].outputs, strict=True)}
        else:
            first[key] = node
            kept.append(node)
    return graph.with_nodes(kept, new)


def _with_size_names(value: Value, equal: Value) -> Value:
    """A value with those names of its sizes that only a shape rule of its equal could tell."""
    if value.type != equal.type:
        sizes = [
            theirs if is_unknown_size(mine) else mine for mine, theirs in zip(value.shape, equal.shape, strict=True)
        ]
        value.type = value.type.with_shape(tuple(sizes))
    return value


def _node_key(node: Node) -> Any:
    attributes = tuple(
        (name, value if isinstance(value, Subgraph) else repr(value)) for name, value in sorted(node.attributes.items())
    )
    return node.op, node.domain, node.detached, attributes, tuple(map(_operand_key, node.inputs))


def _operand_key(value: Value | None) -> Any:
    if isinstance(value, Constant) and value.array.size <= 64 and value.array.dtype != np.dtype(object):
        return value.dtype, value.array.shape, value.array.tobytes()
    return value


def use_reciprocal(graph: Graph) -> Graph:
    """`1 / x` as Reciprocal.

    Of two quotients of 1 whose product is taken, onnxruntime's fusion of Div and Mul may drop one that is read
    elsewhere too; then it calls the model invalid (1.32, at every level of optimisation but none).
    """
    nodes = (replace(n, op="Reciprocal", inputs=n.inputs[1:]) if _is_reciprocal(n) else n for n in graph.nodes)
    return graph.with_nodes(nodes, {})


def _is_reciprocal(node: Node) -> bool:
    if node.op != "Div" or node.domain or not node.outputs[0].dtype.startswith("float"):
        return False
    one, x = node.inputs
    fits = isinstance(one, Constant) and one.array.size == 1 and x is not None and one.rank <= x.rank
    return fits and isinstance(one, Constant) and bool(one.array.reshape(()) == 1)


def fold_expand(graph: Graph) -> Graph:
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
        elif node.op in BROADCASTING_OPS and any(x in small for x in node.inputs):
            node = _read_unexpanded(node, small, nodes)
        nodes.append(node)
    return graph.with_nodes(nodes, {})


def _read_unexpanded(node: Node, expand_sources: dict[Value, tuple[Value, Value]], nodes: list[Node]) -> Node:
    """The node with a small operand for one that is expanded, where this gives the same."""
    for index, x in enumerate(node.inputs):
        other = node.inputs[1 - index]
        if x is None or x not in expand_sources or other is None:
            continue
        few, shape = expand_sources[x]
        inputs = (few, other) if index == 0 else (other, few)
        if other.shape == node.outputs[0].shape:
            return node.with_inputs(inputs)
        if other.type.elements == 1 and other.rank <= few.rank:
            product = Value(few.type)
            nodes.append(replace(node, inputs=inputs, outputs=(product,)))
            expand_sources[node.outputs[0]] = product, shape
            return replace(node, op="Expand", inputs=(product, shape), attributes={})
    return node


def fold_reshape_chains(graph: Graph) -> Graph:
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
    return prune(graph.with_nodes(nodes, {}))


def canonicalize(graph: Graph) -> Graph:
    return prune(merge_common_subexpressions(fold_expand(use_reciprocal(graph))))
