"""Removes Transposes of weights and of their gradients, as of an embedding table that also computes the scores, and
changes of their gates' order.

The gradient of `MatMul(x, Transpose(table))` needs the transpose of the transpose, and gives the gradient of the
transpose. Each of them would be another tensor of the size of the table.
"""

from __future__ import annotations

from collections.abc import Sequence

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


@transposition("Reshape", "Squeeze")
def cancel_unsqueeze(m: Match) -> Value | None:
    """Reshape(Unsqueeze(x)) -> x, if that is the shape of x"""
    inner, y = m.producer(m.node.inputs[0]), m.node.outputs[0]
    x = None if inner is None or inner.op != "Unsqueeze" or inner.domain else inner.inputs[0]
    return x if x is not None and x.shape == y.shape and x.type.is_static() else None


@transposition("Split")
def cancel_concat(m: Match) -> Sequence[Value] | None:
    """Split(Concat(a, b)) -> a, b, if the parts are the operands"""
    inner, parts = m.producer(m.node.inputs[0]), m.node.outputs
    if inner is None or inner.op != "Concat" or inner.domain or not _along_same_axis(inner, m.node):
        return None
    operands = [x for x in inner.inputs if x is not None and x.type.is_static()]
    return operands if [x.shape for x in operands] == [part.shape for part in parts] else None


@transposition("Concat")
def cancel_split(m: Match) -> Value | None:
    """Concat(Split(x)) -> x, if the operands are all parts in order"""
    inner = m.producer(m.node.inputs[0])
    if inner is None or inner.op != "Split" or inner.domain or not _along_same_axis(inner, m.node):
        return None
    return inner.inputs[0] if inner.outputs == m.node.inputs else None


def _along_same_axis(first: Node, second: Node) -> bool:
    rank = second.outputs[0].rank
    axes = [node.attribute("axis", 0) % rank for node in (first, second)]
    return bool(axes[0] == axes[1])


def _permutation(node: Node) -> list[int]:
    rank = node.outputs[0].rank
    return list(node.attribute("perm", [*reversed(range(rank))]))
