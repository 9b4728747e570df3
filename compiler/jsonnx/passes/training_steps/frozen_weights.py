"""Frozen weights in 16 bits: a step reads the stored weight, and a Cast makes it float32 just before its reader.

The backward pass casts a weight again instead of keeping it from the forward pass, so that few float32 copies exist at
once. onnxruntime merges equal nodes, which would undo that, so the second Cast reads the weight through a Reshape whose
target it cannot know in advance, as in `remat`. Integers (`passes.quantization.frozen_integers`) are converted again
likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...core.types import Size
from ...ir import Builder, Constant, Graph, Node, Parameter, Value, onnx_dtype, reachable_nodes
from ..canonicalize import with_replaced_inputs

MIN_STORED_ELEMENTS = 1 << 13
"""Minimum size of a frozen weight, in elements, that is stored in 16 bits. Smaller ones stay in float32."""
STORED_FLOATS = ("float16", "bfloat16")
STORED_INTEGERS = ("int8", "uint8")
"""The types of weights that `passes.quantization.frozen_integers` stores."""


def store_frozen_weights(graph: Graph, dtype: str) -> Graph:
    """The graph whose large frozen weights have the element type `float16` or `bfloat16`.

    Rows that are looked up in a table are cast after the lookup.
    """
    stored: dict[Value, Parameter] = {
        weight: _with_dtype(weight, dtype) for weight in graph.parameters.values() if _is_storable(weight)
    }
    if not stored:
        return graph
    g = Builder.extending(graph)
    g.nodes = []
    casts: dict[Value, Value] = {}
    for node in graph.nodes:
        with g.inherit(node):
            g.nodes.append(_reading_stored(g, node, stored, casts))
    for weight in [root for root in graph.roots if root in stored and root not in casts]:
        casts[weight] = _cast(g, stored[weight])
    parameters = {name: stored.get(weight, weight) for name, weight in graph.parameters.items()}
    return replace(graph, parameters=parameters).with_nodes(g.nodes, casts)


def _is_storable(weight: Parameter) -> bool:
    elements = weight.type.elements
    is_large = isinstance(elements, int) and elements >= MIN_STORED_ELEMENTS
    return not weight.trainable and weight.dtype == "float32" and is_large


def _with_dtype(weight: Parameter, dtype: str) -> Parameter:
    return Parameter(weight.name, weight.type.with_dtype(dtype), weight.initializer, trainable=False)


def _reading_stored(g: Builder, node: Node, stored: Mapping[Value, Parameter], casts: dict[Value, Value]) -> Node:
    """The node with casts of the stored weights that it reads, which are emitted before it."""
    weight = next((stored[x] for x in node.inputs[:1] if x is not None and x in stored), None)
    if weight is not None and node.op == "Gather":
        rows = g.refine(g.Gather(weight, node.inputs[1], **node.attributes), node.outputs[0].shape)
        return Node("Cast", (rows,), node.outputs, {"to": onnx_dtype("float32")}, node.scope, node.path)
    if weight is not None and node.op == "Cast":
        return node.with_inputs((weight,))
    for x in node.inputs:
        if x is not None and x in stored and x not in casts:
            casts[x] = _cast(g, stored[x])
    return with_replaced_inputs(node, casts)


def _cast(g: Builder, weight: Parameter) -> Value:
    return g.refine(g.cast(weight, "float32"), weight.shape)


def recast_frozen_weights(graph: Graph) -> Graph:
    """The training step whose backward pass casts stored weights again.

    This has to be one of the last passes: common-subexpression elimination would merge both casts. A node belongs to
    the forward pass if the graph's outputs depend on it.
    """
    stored = {weight for weight in graph.parameters.values() if weight.dtype in (*STORED_FLOATS, *STORED_INTEGERS)}
    derived = _derived_nodes(graph, stored)
    if not derived or not graph.updates:
        return graph
    forward = set(reachable_nodes(graph.nodes, graph.outputs.values()))
    nodes: list[Node] = []
    copies: dict[Value, Value] = {}
    for node in graph.nodes:
        is_backward = node not in forward and not any(y in derived for y in node.outputs)
        operands = [x for x in node.inputs if x is not None] if is_backward else []
        trigger = next((x for x in operands if x not in derived and _symbolic_axis(x) is not None), None)
        for x in operands:
            if trigger is not None and x in derived and x not in copies:
                nodes += _copied(x, derived, trigger, copies)
        nodes.append(with_replaced_inputs(node, copies) if is_backward else node)
    return graph.with_nodes(nodes, {}) if copies else graph


def _derived_nodes(graph: Graph, stored: set[Parameter]) -> dict[Value, Node]:
    """By value that depends on stored weights, other frozen ones and constants alone: its node."""
    derived: dict[Value, Node] = {}
    for node in graph.nodes:
        reads_stored = node.inputs and (node.inputs[0] in stored or node.inputs[0] in derived)
        sources = [x for x in node.inputs if x is not None and not isinstance(x, Constant)]
        if reads_stored and all(x in derived or (isinstance(x, Parameter) and not x.trainable) for x in sources):
            derived |= dict.fromkeys(node.outputs, node)
    return derived


def _symbolic_axis(x: Value) -> int | None:
    return next((axis for axis, size in enumerate(x.shape) if isinstance(size, Size)), None)


def _copied(x: Value, derived: Mapping[Value, Node], trigger: Value, copies: dict[Value, Value]) -> list[Node]:
    """Copies of the nodes behind a value that is derived from stored weights, added to `copies`.

    They read the weights through Reshapes to their own shapes, for which zeros stand: the size of the trigger, times
    zero.
    """
    g = Builder()
    for node in _nodes_behind(x, derived):
        if all(y in copies for y in node.outputs):
            continue
        with g.inherit(node):
            inputs = list(node.inputs)
            if isinstance(weight := inputs[0], Parameter):
                axis = _symbolic_axis(trigger)
                unchanged = g.Mul(g.Shape(trigger, start=axis, end=(axis or 0) + 1), [0] * weight.rank)
                inputs[0] = g.refine(g.Reshape(weight, unchanged), weight.shape)
            outputs = tuple(Value(y.type) for y in node.outputs)
            g.nodes.append(replace(with_replaced_inputs(node.with_inputs(inputs), copies), outputs=outputs))
            copies |= zip(node.outputs, outputs, strict=True)
    return g.nodes


def _nodes_behind(x: Value, derived: Mapping[Value, Node]) -> Iterator[Node]:
    """The nodes on which a derived value depends, in their order."""
    node = derived[x]
    for operand in node.inputs:
        if operand is not None and operand in derived:
            yield from _nodes_behind(operand, derived)
    yield node
