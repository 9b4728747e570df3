"""Prepares an ONNX model of another program: a graph of our operator set, and its weights by readable names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod

import numpy as np
import onnx

from ..ir.type_inference import OPSET
from .constant_tensors import ConstantTensors
from .convert import converted
from .prepared_graph import WEIGHTS_KEY, PreparedGraph
from .tensors import FLOAT_TYPES, OpenFile, tensor_array
from .weight_names import weight_names

NOT_OPERANDS: Mapping[str, frozenset[int]] = {
    "Clip": frozenset((1, 2)),
    "Dropout": frozenset((1, 2)),
    "Pad": frozenset((1, 2, 3)),
    "Range": frozenset((0, 1, 2)),
    "Resize": frozenset((1, 2, 3)),
    "QuantizeLinear": frozenset((1, 2)),
    "DequantizeLinear": frozenset((1, 2)),
    "LSTM": frozenset((5, 6)),
    "GRU": frozenset((5,)),
    "RNN": frozenset((5,)),
    "MatMulNBits": frozenset((2, 3)),
    "RotaryEmbedding": frozenset((2, 3)),
    "GroupQueryAttention": frozenset((7, 8)),
}
"""Inputs of operators that are options or initial states, by their index."""
MIN_STORED_ELEMENTS = 1 << 14
"""Elements of the smallest constant that is stored like a weight, without a gradient, and not in the graph: integers of
a quantized file, tables of angles."""
_STATE_INPUTS: Mapping[str, frozenset[int]] = {"BatchNormalization": frozenset((3, 4))}


class PreparedModel:
    """A prepared graph, and the tensors of its weights."""

    def __init__(self, graph: PreparedGraph, tensors: Mapping[str, onnx.TensorProto], open_file: OpenFile) -> None:
        self.graph, self._tensors, self._open_file = graph, tensors, open_file

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """The weights by name, floating-point ones as float32. Raises UnreadableGraph, UsageError, UnsafePath."""
        for tensor, weight in self.graph.weights.items():
            array = tensor_array(self._tensors[tensor], self._open_file)
            yield weight.name, array.astype(np.float32, copy=False) if _is_float(self._tensors[tensor]) else array


def prepare(model: onnx.ModelProto, open_file: OpenFile) -> PreparedModel:
    """Prepares the model of a file, whose syntax has been checked. The model is changed, so that large tensors are in
    memory twice at most. Raises UnreadableGraph, and what `open_file` raises."""
    model, detached = converted(model)
    graph = model.graph
    initializers = {t.name: t for t in graph.initializer}
    weights = _weights(graph, {**initializers, **detached}, open_file)
    read = {name for node in graph.node for name in node.input}
    for name in sorted(detached.keys() - weights.keys()):  # a large constant, such as a mask
        if name in read and prod(detached[name].dims) >= MIN_STORED_ELEMENTS:
            weights[name] = detached[name], True
        else:
            initializers[name] = onnx.numpy_helper.from_array(tensor_array(detached[name], open_file), name)
    names = weight_names(graph, list(weights))
    return PreparedModel(
        PreparedGraph(_prepared(graph, initializers, weights, names)),
        {name: detached.get(name, initializers.get(name)) for name in weights},  # type: ignore[misc]
        open_file,
    )


def _prepared(
    graph: onnx.GraphProto,
    initializers: Mapping[str, onnx.TensorProto],
    weights: Mapping[str, tuple[onnx.TensorProto, bool]],
    names: Mapping[str, str],
) -> onnx.ModelProto:
    """A model with inputs in place of its weights."""
    inputs = [value for value in graph.input if value.name not in initializers and value.name not in weights]
    inputs += [onnx.helper.make_tensor_value_info(name, t.data_type, t.dims) for name, (t, _) in weights.items()]
    read = {name for node in graph.node for name in _read_names(node)} | {value.name for value in graph.output}
    constants = [t for name, t in initializers.items() if name not in weights and name in read]
    result = onnx.helper.make_graph(graph.node, "graph", inputs, graph.output, constants)
    model = onnx.helper.make_model(result, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=9)
    listed = {name: [names[name], is_state] for name, (_, is_state) in weights.items()}
    onnx.helper.set_model_props(model, {WEIGHTS_KEY: json.dumps(listed)})
    return model


def _read_names(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, also those that its inner graphs may read."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from (value.name for value in attribute.g.output)
            for inner in attribute.g.node:
                yield from _read_names(inner)


def _weights(
    graph: onnx.GraphProto, tensors: Mapping[str, onnx.TensorProto], open_file: OpenFile
) -> dict[str, tuple[onnx.TensorProto, bool]]:
    """The tensors that are weights, in the order in which nodes read them, and whether they are states."""
    found: dict[str, tuple[onnx.TensorProto, bool]] = {}
    constants = ConstantTensors(graph, tensors, lambda tensor: tensor_array(tensor, open_file))
    for node in graph.node:
        excluded, states = NOT_OPERANDS.get(node.op_type, ()), _STATE_INPUTS.get(node.op_type, ())
        for index, name in enumerate(node.input):
            tensor = tensors.get(name)
            if tensor is None or name in found or index in excluded or not _is_float(tensor):
                continue
            is_normalization = node.op_type == "BatchNormalization"  # also of a single channel
            if (prod(tensor.dims) > 1 or is_normalization) and not constants.contains(node, index, tensor):
                found[name] = tensor, index in states
    return found


def _is_float(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in FLOAT_TYPES
