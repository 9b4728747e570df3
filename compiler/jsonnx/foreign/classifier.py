"""The last layer with weights of a classifier: what it reads is what another head classifies."""

from __future__ import annotations

import onnx

from .prepared_graph import PreparedGraph

_BEHIND_CLASSIFIERS = frozenset(("Add", "Flatten", "Reshape", "Squeeze", "GlobalAveragePool", "ReduceMean")) | {
    *("Cast", "Dropout", "Identity"),
    *("LogSoftmax", "Relu", "Sigmoid", "Softmax"),
}
"""Operators that may follow the last layer with weights."""
_LINEAR = frozenset(("Conv", "Gemm", "MatMul"))


def features_of(graph: PreparedGraph) -> str:
    """The value that the last linear layer before the first output reads; the output itself if other operators with
    weights follow, or if the layer reads an input."""
    output = graph.output_names[0]
    producers = {name: node for node in graph.nodes for name in node.output}
    value = output
    while (node := producers.get(value)) is not None:
        operands = [name for name in node.input if _is_computed(graph, name)]
        if node.op_type in _LINEAR and len(operands) == 1:
            features = _without_copies(operands[0], producers)
            return features if features in producers else output
        if node.op_type not in _BEHIND_CLASSIFIERS or len(operands) != 1:
            break
        value = operands[0]
    return output


def _is_computed(graph: PreparedGraph, name: str) -> bool:
    return bool(name) and name not in graph.weights and name not in graph.constants


def _without_copies(value: str, producers: dict[str, onnx.NodeProto]) -> str:
    """The value before nodes that do nothing in inference."""
    while (node := producers.get(value)) is not None and node.op_type in ("Dropout", "Identity"):
        value = node.input[0]
    return value
