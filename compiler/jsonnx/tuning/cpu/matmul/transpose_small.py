"""Computes the product of few rows with a large transposed weight as the transpose of the weight times the rows.

onnxruntime packs the second operand of a product into a layout of its own at every step, which takes longer than the
multiplication by a few rows. It reads the first operand as it is. The input gradient of a Dense layer is such a
product.
"""

from __future__ import annotations

from collections.abc import Callable

from ....core.types import BATCH
from ....ir import Graph, Node, Value
from ....passes.rewrite import Match, RuleSet
from ..target import Target

MAX_ROWS = 64
"""Maximum number of rows. For more, multiplying takes longer than packing the weight."""
MIN_WEIGHT_ELEMENTS = 1 << 18
"""Minimum size of a weight, in elements. Packing a smaller one takes no longer than two further Transposes."""

transposition = RuleSet()


def has_transposable_matmuls(graph: Graph) -> bool:
    """Whether `transpose_small_matmuls` changes the graph for small batches."""
    return any(_transposed_weight(node, graph.producers.get) is not None for node in graph.nodes)


def transpose_small_matmuls(graph: Graph, target: Target) -> Graph:
    """Transposes products of the batch with large weights, if the expected batch is small."""
    if target.expected_batch is None or target.expected_batch > MAX_ROWS:
        return graph
    return transposition.apply(graph)


@transposition("MatMul")
def transpose_matmul(m: Match) -> Value | None:
    """MatMul(x, Transpose(w)) -> Transpose(MatMul(w, Transpose(x)))"""
    weight = _transposed_weight(m.node, m.producer)
    if weight is None:
        return None
    columns = m.g.Transpose(m.node.inputs[0], perm=[1, 0])
    result: Value = m.g.Transpose(m.g.MatMul(weight, columns), perm=[1, 0])
    return result


def _transposed_weight(node: Node, producer: Callable[[Value], Node | None]) -> Value | None:
    """The large weight whose transpose the whole batch is multiplied by; None for any other node."""
    if node.op != "MatMul" or node.domain or node.outputs[0].rank != 2 or node.outputs[0].dtype != "float32":
        return None
    x, transposed = node.inputs
    source = None if transposed is None else producer(transposed)
    if x is None or transposed is None or source is None or source.op != "Transpose" or source.domain:
        return None
    elements = transposed.type.elements
    is_large = isinstance(elements, int) and elements >= MIN_WEIGHT_ELEMENTS
    return source.inputs[0] if is_large and x.shape[0] == BATCH else None
