"""Counts the parameters and the multiply-adds of graphs."""

from __future__ import annotations

from collections.abc import Container, Iterable
from math import prod

from .graph import Graph, Node
from .polynomial import Polynomial, product

MICROSOFT_DOMAIN = "com.microsoft"
"""The domain of operators that only onnxruntime implements."""


def onnxruntime_ops(graph: Graph) -> list[str]:
    """The operators of a graph that only onnxruntime implements."""
    return sorted({node.op for node in graph.nodes if node.domain == MICROSOFT_DOMAIN})


def count_parameters(graph: Graph, ignored_layers: Container[str] = ()) -> int:
    """The number of elements of all weights with a known shape, without the weights of some layers."""
    values = {**graph.parameters, **graph.states}.items()
    return sum(
        prod(value.shape)
        for name, value in values
        if value.type.is_static() and name.partition("/")[0] not in ignored_layers
    )


def count_macs(graph: Graph) -> int | None:
    """Multiply-adds of a graph for one sample; None if a size is symbolic."""
    return sum_macs(graph.nodes).constant


def sum_macs(nodes: Iterable[Node]) -> Polynomial:
    """Multiply-adds of nodes for one sample."""
    total = Polynomial()
    for node in nodes:
        if node.op in MAC_COUNTERS:
            total += MAC_COUNTERS[node.op](node)
    return total


def _matmul_macs(node: Node) -> Polynomial:
    a, y = node.inputs[0], node.outputs[0]
    return product([*y.shape, a.shape[-1] if a is not None else 1])


def _conv_macs(node: Node) -> Polynomial:
    weight = node.inputs[1]
    return product([*node.outputs[0].shape, *(weight.shape[1:] if weight is not None else ())])


def _conv_transpose_macs(node: Node) -> Polynomial:
    x, weight = node.inputs[0], node.inputs[1]
    return product([*(x.shape if x is not None else ()), *(weight.shape[1:] if weight is not None else ())])


def _einsum_macs(node: Node) -> Polynomial:
    """One multiplication for each combination of subscripts."""
    terms = node.attributes["equation"].partition("->")[0].split(",")
    if len(terms) < 2:
        return Polynomial()
    pairs = zip(terms, node.inputs, strict=True)
    sizes = {letter: size for term, x in pairs if x is not None for letter, size in zip(term, x.shape, strict=True)}
    return product(sizes.values())


def _recurrent_macs(node: Node) -> Polynomial:
    x, w, r = node.inputs[:3]
    if x is None or w is None or r is None:
        return Polynomial()
    return product(x.shape[:2]) * (product(w.shape) + product(r.shape))


def _scan_macs(node: Node) -> Polynomial:
    """The multiply-adds of a step, times the number of steps."""
    body = node.attributes["body"]
    return sum_macs(body.nodes) * product([node.inputs[body.num_loop_inputs - 1].shape[0]])


MAC_COUNTERS = {
    "MatMul": _matmul_macs,
    "Gemm": _matmul_macs,
    "Conv": _conv_macs,
    "ConvTranspose": _conv_transpose_macs,
    "Einsum": _einsum_macs,
    "LSTM": _recurrent_macs,
    "GRU": _recurrent_macs,
    "RNN": _recurrent_macs,
    "Scan": _scan_macs,
}
"""Multiply-adds of a node for one sample, by operator; other operators count as none."""
