"""Operators without a kernel are written by others with the same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Node
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.legalization import write_nodes_without_kernel
from support.harness import run

Emit = Callable[[Any, Any], Any]
REALS = np.concatenate([np.linspace(-6, 6, 45), [0, -0.5, 0.5, 1.5, 2.5, -1.5, 1e-4, -1e-4, 1e-7]]).astype(np.float32)
UNIT = np.linspace(-0.999, 0.999, 54).astype(np.float32)
ABOVE_ONE = np.concatenate([1 + np.geomspace(1e-5, 1, 27), np.geomspace(2, 1e12, 27)]).astype(np.float32)
LARGE = np.concatenate([REALS[:27], np.geomspace(1, 1e12, 27)]).astype(np.float32)
INTEGERS = np.arange(-27, 27).astype(np.int32)
FLAGS = np.arange(54) % 3 == 0
BOTH = np.stack([FLAGS, np.arange(54) % 2 == 0])


def chain(*steps: str, **attributes: Any) -> Emit:
    return lambda g, x: g.emit(steps[0], x, **attributes)


OPERATORS: dict[str, tuple[Emit, np.ndarray]] = {
    "Max": (lambda g, x: g.Max(x, g.Neg(x), g.const(0.25)), REALS),
    "Min": (lambda g, x: g.Min(g.const(np.full(9, 0.5)), x), REALS),
    "Sum": (lambda g, x: g.Sum(x, x, g.Neg(x)), REALS),
    "Sign": (chain("Sign"), REALS),
    "Abs": (chain("Abs"), INTEGERS),
    "Neg": (chain("Neg"), INTEGERS),
    "LogSoftmax": (lambda g, x: g.LogSoftmax(g.Mul(x, 30.0), axis=1), REALS),
    "OneHot": (lambda g, x: g.OneHot(x, [12], g.const([0.5, 2.0]), axis=1), INTEGERS.astype(np.int64)),
    "EyeLike": (lambda g, x: g.Mul(x, g.EyeLike(g.const(np.zeros((6, 9))), k=-1)), REALS),
    "Trilu": (lambda g, x: g.Trilu(g.refine(g.Reshape(x, [-1, 6, 9]), (1, 6, 9)), g.const(1, "int64"), upper=0), REALS),
    "ConstantOfShape": (lambda g, x: g.Add(x, g.full(3, g.Shape(x), "float32")), REALS),
    "Softplus": (chain("Softplus"), REALS),
    "Softsign": (chain("Softsign"), REALS),
    "Selu": (chain("Selu"), REALS),
    "HardSwish": (chain("HardSwish"), REALS),
    "PRelu": (lambda g, x: g.PRelu(x, g.const(np.linspace(-1, 1, 9))), REALS),
    "Shrink": (chain("Shrink", bias=0.25, lambd=1.5), REALS),
    "Mish": (chain("Mish"), REALS),
    "Gelu": (chain("Gelu", approximate="tanh"), REALS),
    "DequantizeLinear": (
        lambda g, x: g.Add(x, g.DequantizeLinear(g.const(INTEGERS[:9], "int32"), g.const(UNIT[30:39]), axis=0)),
        REALS,
    ),
    "Tan": (chain("Tan"), UNIT),
    "Sinh": (chain("Sinh"), REALS),
    "Cosh": (chain("Cosh"), REALS),
    "Asin": (chain("Asin"), np.append(UNIT[:-1], np.float32(-1))),
    "Acos": (chain("Acos"), np.append(UNIT[:-1], np.float32(-1))),
    "Atan": (chain("Atan"), LARGE),
    "Asinh": (chain("Asinh"), LARGE),
    "Acosh": (chain("Acosh"), ABOVE_ONE),
    "Atanh": (chain("Atanh"), UNIT),
    "Or": (lambda g, x: g.Or(x, g.const(np.arange(9) % 2 == 0, "bool")), FLAGS),
    "Xor": (lambda g, x: g.Xor(x, g.const(np.arange(9) % 2 == 0, "bool")), FLAGS),
    "Round": (chain("Round"), REALS),
    "Mod": (lambda g, x: g.Mod(x, g.const([1, 2, 3, -4, 5, -6, 7, 8, 9], "int32")), INTEGERS),
    "SpaceToDepth": (lambda g, x: g.SpaceToDepth(g.Reshape(x, [-1, 1, 6, 9]), blocksize=3), REALS),
    "ReduceMax": (lambda g, x: g.ReduceMax(x, [1], keepdims=0), FLAGS),
}
"""By operator: how a node of it is emitted, and its operand's elements."""


def graph_of(emit: Emit, array: np.ndarray) -> Graph:
    g = Builder()
    return canonicalize(g.graph({"y": emit(g, g.input("x", TensorType(str(array.dtype), (BATCH, 9))))}))


def all_rounds(graph: Graph, lacks_kernel: Callable[[Node], bool]) -> Graph:
    """The graph after as many rounds as change it."""
    for _ in range(8):
        graph, before = write_nodes_without_kernel(graph, lacks_kernel), graph
        if graph is before:
            break
    return graph


@pytest.mark.parametrize("op", OPERATORS)
def test_an_operator_is_written_by_others(op: str) -> None:
    emit, array = OPERATORS[op]
    graph = graph_of(emit, array)
    types = {node.inputs[0].dtype for node in graph.nodes if node.op == op and node.inputs[0] is not None}
    written = all_rounds(graph, lambda node: node.op == op and node.inputs[0].dtype in types)
    assert not any(node.op == op and node.inputs[0].dtype in types for node in written.nodes)
    feeds = {"x": array.reshape(6, 9)}
    actual, expected = run(written, feeds)["y"], run(graph, feeds)["y"]
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=5e-7)


def test_a_missing_kernel_of_a_form_is_written_too() -> None:
    graph = graph_of(chain("Acos"), UNIT)
    written = all_rounds(graph, lambda node: node.op in ("Acos", "Atan", "Sign", "Abs"))
    assert {node.op for node in written.nodes}.isdisjoint({"Acos", "Atan", "Sign", "Abs"})
    np.testing.assert_allclose(run(written, {"x": UNIT.reshape(6, 9)})["y"], np.arccos(UNIT).reshape(6, 9), rtol=2e-6)


def test_a_maximum_keeps_nan() -> None:
    graph = graph_of(lambda g, x: g.Max(x, g.Mul(x, 0.5)), REALS)
    written = all_rounds(graph, lambda node: node.op == "Max")
    assert np.isnan(run(written, {"x": np.full((1, 9), np.nan, np.float32)})["y"]).all()


def test_nodes_in_the_bodies_of_loops_are_written() -> None:
    def emit(g: Any, x: Any) -> Any:
        state = g.const(np.zeros(9))
        (last,), _ = g.loop(lambda g, states, slices: ([g.Max(states[0], g.Softsign(slices[0]))], []), [state], [x])
        return last

    graph = graph_of(emit, REALS)
    written = all_rounds(graph, lambda node: node.op in ("Max", "Softsign"))
    (loop,) = (node for node in written.nodes if node.op == "Scan")
    assert not {"Max", "Softsign"} & {node.op for node in loop.attributes["body"].nodes}
    feeds = {"x": REALS.reshape(6, 9)}
    np.testing.assert_allclose(run(written, feeds)["y"], run(graph, feeds)["y"], rtol=1e-6)


def test_arithmetic_of_shapes_is_left() -> None:
    graph = graph_of(lambda g, x: g.Reshape(x, g.Max(g.Shape(x), g.const([1, 1], "int64"))), REALS)
    assert all_rounds(graph, lambda node: node.op == "Max") is graph


@pytest.mark.parametrize("base", [0.5, 0.9, 0.999, 0.9999])
def test_a_power_of_a_count_is_read_from_tables(base: float) -> None:
    g = Builder()
    count = g.input("count", TensorType("int32", ()))
    graph = g.graph({"y": g.Pow(g.const(base), count)})
    written = all_rounds(graph, lambda node: node.op == "Pow")
    assert "Pow" not in [node.op for node in written.nodes]
    for number in [0, 1, 2, 3, 255, 256, 257, 1000, 65_535, 1_000_000, (1 << 24) - 1, (1 << 31) - 1]:
        power = run(written, {"count": np.array(number, np.int32)})["y"]
        np.testing.assert_allclose(power, np.float64(np.float32(base)) ** number, rtol=2e-7, atol=1e-44)


def test_a_small_tensor_of_a_constant_shape_is_stored() -> None:
    fill = onnx.numpy_helper.from_array(np.array([2], np.float32))
    graph = graph_of(lambda g, x: g.Add(x, g.ConstantOfShape(g.const([9], "int64"), value=fill)), REALS)
    written = all_rounds(graph, lambda node: node.op == "ConstantOfShape")
    assert [node.op for node in written.nodes] == ["Add"]
