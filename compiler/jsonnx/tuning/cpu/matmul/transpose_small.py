"""Products of few rows with a large weight that is turned round, as the weight's product with the few turned round.

onnxruntime puts the second operand of a product in an order of its own at every step, which takes longer than to
multiply it by few rows; the first one it takes as it lies. What goes back through a Dense layer is such a product, and
so written, with its small result turned round, takes 0.35 to 0.6 of the time for up to 64 samples and weights of 512 x
512 to 2,048 x 2,048. From 128 samples on it takes as long.
"""

from __future__ import annotations

from ....core.types import BATCH
from ....ir import Builder, Graph, Node, Value
from ....passes.canonicalize import canonicalize
from ..target import Target

MAX_ROWS = 64
"""Rows up to which this is faster."""
MIN_WEIGHT_ELEMENTS = 1 << 18
"""Elements of a weight from which on it is."""


def has_transposable_matmuls(graph: Graph) -> bool:
    """Whether the form of a graph depends on how many samples it gets."""
    producers = graph.producers
    return any(_transposed_weight(node, producers) is not None for node in graph.nodes)


def transpose_small_matmuls(graph: Graph, target: Target) -> Graph:
    """The graph with these products so, if the expected batch is small."""
    if target.expected_batch is None or target.expected_batch > MAX_ROWS:
        return graph
    producers = graph.producers
    g = Builder.extending(graph)
    g.nodes = []
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        weight = _transposed_weight(node, producers)
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        if weight is None or node.inputs[0] is None:
            g.nodes.append(node)
            continue
        with g.inherit(node):
            rows = g.Transpose(node.inputs[0], perm=[1, 0])
            new[node.outputs[0]] = g.Transpose(g.MatMul(new.get(weight, weight), rows), perm=[1, 0])
    return canonicalize(graph.with_nodes(g.nodes, new)) if new else graph


def _transposed_weight(node: Node, producers: dict[Value, Node]) -> Value | None:
    """The large weight that a node multiplies all samples by, turned round; None where it does something else."""
    if node.op != "MatMul" or node.domain or node.outputs[0].rank != 2 or node.outputs[0].dtype != "float32":
        return None
    x, turned = node.inputs
    source = None if turned is None else producers.get(turned)
    if x is None or turned is None or source is None or source.op != "Transpose" or source.domain:
        return None
    elements = turned.type.elements
    large = isinstance(elements, int) and elements >= MIN_WEIGHT_ELEMENTS
    return source.inputs[0] if large and x.shape[0] == BATCH else None
