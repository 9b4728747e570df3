"""Images as vectors before a product with a matrix: the matrix can have its rows in the order of any layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from ...ir import Constant, Graph, Node, Value
from .linear_ops import replace_constant


def fold_transpose_into_matmul(graph: Graph) -> Graph:
    """The same function without a Transpose between an image and the matrix that multiplies its elements."""
    producers = graph.producers
    return graph.with_nodes((new for node in graph.nodes for new in _with_permuted_kernel(node, producers)), {})


def _with_permuted_kernel(node: Node, producers: Mapping[Value, Node]) -> Iterator[Node]:
    """The node, or a product of the same with an image that is not transposed."""
    kernel = node.input(1)
    flat = producers.get(node.inputs[0]) if node.op in ("MatMul", "Gemm") and node.inputs[0] is not None else None
    turn = producers.get(flat.inputs[0]) if flat is not None and flat.op == "Reshape" and flat.inputs[0] else None
    if flat is None or turn is None or not isinstance(kernel, Constant) or node.attribute("transA", 0):
        yield node
        return
    image, vector = turn.outputs[0], flat.outputs[0]
    perm = list(turn.attribute("perm") or range(image.rank)[::-1])
    fixed = all(isinstance(size, int) for size in image.shape[1:])
    whole = fixed and vector.shape == (image.shape[0], prod(image.shape[1:])) and kernel.rank == 2
    if turn.op != "Transpose" or perm[0] != 0 or not whole or not isinstance(flat.inputs[1], Constant):
        yield node
        return
    rows = np.arange(vector.shape[1]).reshape(image.shape[1:]).transpose(np.argsort(perm[1:])).ravel()
    array = np.take(kernel.array, rows, 1 if node.attribute("transB", 0) else 0)
    made = Value(vector.type)
    yield Node("Reshape", (turn.inputs[0], flat.inputs[1]), (made,), {}, flat.scope, flat.path)
    yield node.with_inputs((made, replace_constant(array, kernel), *node.inputs[2:]))
