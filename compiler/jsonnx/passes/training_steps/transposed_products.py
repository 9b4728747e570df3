"""Removes Transposes of weights and of their gradients, as of an embedding table that also computes the scores.

The gradient of `MatMul(x, Transpose(table))` needs the transpose of the transpose, and gives the gradient of the
transpose. Each of them would be another tensor of the size of the table.
"""

from __future__ import annotations

from ...ir import Graph, Node, Value
from ..rewrite import Match, RuleSet

transposition = RuleSet()


def without_transposed_weights(graph: Graph) -> Graph:
    """The step without Transposes that cancel one another or that a product can take over."""
    return transposition.apply(graph)


@transposition("Transpose")
def cancel_transposes(m: Match) -> Value | None:
    """Transpose(Transpose(x)) -> x"""
    inner = m.producer(m.node.inputs[0])
    if inner is None or inner.op != "Transpose" or inner.domain:
        return None
    first, second = _permutation(inner), _permutation(m.node)
    return inner.inputs[0] if [first[axis] for axis in second] == [*range(len(second))] else None


@transposition("Transpose")
def transpose_operands(m: Match) -> Value | None:
    """Transpose(MatMul(Transpose(a), b)) -> MatMul(Transpose(b), a) for matrices, if nothing else reads the product"""
    product = m.producer(m.node.inputs[0])
    if product is None or product.op != "MatMul" or product.domain or m.use_counts[m.node.inputs[0]] > 1:
        return None
    left, b = product.inputs
    transpose = m.producer(left)
    if transpose is None or transpose.op != "Transpose" or b is None or left is None or (left.rank, b.rank) != (2, 2):
        return None
    result: Value = m.g.MatMul(m.g.Transpose(b, perm=[1, 0]), transpose.inputs[0])
    return m.g.refine(result, m.node.outputs[0].shape)


def _permutation(node: Node) -> list[int]:
    rank = node.outputs[0].rank
    return list(node.attribute("perm", [*reversed(range(rank))]))
