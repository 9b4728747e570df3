"""Small ONNX models, as other programs write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jsonnx.foreign.prepare import PreparedModel, prepare
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
Inputs = Mapping[str, Sequence[int | str | None]]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Inputs,
    outputs: Inputs,
    weights: Mapping[str, Any] = {},
    opset: int = 18,
    dtypes: Mapping[str, int] = {},
    **options: Any,
) -> onnx.ModelProto:
    """A model with float32 inputs and outputs, other than those that have a type in `dtypes`."""
    types = [
        [helper.make_tensor_value_info(name, dtypes.get(name, FLOAT), shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    ]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", *types, arrays)
    imports = [helper.make_opsetid("", opset), *options.pop("domains", [])]
    return helper.make_model(graph, opset_imports=imports, ir_version=options.pop("ir_version", 8), **options)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normally distributed float32 numbers, the same for equal arguments."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def perceptron(opset: int = 18, batch: int | str = "N") -> onnx.ModelProto:
    """x [batch, 4] -> hidden [batch, 6] -> y [batch, 3]"""
    nodes = [
        helper.make_node("Gemm", ["x", "fc1.weight", "fc1.bias"], ["h"], transB=1, name="/fc1/Gemm"),
        helper.make_node("Tanh", ["h"], ["hidden"], name="/act/Tanh"),
        helper.make_node("MatMul", ["hidden", "onnx::MatMul_7"], ["p"], name="/fc2/MatMul"),
        helper.make_node("Add", ["fc2.bias", "p"], ["y"], name="/fc2/Add"),
    ]
    weights = {
        "fc1.weight": numbers(6, 4),
        "fc1.bias": numbers(6, seed=1),
        "onnx::MatMul_7": numbers(6, 3, seed=2),
        "fc2.bias": numbers(3, seed=3),
    }
    return model(nodes, {"x": [batch, 4]}, {"y": [batch, 3]}, weights, opset)


def convolution(opset: int = 18, batch: int | str = 1) -> onnx.ModelProto:
    """Images [batch, 2, 6, 6] through a convolution, a batch normalization and a Reshape with a fixed batch."""
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["c"], pads=[1, 1, 1, 1], name="/conv/Conv"),
        helper.make_node(
            "BatchNormalization", ["c", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_variance"], ["b"]
        ),
        helper.make_node("Sigmoid", ["b"], ["s"]),
        helper.make_node("GlobalAveragePool", ["s"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["y"]),
    ]
    weights = {
        "conv.weight": numbers(3, 2, 3, 3),
        "conv.bias": numbers(3, seed=1),
        "bn.weight": numbers(3, seed=2),
        "bn.bias": numbers(3, seed=3),
        "bn.running_mean": numbers(3, seed=4),
        "bn.running_variance": np.abs(numbers(3, seed=5)) + 1,
        "shape": np.array([1 if batch == 1 else -1, 3]),
    }
    return model(nodes, {"x": [batch, 2, 6, 6]}, {"y": [batch, 3]}, weights, opset)


def prepared(proto: onnx.ModelProto) -> PreparedModel:
    """The model, prepared as a file of these bytes is."""

    def no_file(name: str) -> Any:
        raise AssertionError(f"the model has no file {name!r}")

    return prepare(onnx.ModelProto.FromString(proto.SerializeToString()), no_file)


def graph_text(proto: onnx.ModelProto) -> str:
    """The graph as a spec of a run has it."""
    return prepared(proto).graph.to_text()
