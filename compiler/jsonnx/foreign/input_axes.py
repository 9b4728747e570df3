"""Which weights of a graph are matrices from inputs to outputs, and along which of their axes the inputs lie."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from .prepared_graph import PreparedGraph
from .tensors import attributes_of


def input_axes(graph: PreparedGraph) -> Mapping[str, tuple[int, ...]]:
    """The axes that products with a weight sum over, or that indices select from, by the weight's name.

    Of a weight with several readers, the first one tells.
    """
    permutations = {tensor: tuple(range(len(weight.shape))) for tensor, weight in graph.weights.items()}
    weights = dict(graph.weights)
    axes: dict[str, tuple[int, ...]] = {}
    for node in graph.nodes:
        if node.domain:
            continue
        if node.op_type in ("Transpose", "Identity") and node.input[0] in weights:
            source = permutations[node.input[0]]
            order = attributes_of(node).get("perm", [*reversed(range(len(source)))])
            order = order if node.op_type == "Transpose" else range(len(source))
            weights[node.output[0]] = weights[node.input[0]]
            permutations[node.output[0]] = tuple(source[axis] for axis in order)
            continue
        tensor = _matrix_operand(node)
        if tensor in weights:
            own = permutations[tensor]
            summed = _summed_axes(node, len(own))
            axes.setdefault(weights[tensor].name, tuple(own[axis] for axis in summed)) if summed else None
    return axes


def _matrix_operand(node: onnx.NodeProto) -> str:
    """The operand that may be a matrix of weights; an empty text if there is none."""
    index = {"MatMul": 1, "Gemm": 1, "Conv": 1, "Gather": 0}.get(node.op_type)
    return "" if index is None or index >= len(node.input) else node.input[index]


def _summed_axes(node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    """The axes of the operand that the operator sums over or selects from; none if it is no matrix."""
    attributes = attributes_of(node)
    if node.op_type == "Conv":
        return tuple(range(1, rank))
    if rank != 2 or attributes.get("axis", 0) != 0:
        return ()
    return (1,) if node.op_type == "Gemm" and attributes.get("transB", 0) else (0,)
