"""Dead-code elimination, common-subexpression elimination and small simplifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..ir import Constant, Graph, Node, Subgraph, Value, reachable_nodes
from ..ir.type_inference import is_unknown_size

BROADCASTING_OPS = {"Add", "Div", "Mul", "Sub"}
MAX_COMPARED_ELEMENTS = 64
"""Maximum size of constants that are compared by their elements, not by identity."""


def prune(graph: Graph) -> Graph:
    """Removes the nodes on which no output, update, loss or mask depends."""
    return graph.with_nodes(reachable_nodes(graph.nodes, graph.roots), {})


def with_outputs(graph: Graph, names: Iterable[str]) -> Graph:
    """The graph with only these outputs, and without the nodes that only the others depend on."""
    return prune(replace(graph, outputs={name: graph.outputs[name] for name in names}, masks={}))


def merge_common_subexpressions(graph: Graph) -> Graph:
    """Merges nodes with the same operator, inputs and attributes."""
    replacements: dict[Value, Value] = {}
    first_nodes: dict[Any, Node] = {}
    kept = []
    for node in graph.nodes:
        if replacements:
            node = with_replaced_inputs(node, replacements)
        if node.attributes and node.bodies:
            bodies = {name: merge_common_subexpressions(body) for name, body in node.bodies.items()}
            node = replace(node, attributes={**node.attributes, **bodies})
        key = _node_key(node)
        first = first_nodes.setdefault(key, node)
        if first is node:
            kept.append(node)
        elif len(first.outputs) == len(node.outputs):
            equal_outputs = zip(node.outputs, first.outputs, strict=True)
            replacements |= {x: _with_known_sizes(kept_output, x) for x, kept_output in equal_outputs}
        else:
            first_nodes[key] = node
            kept.append(node)
    return graph.with_nodes(kept, replacements)


def _with_known_sizes(value: Value, equal: Value) -> Value:
    """Replaces sizes that ONNX could not infer by the sizes that a shape rule gave to an equal value."""
    if value.type != equal.type:
        pairs = zip(value.shape, equal.shape, strict=True)
        value.type = value.type.with_shape(tuple(other if is_unknown_size(size) else size for size, other in pairs))
    return value


def with_replaced_inputs(node: Node, replacements: Mapping[Value, Value]) -> Node:
    """The node itself if it reads no replaced value."""
    if replacements.keys().isdisjoint(node.inputs):
        return node
    return node.with_inputs([None if x is None else replacements.get(x, x) for x in node.inputs])


def _node_key(node: Node) -> Any:
    attributes = node.attributes and tuple(
        (name, value if isinstance(value, Subgraph) else repr(value)) for name, value in sorted(node.attributes.items())
    )
    operands: Iterable[Any] = node.inputs
    if Constant in map(type, operands):
        operands = [_constant_key(x) if isinstance(x, Constant) else x for x in operands]
    return node.op, node.domain, node.detached, node.region, node.straight_through, attributes or (), *operands


def _constant_key(value: Constant) -> Any:
    """A key that is equal for equal small constants."""
    array = value.array
    if array.size > MAX_COMPARED_ELEMENTS or array.dtype.hasobject:
        return value
    return value.dtype, array.shape, array.tobytes()


def use_reciprocal(graph: Graph) -> Graph:
    """Replaces `1 / x` by Reciprocal(x).

    onnxruntime 1.32 fuses Div and Mul in the product of two quotients `1 / x` and may remove a quotient that another
    node reads. It then rejects the model as invalid, at every level of optimisation but none.
    """
    if not any(node.op == "Div" and _is_reciprocal(node) for node in graph.nodes):
        return graph
    nodes = (replace(n, op="Reciprocal", inputs=n.inputs[1:]) if _is_reciprocal(n) else n for n in graph.nodes)
    return graph.with_nodes(nodes, {})


def _is_reciprocal(node: Node) -> bool:
    if node.op != "Div" or node.domain or not node.outputs[0].dtype.startswith("float"):
        return False
    one, x = node.inputs
    if not isinstance(one, Constant) or one.array.size != 1 or x is None or one.rank > x.rank:
        return False
    return bool(one.array.reshape(()) == 1)


def fold_expand(graph: Graph) -> Graph:
    """Removes Expands before operators that broadcast their operands themselves.

    Moves an Expand behind a product with a single number, so that it may reach such an operator.
    """
    if not any(node.op == "Expand" for node in graph.nodes):
        return graph
    expand_inputs: dict[Value, tuple[Value, Value]] = {}  # by the result: the operand and the shape
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "Expand":
            expand_inputs[node.outputs[0]] = node.inputs  # type: ignore[assignment]
        elif node.op in BROADCASTING_OPS and any(x in expand_inputs for x in node.inputs):
            node = _read_unexpanded(node, expand_inputs, nodes)
        nodes.append(node)
    return graph.with_nodes(nodes, {})


def _read_unexpanded(node: Node, expand_inputs: dict[Value, tuple[Value, Value]], nodes: list[Node]) -> Node:
    """The node reading the operand of an Expand instead of its result, if that gives the same values.

    Appends the product to `nodes` and returns an Expand where the two change places.
    """
    for index, x in enumerate(node.inputs):
        other = node.inputs[1 - index]
        if x is None or x not in expand_inputs or other is None:
            continue
        unexpanded, shape = expand_inputs[x]
        inputs = (unexpanded, other) if index == 0 else (other, unexpanded)
        if other.shape == node.outputs[0].shape:
            return node.with_inputs(inputs)
        if other.type.elements == 1 and other.rank <= unexpanded.rank:
            product = Value(unexpanded.type)
            nodes.append(replace(node, inputs=inputs, outputs=(product,)))
            expand_inputs[node.outputs[0]] = product, shape
            return replace(node, op="Expand", inputs=(product, shape), attributes={})
    return node


def fold_reshape_chains(graph: Graph) -> Graph:
    """Makes a Reshape of a Reshape read the operand of the inner one.

    onnxruntime does the same, but runs the Reshape that it creates last. A zero in the target shape stands for the size
    of the operand, so Reshapes with such a target stay.
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
    """Merges equal nodes and removes dead ones, Expands that broadcasting makes redundant, and divisions of 1."""
    return prune(merge_common_subexpressions(fold_expand(use_reciprocal(graph))))
