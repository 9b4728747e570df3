"""Folds the Transpose of an image that is flattened for a product with a matrix into the order of the matrix' rows."""

from __future__ import annotations

from collections.abc import Collection
from math import prod

import numpy as np

from ...ir import Constant, Graph, Node, Value
from ..rewrite import Match, RuleSet
from .linear_ops import replace_constant, weight_name
from .shared_weights import with_single_copies

folding = RuleSet(cleanup=None)


def fold_transpose_into_matmul(graph: Graph) -> Graph:
    """Multiplies flattened images in the order in which they lie in memory."""
    return with_single_copies(_with_folded_transposes, graph)


def _with_folded_transposes(graph: Graph, kept_weights: Collection[str]) -> Graph:
    return folding.apply(graph, kept_weights)


@folding("MatMul", "Gemm")
def fold_transpose(m: Match) -> Node | None:
    """MatMul(Reshape(Transpose(image)), kernel) -> MatMul(Reshape(image), permuted kernel), also for Gemm"""
    kernel, reshape = m.node.input(1), m.producer(m.node.inputs[0])
    if reshape is None or reshape.op != "Reshape" or not isinstance(reshape.inputs[1], Constant):
        return None
    transpose = m.producer(reshape.inputs[0])
    if transpose is None or transpose.op != "Transpose":
        return None
    if not isinstance(kernel, Constant) or kernel.rank != 2 or m.node.attribute("transA", 0):
        return None
    if weight_name(kernel) in m.context:
        return None
    image, vector = transpose.outputs[0], reshape.outputs[0]
    perm = list(transpose.attribute("perm") or range(image.rank)[::-1])
    is_static = all(isinstance(size, int) for size in image.shape[1:])
    if perm[0] != 0 or not is_static or vector.shape != (image.shape[0], prod(image.shape[1:])):
        return None
    rows = np.arange(vector.shape[1]).reshape(image.shape[1:]).transpose(np.argsort(perm[1:])).ravel()
    array = np.take(kernel.array, rows, 1 if m.node.attribute("transB", 0) else 0)
    flat = Value(vector.type)
    shape = reshape.inputs[1]
    m.g.nodes.append(Node("Reshape", (transpose.inputs[0], shape), (flat,), {}, reshape.scope, reshape.path))
    return m.node.with_inputs((flat, replace_constant(array, kernel), *m.node.inputs[2:]))
