"""Hostile ONNX files of OnnxModel layers, and hostile graphs in a spec."""

from __future__ import annotations

import base64
import bz2
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from support.foreign_models import model, numbers, perceptron

from .cases import SPEC, Case

FILE = "model.onnx"
MIB = 1 << 20


def _file(row: str, name: str, make: Callable[[], bytes | onnx.ModelProto], *arguments: str) -> Case:
    """A spec that names the file that is made."""

    def write() -> None:
        content = make()
        Path(FILE).write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        _spec()

    return Case(row, name, write, arguments or ("validate", SPEC))


def _graph(row: str, name: str, make: Callable[[], str]) -> Case:
    return Case(row, name, lambda: _spec(graph=make()))


def _spec(**keys: str) -> None:
    layer = {"type": "OnnxModel", "name": "net", "file": FILE}
    document = {"inputs": {"x": {"shape": [4]}}, "layers": [layer | keys]}
    Path(SPEC).write_text(json.dumps(document, indent=1))


def _cut() -> bytes:
    return perceptron().SerializeToString()[:-100]


def _functions(depth: int) -> onnx.ModelProto:
    """Local functions that call the one before twice; the first one calls itself if there is no other."""
    domain = "local"
    proto = model([helper.make_node(f"f{depth}", ["x"], ["y"], domain=domain)], {"x": ["N", 4]}, {"y": ["N", 4]})
    proto.opset_import.append(helper.make_opsetid(domain, 1))
    for level in range(depth + 1):
        inner = max(level - 1, 0)
        is_leaf = level == 0 and depth > 0
        op, of = ("Relu", "") if is_leaf else (f"f{inner}", domain)
        nodes = [helper.make_node(op, ["a"], ["b"], domain=of), helper.make_node(op, ["b"], ["c"], domain=of)]
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
        proto.functions.append(helper.make_function(domain, f"f{level}", ["a"], ["c"], nodes, opsets))
    return proto


def _external(location: str, **entries: str) -> onnx.ModelProto:
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["N", 4]}, {"y": ["N", 4]}, {"w": numbers(4, 4)}
    )
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return proto


def _sparse() -> onnx.ModelProto:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], {"x": ["N", 4]}, {"y": ["N", 4]})
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [1.0])
    indices = numpy_helper.from_array(np.int64([0]))
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 20, 1 << 20]))
    return proto


def _huge_shape() -> onnx.ModelProto:
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    return model(nodes, {"x": ["N", 4]}, {"y": ["N", 4]}, {"s": np.int64([1 << 20, 1 << 20, 4])})


def _undefined() -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["absent"], ["y"])], {"x": ["N", 4]}, {"y": ["N", 4]})


def _without_attribute() -> onnx.ModelProto:
    return model([helper.make_node("Concat", ["x", "x"], ["y"])], {"x": ["N", 4]}, {"y": ["N", 8]})


def _many_heads() -> onnx.ModelProto:
    operands, attributes = ["q", "q", "q"], {"num_heads": 1 << 40, "kv_num_heads": 1}
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["q"]),
        helper.make_node("GroupQueryAttention", operands, ["y"], domain="com.microsoft", **attributes),
    ]
    return _with_microsoft(nodes, {"x": ["N", 4]}, {"axis": np.int64([1])})


def _many_parts() -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"]),
        helper.make_node("Expand", ["sum", "s"], ["wide"]),
        helper.make_node("SplitToSequence", ["wide"], ["parts"], axis=1),
        helper.make_node("SequenceAt", ["parts", "first"], ["y"]),
    ]
    constants = {"s": np.int64([1, 1 << 40]), "first": np.int64(0), "axis": np.int64([1])}
    return model(nodes, {"x": ["N", 4]}, {"y": None}, constants)


def _without_block_size() -> onnx.ModelProto:
    tensors = {"q": np.zeros((4, 1, 2), "uint8"), "s": numbers(4)}
    node = helper.make_node("MatMulNBits", ["x", "q", "s"], ["y"], domain="com.microsoft", K=4, N=1 << 40, block_size=0)
    return _with_microsoft([node], {"x": ["N", 4]}, tensors)


def _with_microsoft(nodes: list[onnx.NodeProto], inputs: dict, tensors: dict) -> onnx.ModelProto:
    return model(nodes, inputs, {"y": None}, tensors, domains=[helper.make_opsetid("com.microsoft", 1)])


def _deep_scopes() -> onnx.ModelProto:
    proto = perceptron()
    proto.graph.node[1].name = "tanh"
    proto.graph.node[1].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="[" * 5000)
    return proto


def _packed(data: bytes) -> str:
    return base64.b64encode(bz2.compress(data)).decode()


ONNX = (
    _file("E1", "text", lambda: b"no model"),
    _file("E1", "empty", lambda: b""),
    _file("E1", "pickle", lambda: b"\x80\x04\x95" + bytes(40)),
    _file("E2", "cut", _cut),
    _file("E2", "undefined_value", _undefined),
    _file("E2", "missing_attribute", _without_attribute),
    _file("E3", "functions_that_double", lambda: _functions(40)),
    _file("E3", "many_nested_functions", lambda: _functions(15)),
    _file("E3", "function_of_itself", lambda: _functions(0)),
    _file("E4", "parent", lambda: _external("../secret")),
    _file("E4", "absolute", lambda: _external("/etc/passwd")),
    _file("E4", "absent", lambda: _external("absent.bin")),
    _file("E4", "beyond_the_end", lambda: _external(SPEC, offset="100000"), "compile", SPEC, "-o", "out.onnx"),
    _file("E5", "sparse_tensor", _sparse),
    _file("E5", "constant_of_shape", _huge_shape),
    _file("E5", "many_heads", _many_heads),
    _file("E5", "many_parts", _many_parts),
    _file("E2", "no_block_size", _without_block_size),
    _file("E2", "deep_scopes", _deep_scopes),
    _graph("E6", "no_base64", lambda: "\u00e9"),
    _graph("E6", "no_model", lambda: _packed(b"\xff" * 40)),
    _graph("E6", "bomb", lambda: _packed(bytes(80 * MIB))),
)
