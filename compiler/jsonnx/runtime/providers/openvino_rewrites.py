"""Nodes that onnxruntime's OpenVINO provider computes wrongly or cannot load, rewritten into others that it computes.

The rules come from running every test case of every layer on OpenVINO and on the CPU with onnxruntime 1.24;
`tests/environments/openvino` repeats the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .model_graphs import all_graphs

if TYPE_CHECKING:
    import onnx

RECURRENT_OPERATORS = {"GRU", "LSTM", "RNN"}
_OPERATORS = (*RECURRENT_OPERATORS, "LayerNormalization")
MIN_OPSET = 18
"""The first opset whose reductions take their axes as an input."""


def rewrite_model(model: bytes) -> bytes:
    """An equivalent model for OpenVINO; the same bytes if nothing needs rewriting."""
    if not any(op.encode() in model for op in _OPERATORS):
        return model
    import onnx

    try:
        proto = onnx.load_model_from_string(model)
    except Exception:  # onnxruntime will report the model's error
        return model
    opset = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    ranks = _ranks(proto) if opset >= MIN_OPSET and any(map(_is_training_norm, proto.graph.node)) else {}
    changes = [_rewrite_graph(graph, ranks) for graph in all_graphs(proto.graph)]
    return proto.SerializeToString() if any(changes) else model


def _is_training_norm(node: onnx.NodeProto) -> bool:
    """Whether a node is a LayerNormalization that also gives its mean or its inverse deviation."""
    return node.op_type == "LayerNormalization" and len(node.output) > 1


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """The ranks of tensors by name, as far as they can be inferred."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (value for value in (*graph.input, *graph.value_info) if value.type.tensor_type.HasField("shape"))
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values}


def _rewrite_graph(graph: onnx.GraphProto, ranks: Mapping[str, int]) -> bool:
    """Rewrites the nodes of a graph in place. Returns whether there was any to rewrite."""
    nodes: list[onnx.NodeProto] = []
    sources = _Sources()
    for node in graph.node:
        if node.op_type in RECURRENT_OPERATORS:
            nodes += sources.separate(node)
        elif _is_training_norm(node) and node.input[0] in ranks:
            nodes += _layer_normalization(node, ranks[node.input[0]])
            continue
        sources.follow(node)
        nodes.append(node)
    if len(nodes) == len(graph.node):
        return False
    del graph.node[:]
    graph.node.extend(nodes)
    return True


class _Sources:
    """The sequences that the recurrent nodes of a graph read so far.

    OpenVINO replaces the output of a recurrent node by that of another one that reads the same tensor, although their
    weights differ, as the two directions of a Bidirectional layer do.
    """

    def __init__(self) -> None:
        self._origins: dict[str, Any] = {}
        """Keys of values that OpenVINO does not compute anew, by name; equal values have equal keys."""
        self._latest: dict[Any, str] = {}
        """The sequence that the latest recurrent node read, by the key of the tensor that it equals."""

    def follow(self, node: onnx.NodeProto) -> None:
        """Remembers that a node only passes its input on, or only transposes it."""
        if node.op_type == "Identity":
            self._origins[node.output[0]] = self._key(node.input[0])
        elif node.op_type == "Transpose":
            permutation = next((tuple(entry.ints) for entry in node.attribute if entry.name == "perm"), ())
            self._origins[node.output[0]] = (permutation, self._key(node.input[0]))

    def _key(self, name: str) -> Any:
        return self._origins.get(name, name)

    def separate(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Lets a recurrent node read `Max(x, x)` if an earlier one read x: OpenVINO does not simplify it."""
        from onnx import helper

        key = self._key(node.input[0])
        earlier = self._latest.get(key)
        self._latest[key] = node.input[0]
        if earlier is None:
            return []
        copy = f"{node.output[0] or node.output[1]}/sequence"
        self._latest[key] = node.input[0] = copy
        return [helper.make_node("Max", [earlier, earlier], [copy], f"{node.name}/Max")]


def _layer_normalization(node: onnx.NodeProto, rank: int) -> list[onnx.NodeProto]:
    """LayerNormalization with its mean and inverse deviation as outputs, which OpenVINO refuses, as other operators."""
    from onnx import TensorProto, helper

    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    axes = [*range(attributes.get("axis", -1) % rank, rank)]
    y, (x, scale, *bias) = node.output[0], node.input
    mean, inverse = (*node.output[1:], "")[:2]
    mean, inverse = mean or f"{y}/mean", inverse or f"{y}/inverse"

    def constant(name: str, type: int, values: list[Any], shape: list[int]) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [f"{y}/{name}"], value=helper.make_tensor(name, type, shape, values))

    def emit(op: str, inputs: list[str], output: str) -> onnx.NodeProto:
        emitted = helper.make_node(op, inputs, [output], f"{node.name}/{output.rpartition('/')[2]}")
        emitted.metadata_props.extend(node.metadata_props)
        return emitted

    return [
        constant("axes", TensorProto.INT64, axes, [len(axes)]),
        constant("epsilon", TensorProto.FLOAT, [attributes.get("epsilon", 1e-5)], []),
        emit("ReduceMean", [x, f"{y}/axes"], mean),
        emit("Sub", [x, mean], f"{y}/centered"),
        emit("Mul", [f"{y}/centered", f"{y}/centered"], f"{y}/square"),
        emit("ReduceMean", [f"{y}/square", f"{y}/axes"], f"{y}/variance"),
        emit("Add", [f"{y}/variance", f"{y}/epsilon"], f"{y}/raised"),
        emit("Sqrt", [f"{y}/raised"], f"{y}/deviation"),
        emit("Reciprocal", [f"{y}/deviation"], inverse),
        emit("Mul", [f"{y}/centered", inverse], f"{y}/normalized"),
        emit("Mul", [f"{y}/normalized", scale], f"{y}/scaled" if bias else y),
        *([emit("Add", [f"{y}/scaled", bias[0]], y)] if bias else []),
    ]
