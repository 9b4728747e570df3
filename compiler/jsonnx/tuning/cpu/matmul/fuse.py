"""Fuses matrix products with the Transposes, biases and activations around them.

onnxruntime fuses the same nodes when it opens a graph, but at a cost a fusion that grows with the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....ir import Graph, Node, Value
from ....ir.cost import MICROSOFT_DOMAIN
from ....passes.canonicalize import prune
from ....passes.rewrite import Match, RuleSet
from ..target import Target

fusion = RuleSet(cleanup=prune)


def fuse_matmuls(graph: Graph, target: Target) -> Graph:
    """Fuses products of float32 matrices with Transposes of their operands, with a bias and with an activation."""
    return fusion.apply(graph)


@fusion("MatMul")
def fuse_transposes(m: Match) -> Node | None:
    """MatMul(Transpose(a), Transpose(b)) -> FusedMatMul(a, b, transA=1, transB=1)"""
    transposed = [_swaps_last_two_axes(m.producer(x)) for x in m.node.inputs]
    if not any(transposed) or m.node.outputs[0].dtype != "float32":
        return None
    operands = [_operand(m, x) if swaps else x for x, swaps in zip(m.node.inputs, transposed, strict=True)]
    attributes = dict(zip(("transA", "transB"), map(int, transposed), strict=True))
    return replace(m.node, op="FusedMatMul", domain=MICROSOFT_DOMAIN, inputs=tuple(operands), attributes=attributes)


@fusion("Add")
def fuse_bias(m: Match) -> Node | None:
    """Add(MatMul(a, b), bias) -> Gemm(a, b, bias), also with FusedMatMul"""
    y = m.node.outputs[0]
    for x, bias in (m.node.inputs, m.node.inputs[::-1]):
        product = _single_use_product(m, x, ("MatMul", "FusedMatMul"))
        if product is None or bias is None or y.dtype != "float32" or y.rank != 2:
            continue
        matrices = all(operand is not None and operand.rank == 2 for operand in product.inputs)
        if matrices and (1, *bias.shape)[-2:] == (1, y.shape[1]):
            return replace(product, op="Gemm", domain="", inputs=(*product.inputs, bias), outputs=m.node.outputs)
    return None


@fusion("Relu", "Sigmoid", "Tanh")
def fuse_activation(m: Match) -> Node | None:
    """Relu(Gemm(a, b, bias)) -> FusedGemm(a, b, bias, activation="Relu"), if the Gemm is a result of `fuse_bias`"""
    product = _single_use_product(m, m.node.inputs[0], ("Gemm",))
    original = m.original_producer(m.node.inputs[0])
    if product is None or original is None or original.op == "Gemm":
        return None
    attributes = {**product.attributes, "activation": m.node.op}
    return replace(product, op="FusedGemm", domain=MICROSOFT_DOMAIN, outputs=m.node.outputs, attributes=attributes)


def _single_use_product(m: Match, x: Value | None, operators: Sequence[str]) -> Node | None:
    """The node that computes x, if it is of these operators and only the matched node reads x."""
    node = m.producer(x)
    return node if node is not None and node.op in operators and m.use_counts[x] == 1 else None


def _operand(m: Match, x: Value | None) -> Value | None:
    node = m.producer(x)
    return None if node is None else node.inputs[0]


def _swaps_last_two_axes(node: Node | None) -> bool:
    if node is None or node.op != "Transpose" or node.domain or node.outputs[0].rank < 2:
        return False
    *first, rows, columns = range(node.outputs[0].rank)
    return bool(node.attribute("perm") == [*first, columns, rows])
