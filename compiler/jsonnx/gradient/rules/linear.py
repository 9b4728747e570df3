"""Matrix products."""

from __future__ import annotations

from ..table import Builder, Node, Value, vjp


@vjp("MatMul")
def matmul(g: Builder, node: Node, dy: Value):
    """y = a @ b, so da = dy @ bT and db = aT @ dy.

    Where b is a matrix, all leading axes of a are rows of one product.
    """
    a, b = node.inputs
    if b.rank == 2 and a.rank > 2:
        rows = g.Reshape(a, [-1, a.shape[-1]])
        da = g.MatMul(dy, transposed(g, b))
        return da, g.MatMul(transposed(g, rows), g.Reshape(dy, [-1, dy.shape[-1]]))
    return g.MatMul(dy, transposed(g, b)), g.MatMul(transposed(g, a), dy)


def transposed(g: Builder, x: Value) -> Value:
    """The last two axes swapped."""
    return g.Transpose(x, perm=[*range(x.rank - 2), x.rank - 1, x.rank - 2])
