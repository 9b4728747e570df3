"""The lowest opset of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonnx
import onnx
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder


def model_of(emit: Callable[[Any, Any], Any], dtype: str = "float32") -> onnx.ModelProto:
    """A model of one operator over an input of six columns, which the checker accepts."""
    g = Builder()
    model = to_model_proto(g.graph({"y": emit(g, g.input("x", TensorType(dtype, (BATCH, 6))))}))
    onnx.checker.check_model(model, full_check=True)
    return model


def versions(model: onnx.ModelProto) -> tuple[int, int]:
    """The opset and the version of the file format."""
    return model.opset_import[0].version, model.ir_version


@pytest.mark.parametrize(
    "emit",
    [
        lambda g, x: g.Relu(x),
        lambda g, x: g.Pad(x, g.const([0, 1, 0, 1], "int64")),
        lambda g, x: g.ReduceMax(x, g.const([1], "int64"), keepdims=0),
        lambda g, x: g.Equal(x, g.const(1.0)),
        lambda g, x: g.Add(x, g.ConstantOfShape(g.Shape(x))),
        lambda g, x: g.Cast(x, to=onnx.TensorProto.INT32),
    ],
)
def test_operators_that_later_opsets_only_extend_are_written_in_opset_18(emit: Any) -> None:
    assert versions(model_of(emit)) == (18, 8)


def test_an_operator_of_opset_20_needs_it() -> None:
    assert versions(model_of(lambda g, x: g.Gelu(x))) == (20, 9)


def test_an_attribute_of_opset_19_needs_it() -> None:
    def pool(g: Any, x: Any) -> Any:
        return g.AveragePool(g.Unsqueeze(x, g.const([1], "int64")), kernel_shape=[2], dilations=[2])

    assert versions(model_of(pool)) == (19, 9)


def test_an_element_type_of_opset_19_needs_it() -> None:
    def compare(g: Any, x: Any) -> Any:
        return g.Equal(x, g.const("a", "string"))

    assert versions(model_of(compare, "string")) == (19, 9)


def test_an_element_type_of_opset_20_needs_it() -> None:
    def maximum(g: Any, x: Any) -> Any:
        return g.ReduceMax(x, g.const([1], "int64"), keepdims=0)

    assert versions(model_of(maximum, "bool")) == (20, 9)


def test_the_body_of_a_loop_counts() -> None:
    """A recurrent layer whose cell has Gelu, which is written as a Loop or Scan over time."""
    cell = {"type": "SimpleRNN", "units": 3, "activation": "gelu"}
    spec = {"inputs": {"x": {"shape": ["time", 2]}}, "layers": [cell]}
    proto = jsonnx.compile(spec).proto
    in_bodies = {n.op_type for node in proto.graph.node for a in node.attribute for n in a.g.node}
    assert "Gelu" in in_bodies
    assert "Gelu" not in {node.op_type for node in proto.graph.node}
    assert proto.opset_import[0].version == 20


def test_a_dictionary_of_strings_needs_the_file_format_of_its_domain() -> None:
    lookup = {"type": "StringLookup", "vocabulary": ["a", "b"]}
    spec = {"inputs": {"x": {"shape": [], "dtype": "string"}}, "layers": [lookup]}
    proto = jsonnx.compile(spec).proto
    assert {(item.domain, item.version) for item in proto.opset_import} == {("", 18), ("ai.onnx.ml", 4)}
    assert proto.ir_version == 9
