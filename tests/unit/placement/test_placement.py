"""Nodes without a kernel, by operator, opset and element type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from jsonnx.backend import to_model_proto
from jsonnx.core.providers.known_providers import providers_with_kernel_table
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.placement import Kernel, KernelTable, kernel_table, place_nodes
from onnx import helper

FLOATS = {"T": frozenset({"float32"})}


def model_of(emit: Callable[[Any, Any], Any], dtype: str = "float32") -> onnx.ModelProto:
    g = Builder()
    return to_model_proto(g.graph({"y": emit(g, g.input("x", TensorType(dtype, (BATCH, 6))))}))


def table(**kernels: tuple[Kernel, ...]) -> KernelTable:
    return KernelTable("test", "1.0", "test", {("", op): entries for op, entries in kernels.items()})


def reasons(model: onnx.ModelProto, table: KernelTable) -> list[str]:
    return [missing.reason for missing in place_nodes(model, table).missing]


def test_an_open_kernel_serves_only_the_definition_of_its_opset() -> None:
    model = model_of(lambda g, x: g.Pad(x, g.const([0, 1, 0, 1], "int64")))
    assert reasons(model, table(Pad=(Kernel(18, None, FLOATS),))) == []
    assert reasons(model, table(Pad=(Kernel(13, None, FLOATS),))) == ["no kernel for Pad of opset 18"]
    assert reasons(model, table(Pad=(Kernel(13, 18, FLOATS),))) == []


def test_an_element_type_must_be_listed() -> None:
    model = model_of(lambda g, x: g.Add(x, x), "int64")
    assert reasons(model, table(Add=(Kernel(14, None, FLOATS),))) == ["no kernel for Add of int64"]
    assert reasons(model, table(Add=(Kernel(14, None, {}),))) == []
    first_input = {"first": frozenset({"float32"})}
    assert reasons(model, table(Add=(Kernel(14, None, first_input),))) == ["no kernel for Add of int64"]


def test_a_node_tells_its_layer_and_the_types_that_are_copied() -> None:
    model = model_of(lambda g, x: g.Relu(x))
    model.graph.node[0].metadata_props.add(key="jsonnx.path", value="$.layers[0]")
    (missing,) = place_nodes(model, table()).missing
    assert (missing.op, missing.path, missing.outputs) == ("Relu", "$.layers[0]", ("float32 (batch, 6)",))
    assert missing.reason == "no kernel for Relu"


def test_shape_arithmetic_is_left_out() -> None:
    def rows(g: Any, x: Any) -> Any:
        return g.Reshape(x, g.Concat(g.Mul(g.Shape(x, start=0, end=1), 2), g.const([3], "int64"), axis=0))

    kernels = table(Reshape=(Kernel(14, None, FLOATS), Kernel(5, 13, FLOATS)), Shape=(Kernel(15, None, {}),))
    placed = place_nodes(model_of(rows), kernels)
    assert (placed.nodes, placed.missing) == (1, ())


def test_a_number_computed_from_shapes_is_left_out() -> None:
    def share(g: Any, x: Any) -> Any:
        rows = g.cast(g.Squeeze(g.Shape(x, start=0, end=1), [0]), "float32")
        return g.Mul(x, g.Reshape(g.Div(1.0, rows), [1]))

    kernels = table(Mul=(Kernel(14, None, FLOATS),), Shape=(Kernel(15, None, {}),))
    placed = place_nodes(model_of(share), kernels)
    assert (placed.nodes, placed.missing) == (1, ())


def test_bodies_of_loops_are_searched() -> None:
    body = helper.make_graph(
        [helper.make_node("Tan", ["s"], ["t"]), helper.make_node("Identity", ["t"], ["u"])],
        "body",
        [helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("u", onnx.TensorProto.FLOAT, [])],
    )
    scan = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in "xy")
    model = helper.make_model(helper.make_graph([scan], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 18)])
    assert reasons(model, kernel_table("cuda")) == ["no kernel for Tan"]


def test_a_branch_may_compute_what_is_no_shape() -> None:
    def emit(g: Any, x: Any) -> Any:
        is_long = g.Greater(g.Squeeze(g.Shape(x, start=0, end=1), [0]), 4)
        best, first = lambda g: g.ArgMax(g.ReduceSum(x, [0], keepdims=0), axis=0), lambda g: g.const([0], "int64")
        return g.cond(is_long, best, first)

    assert "no kernel for ArgMax" in reasons(model_of(emit), table())


def test_the_tables_name_their_source() -> None:
    for record in providers_with_kernel_table():
        found = kernel_table(record.name)
        assert (found.provider, found.source) == (record.name, record.kernel_source)
        assert found.runtime_version.count(".") == 2
        assert found.kernels["", "MatMul"]
