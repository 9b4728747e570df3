"""Weights that several nodes read: a layer called twice, or an embedding whose table also computes scores of tokens.

A pass that changes weights may need a weight in several forms. The file would contain each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator

import numpy as np

from ...ir import Constant, Graph, Node, Value
from ..canonicalize import with_replaced_inputs
from ..constant_folding import MIN_SHARED_ELEMENTS
from ..rewrite import Match, RuleSet
from .linear_ops import weight_name

WeightPass = Callable[[Graph, Collection[str]], Graph]
"""A pass that changes no weight of these names."""

transposition = RuleSet(cleanup=None)


def multiply_by_transposed_weights(graph: Graph) -> Graph:
    """Multiplies by the rows of weights that are stored in their other order for other nodes."""
    return transposition.apply(graph)


@transposition("MatMul")
def matmul_as_gemm(m: Match) -> Value | None:
    """MatMul(x, Transpose(weight)) -> Reshape(Gemm(Reshape(x), weight, transB=1))

    onnxruntime would store the transposed weight a second time in memory.
    """
    x, transpose = m.node.inputs[0], m.producer(m.node.inputs[1])
    if x is None or x.rank < 2 or transpose is None or transpose.op != "Transpose":
        return None
    weight, y = transpose.inputs[0], m.node.outputs[0]
    if not isinstance(weight, Constant) or weight.rank != 2 or weight.dtype != "float32":
        return None
    rows = m.g.reshape(x, (x.type.with_shape(x.shape[:-1]).elements, x.shape[-1]))
    product = m.g.Gemm(rows, weight, transB=1)
    return m.g.reshape(product, y.shape, x)


def with_single_copies(apply: WeightPass, graph: Graph) -> Graph:
    """The result of a pass that leaves the large weights unchanged of which it would need several forms."""
    elements = _elements_by_weight(graph)
    result = merge_equal_weights(apply(graph, ()))
    copied = {
        name
        for name, size in _elements_by_weight(result).items()
        if size > elements[name] and size >= MIN_SHARED_ELEMENTS
    }
    return merge_equal_weights(apply(graph, copied)) if copied else result


def merge_equal_weights(graph: Graph) -> Graph:
    """Merges constants with the same name and the same elements, which a pass has computed for several nodes."""
    kept: dict[tuple[object, ...], list[Constant]] = {}
    replacements: dict[Value, Value] = {}
    for constant in _named_constants(graph.nodes):
        candidates = kept.setdefault((constant.name, constant.dtype, constant.array.shape), [])
        equal = next((other for other in candidates if np.array_equal(other.array, constant.array)), None)
        if equal is None:
            candidates.append(constant)
        else:
            replacements[constant] = equal
    if not replacements:
        return graph
    return graph.with_nodes([with_replaced_inputs(node, replacements) for node in graph.nodes], replacements)


def _named_constants(nodes: Collection[Node]) -> Iterator[Constant]:
    """The distinct constants of nodes that are weights."""
    values = dict.fromkeys(x for node in nodes for x in node.inputs)
    return (x for x in values if isinstance(x, Constant) and x.name)


def _elements_by_weight(graph: Graph) -> Counter[str]:
    """The numbers of elements that a graph stores of each weight, in all forms together."""
    elements: Counter[str] = Counter()
    for constant in _named_constants(graph.nodes):
        elements[weight_name(constant)] += constant.array.size
    return elements
