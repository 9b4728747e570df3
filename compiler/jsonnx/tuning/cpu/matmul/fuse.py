"""Matrix products with what stands beside them, as onnxruntime fuses them when it opens a graph.

It takes one node after the other out of its graph, at a cost that grows with the graph: a step of 4,000 layers took it
12 seconds to open, and takes 3.8 with these there already. So this is for a graph that runs on the CPU here and now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....ir import Graph, Node, Value
from ....ir.cost import MICROSOFT_DOMAIN
from ....passes.canonicalize import prune
from ..target import Target

FUSABLE_ACTIVATIONS = {"Relu", "Sigmoid", "Tanh"}
"""What becomes a part of a product behind which it stands."""


def fuse_matmuls(graph: Graph, target: Target) -> Graph:
    """The graph whose products transpose their operands themselves, add a bias, and end in their activation."""
    producers = graph.producers
    uses = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
    made: dict[Value, Node] = {}
    for node in graph.nodes:
        fused = _fuse_transposes(node, producers) or _fuse_bias(node, made, uses) or _fuse_activation(node, made, uses)
        if fused is not None:
            made[node.outputs[0]] = fused
    nodes = [made.get(node.outputs[0], node) for node in graph.nodes]
    return prune(graph.with_nodes(nodes, {})) if made else graph


def _fuse_transposes(node: Node, producers: Mapping[Value, Node]) -> Node | None:
    """A product of matrices, which need not be turned round before."""
    if node.op != "MatMul" or node.domain or node.outputs[0].dtype != "float32":
        return None
    operands: list[Value | None] = []
    turns: dict[str, Any] = {}
    for name, x in zip(("transA", "transB"), node.inputs, strict=True):
        source = producers.get(x) if x is not None else None
        turned = source is not None and _swaps_last_two_axes(source)
        operands.append(source.inputs[0] if source is not None and turned else x)
        turns[name] = int(turned)
    if not any(turns.values()):
        return node
    return replace(node, op="FusedMatMul", domain=MICROSOFT_DOMAIN, inputs=tuple(operands), attributes=turns)


def _swaps_last_two_axes(node: Node) -> bool:
    """Whether it exchanges the last two axes."""
    if node.op != "Transpose" or node.domain or node.outputs[0].rank < 2:
        return False
    *first, rows, columns = range(node.outputs[0].rank)
    return bool(node.attribute("perm") == [*first, columns, rows])


def _fuse_bias(node: Node, fused: Mapping[Value, Node], use_counts: Mapping[Value | None, int]) -> Node | None:
    """A sum of a product of two matrices, of which nobody else reads, and a row."""
    if node.op != "Add" or node.domain or node.outputs[0].rank != 2:
        return None
    for x, bias in (node.inputs, node.inputs[::-1]):
        product = fused.get(x) if x is not None else None
        if product is None or bias is None or use_counts[x] != 1 or product.op not in ("MatMul", "FusedMatMul"):
            continue
        flat = all(operand is not None and operand.rank == 2 for operand in product.inputs)
        if flat and (1, *bias.shape)[-2:] == (1, node.outputs[0].shape[1]):
            return replace(product, op="Gemm", domain="", inputs=(*product.inputs, bias), outputs=node.outputs)
    return None


def _fuse_activation(node: Node, fused: Mapping[Value, Node], use_counts: Mapping[Value | None, int]) -> Node | None:
    """The function of a product with a bias, of which nobody else reads."""
    if node.op not in FUSABLE_ACTIVATIONS or node.domain:
        return None
    x = node.inputs[0]
    product = fused.get(x) if x is not None else None
    if product is None or use_counts[x] != 1 or product.op != "Gemm":
        return None
    attributes = {**product.attributes, "activation": node.op}
    return replace(product, op="FusedGemm", domain=MICROSOFT_DOMAIN, outputs=node.outputs, attributes=attributes)
