"""Computes column sums, such as the gradient of a bias, as the product of a row of ones with the matrix.

onnxruntime's ReduceSum adds up one column after the other, which is several times slower than its MatMul.
"""

from __future__ import annotations

from ...core.types import product
from ...ir import Constant, Graph, Node, Value
from ..rewrite import Match, RuleSet

FLOAT_DTYPES = ("float32", "float64")

column_sums = RuleSet()


def column_sums_as_matmul(graph: Graph) -> Graph:
    """Turns sums over all axes but the last into products, if the number of summands is known only at run time."""
    return column_sums.apply(graph)


@column_sums("ReduceSum")
def column_sum_as_matmul(m: Match) -> Value | None:
    """ReduceSum(x) -> Reshape(MatMul(ones, Reshape(x)))"""
    x, y = m.node.inputs[0], m.node.outputs[0]
    if x is None or not _is_column_sum(m.node):
        return None
    matrix = x if x.rank == 2 else m.g.Reshape(x, [-1, x.shape[-1]])
    key = x.dtype, product(x.shape[:-1])
    if key not in m.cache:
        m.cache[key] = m.g.Unsqueeze(m.g.full(1, m.g.Shape(matrix, start=0, end=1), x.dtype), [0])
    return m.g.refine(m.g.Reshape(m.g.MatMul(m.cache[key], matrix), list(y.shape)), y.shape)


def _is_column_sum(node: Node) -> bool:
    x, axes = node.input(0), node.input(1)
    if x is None or not isinstance(axes, Constant) or x.rank < 2 or x.dtype not in FLOAT_DTYPES:
        return False
    all_but_last = sorted(axis % x.rank for axis in axes.array.tolist()) == list(range(x.rank - 1))
    return all_but_last and x.type.is_static(-1) and not x.type.is_static(*range(x.rank - 1))
