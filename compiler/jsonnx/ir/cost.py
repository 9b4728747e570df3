"""Counts the parameters and the multiply-adds of graphs."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from ..core.types import BATCH, Dim, Size
from .graph import Graph, Node

MICROSOFT_DOMAIN = "com.microsoft"
"""The domain of operators that onnxruntime alone has."""


def onnxruntime_ops(graph: Graph) -> list[str]:
    """The operators of a graph that onnxruntime alone has."""
    return sorted({node.op for node in graph.nodes if node.domain == MICROSOFT_DOMAIN})


def count_parameters(graph: Graph) -> int:
    """The elements of all weights whose shapes are known."""
    values = {**graph.parameters, **graph.states}.values()
    return sum(prod(value.shape) for value in values if value.type.is_static())


def count_macs(graph: Graph) -> int | None:
    """Multiply-adds of a whole graph, for one sample; None where a size is symbolic."""
    return sum_macs(graph.nodes)


def sum_macs(nodes: Iterable[Node]) -> int | None:
    total: Dim = 0
    for node in nodes:
        count = MAC_COUNTERS.get(node.op)
        if count is not None:
            total = total + count(node)
    return total if isinstance(total, int) else None


def _elements_per_sample(shape: tuple[Dim, ...]) -> Dim:
    """The elements of a tensor that belong to one sample."""
    result: Dim = 1
    for size in shape:
        result = result * _size_per_sample(size)
    return result


def _size_per_sample(size: Dim) -> Dim:
    """The part of an axis that belongs to one sample: of the batch 1, of steps folded into it their number."""
    if isinstance(size, Size) and not size.offset and [symbol for symbol, _ in size.terms] == [str(BATCH)]:
        return size.terms[0][1]
    return size


def _matmul_macs(node: Node) -> Dim:
    a, y = node.inputs[0], node.outputs[0]
    return _elements_per_sample(y.shape) * (a.shape[-1] if a is not None else 1)


def _conv_macs(node: Node) -> Dim:
    weight = node.inputs[1]
    return _elements_per_sample(node.outputs[0].shape) * prod(weight.shape[1:] if weight is not None else ())


def _conv_transpose_macs(node: Node) -> Dim:
    x, weight = node.inputs[0], node.inputs[1]
    return _elements_per_sample(x.shape if x is not None else ()) * prod(weight.shape[1:] if weight is not None else ())


def _einsum_macs(node: Node) -> Dim:
    """A product for every combination of places."""
    terms = node.attributes["equation"].partition("->")[0].split(",")
    if len(terms) < 2:
        return 0
    pairs = zip(terms, node.inputs, strict=True)
    sizes = {letter: size for term, x in pairs if x is not None for letter, size in zip(term, x.shape, strict=True)}
    return _elements_per_sample(tuple(sizes.values()))


def _recurrent_macs(node: Node) -> Dim:
    x, w, r = node.inputs[:3]
    if x is None or w is None or r is None:
        return 0
    return x.shape[0] * _size_per_sample(x.shape[1]) * (prod(w.shape) + prod(r.shape))


def _scan_macs(node: Node) -> Dim:
    """Every step's work, times the steps."""
    body = node.attributes["body"]
    steps = node.inputs[body.num_loop_inputs - 1].shape[0]
    total: Dim = 0
    for inner in body.nodes:
        total = total + (MAC_COUNTERS[inner.op](inner) if inner.op in MAC_COUNTERS else 0)
    return total * steps


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
"""Multiply-adds of one operator, for one sample."""
