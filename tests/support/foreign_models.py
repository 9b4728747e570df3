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


def sequence_first_transformer() -> onnx.ModelProto:
    """One image [1, 3, 32, 32] through a small vision transformer: its patches and a class token, and attention over
    [steps, samples, features], whose rows a Gemm projects, as TorchScript exports it without dynamic axes."""
    node, normal = helper.make_node, {"axis": -1}
    steps = [
        node("Conv", ["x", "patches.weight", "patches.bias"], ["c"], strides=[16, 16], name="/patches/Conv"),
        node("Reshape", ["c", "flat"], ["f"]),
        node("Transpose", ["f"], ["sequence"], perm=[0, 2, 1]),
        node("Expand", ["token", "token_shape"], ["class"]),
        node("Concat", ["class", "sequence"], ["with_class"], axis=1),
        node("Add", ["with_class", "positions"], ["s0"]),
    ]
    weights: dict[str, Any] = {
        "patches.weight": numbers(16, 3, 16, 16, seed=1) / 16,
        "patches.bias": numbers(16, seed=2),
        "token": numbers(1, 1, 16, seed=3),
        "positions": numbers(1, 5, 16, seed=4),
        "flat": np.int64([1, 16, 4]),
        "token_shape": np.int64([1, 1, 16]),
        "heads": np.int64([5, 2, 8]),
        "apart": np.int64([1, 2, 5, 8]),
        "three": np.int64([5, 1, 3, 16]),
        "rows": np.int64([5, 16]),
        "sequence_first": np.int64([5, 1, 16]),
        "scale": np.float32(8**-0.5),
        "first": np.int64(0),
        "head.weight": numbers(3, 16, seed=5),
        "head.bias": numbers(3, seed=6),
    }
    weights |= {f"part{index}": np.int64(index) for index in range(3)}
    for i in range(2):
        a, weight = f"l{i}.", f"layer{i}.attention."
        steps += [
            node("LayerNormalization", [f"s{i}", f"{a}ln.weight", f"{a}ln.bias"], [f"{a}n"], **normal),
            node("Transpose", [f"{a}n"], [f"{a}t"], perm=[1, 0, 2]),
            node("MatMul", [f"{a}t", f"{weight}in"], [f"{a}qkv"]),
            node("Reshape", [f"{a}qkv", "three"], [f"{a}three"]),
        ]
        for index, name in enumerate("qkv"):
            steps += [
                node("Gather", [f"{a}three", f"part{index}"], [f"{a}{name}0"], axis=2),
                node("Reshape", [f"{a}{name}0", "heads"], [f"{a}{name}1"]),
                node("Transpose", [f"{a}{name}1"], [f"{a}{name}2"], perm=[1, 0, 2]),
                node("Reshape", [f"{a}{name}2", "apart"], [f"{a}{name}"]),
            ]
        steps += [
            node("Transpose", [f"{a}k"], [f"{a}kt"], perm=[0, 1, 3, 2]),
            node("MatMul", [f"{a}q", f"{a}kt"], [f"{a}products"]),
            node("Mul", [f"{a}products", "scale"], [f"{a}scaled"]),
            node("Softmax", [f"{a}scaled"], [f"{a}p"], axis=-1),
            node("MatMul", [f"{a}p", f"{a}v"], [f"{a}mixed"]),
            node("Transpose", [f"{a}mixed"], [f"{a}mt"], perm=[2, 0, 1, 3]),
            node("Reshape", [f"{a}mt", "rows"], [f"{a}rows"]),
            node("Gemm", [f"{a}rows", f"{weight}out", f"{weight}out_bias"], [f"{a}g"], transB=1, name=f"/{i}/Gemm"),
            node("Reshape", [f"{a}g", "sequence_first"], [f"{a}r"]),
            node("Transpose", [f"{a}r"], [f"{a}rt"], perm=[1, 0, 2]),
            node("Add", [f"{a}rt", f"s{i}"], [f"s{i + 1}"]),
        ]
        weights |= {
            f"{a}ln.weight": numbers(16, seed=10 + i),
            f"{a}ln.bias": numbers(16, seed=20 + i),
            f"{weight}in": numbers(16, 48, seed=30 + i) / 4,
            f"{weight}out": numbers(16, 16, seed=40 + i) / 4,
            f"{weight}out_bias": numbers(16, seed=50 + i),
        }
    steps += [
        node("Gather", ["s2", "first"], ["class_result"], axis=1),
        node("Gemm", ["class_result", "head.weight", "head.bias"], ["y"], transB=1),
    ]
    return model(steps, {"x": [1, 3, 32, 32]}, {"y": [1, 3]}, weights)


def prepared(proto: onnx.ModelProto) -> PreparedModel:
    """The model, prepared as a file of these bytes is."""

    def no_file(name: str) -> Any:
        raise AssertionError(f"the model has no file {name!r}")

    return prepare(onnx.ModelProto.FromString(proto.SerializeToString()), no_file)


def graph_text(proto: onnx.ModelProto) -> str:
    """The graph as a spec of a run has it."""
    return prepared(proto).graph.to_text()
