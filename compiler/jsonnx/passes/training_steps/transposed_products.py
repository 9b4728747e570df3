"""Removes Transposes of large products in a training step: those of a tied table and of its gradient."""

from __future__ import annotations

from dataclasses import replace

from ...ir import Graph, Node, Value
from ..rewrite import Match, RuleSet

transposes = RuleSet()


def remove_transposes(graph: Graph) -> Graph:
    """Removes pairs of Transposes, and computes transposed products of matrices at once."""
    return transposes.apply(graph)


@transposes("Transpose")
def cancel(m: Match) -> Value | None:
    """Transpose(Transpose(x)) -> x, for matrices"""
    inner = _matrix_transpose(m.producer(m.node.inputs[0]))
    return inner.inputs[0] if inner is not None and _matrix_transpose(m.node) is not None else None


@transposes("Transpose")
def exchange_operands(m: Match) -> Node | None:
    """Transpose(MatMul(Transpose(a), b)) -> MatMul(Transpose(b), a), for matrices"""
    y = m.node.inputs[0]
    product = m.producer(y)
    if product is None or product.op != "MatMul" or product.domain or m.use_counts[y] != 1:
        return None
    left, b = _matrix_transpose(m.producer(product.inputs[0])), product.inputs[1]
    if _matrix_transpose(m.node) is None or left is None or b is None or b.rank != 2:
        return None
    return replace(product, inputs=(m.g.Transpose(b, perm=[1, 0]), left.inputs[0]), outputs=m.node.outputs)


def _matrix_transpose(node: Node | None) -> Node | None:
    """The node, if it transposes a matrix."""
    is_transpose = node is not None and node.op == "Transpose" and not node.domain
    return node if is_transpose and node is not None and node.outputs[0].rank == 2 else None
