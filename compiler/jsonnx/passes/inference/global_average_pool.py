"""Means of whole images in the form that the operators around them want."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ...core.types import TensorType
from ...ir import Constant, Graph, Node, Value


def use_global_average_pool(graph: Graph) -> Graph:
    """The same function in which a mean over all spatial axes that is given these back, of size one, keeps them."""
    uses = Counter(x for node in graph.nodes for x in node.inputs if x is not None) + Counter(graph.roots)
    readers = {x: node for node in graph.nodes for x in node.inputs if x is not None and uses[x] == 1}
    new: dict[Value, Value] = {}
    nodes = []
    for node in graph.nodes:
        if any(x in new for x in node.inputs):
            node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        mean = _global_mean_type(node)
        reader = readers.get(node.outputs[0])
        if mean is not None and _restores_axes(reader, mean):
            node = replace(node, op="GlobalAveragePool", inputs=node.inputs[:1], outputs=(Value(mean),), attributes={})
            assert reader is not None
            new[reader.outputs[0]] = node.outputs[0]
        elif mean is not None and node.attribute("keepdims", 1):
            node = replace(node, op="GlobalAveragePool", inputs=node.inputs[:1], attributes={})
        if node.outputs[0] not in new:
            nodes.append(node)
    return graph.with_nodes(nodes, new)


def _global_mean_type(node: Node) -> TensorType | None:
    """The type of a mean over all axes but batch and channels, if it keeps them; None for any other node."""
    x, axes = node.inputs[0] if node.inputs else None, node.input(1)
    if node.op != "ReduceMean" or x is None or x.dtype != "float32" or not isinstance(axes, Constant) or x.rank < 3:
        return None
    if sorted(int(axis) % x.rank for axis in axes.array) != list(range(2, x.rank)):
        return None
    return x.type.with_shape((*x.shape[:2], *[1] * (x.rank - 2)))


def _restores_axes(reader: Node | None, mean: TensorType) -> bool:
    return reader is not None and reader.op in ("Reshape", "Unsqueeze") and reader.outputs[0].type == mean
