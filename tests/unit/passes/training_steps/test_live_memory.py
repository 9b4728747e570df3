"""The memory of the results of a graph: readers, views, overwritten operands, shared buffers, branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.passes.training_steps.live_memory import ASSUMED_SIZE, ValueSizes, arena_bytes, live_bytes, live_peak

KB = 1024
SIZES = ValueSizes.of_batch(256)


def graph_of(build: Callable[[Any, Value], Value]) -> Graph:
    """A graph over an input of 1 kB a value: float32 [batch]."""
    g = Builder()
    return g.graph({"y": build(g, g.input("x", TensorType("float32", (BATCH,))))})


def test_a_chain_of_elementwise_operators_takes_one_buffer() -> None:
    assert live_bytes(graph_of(lambda g, x: g.ReduceSum(g.Exp(g.Neg(g.Sin(x))), keepdims=0)), SIZES) == KB


def test_operators_that_cannot_overwrite_take_two_buffers() -> None:
    assert live_bytes(graph_of(lambda g, x: g.ReduceSum(g.Sin(g.Sin(g.Sin(x))), keepdims=0)), SIZES) == 2 * KB


def test_an_operand_that_is_read_later_is_not_overwritten() -> None:
    def build(g: Any, x: Value) -> Value:
        y = g.Sin(x)
        return g.ReduceSum(g.Pow(g.Exp(y), y), keepdims=0)

    assert live_bytes(graph_of(build), SIZES) == 3 * KB


def test_inputs_and_outputs_are_not_counted() -> None:
    assert live_bytes(graph_of(lambda g, x: g.Sin(x)), SIZES) == 0
    assert live_bytes(graph_of(lambda g, x: g.Sin(g.Reshape(x, [-1]))), SIZES) == 0


def test_a_view_keeps_the_buffer_of_its_operand() -> None:
    def build(g: Any, x: Value) -> Value:
        view = g.Unsqueeze(g.Sin(x), [0])
        return g.ReduceSum(g.Mul(g.ReduceSum(g.Sin(x), keepdims=1), view), keepdims=0)

    assert live_bytes(graph_of(build), SIZES) == 2 * KB + 4  # and the sum


def test_a_buffer_is_kept_for_a_later_result_of_its_shape() -> None:
    """onnxruntime plans so: the first and the last value share a buffer, which nobody else can use between them."""

    def build(g: Any, x: Value) -> Value:
        first = g.ReduceSum(g.Sin(x), keepdims=1)
        wide = g.Sin(g.Expand(first, [1024]))
        last = g.Sin(g.Add(x, g.ReduceSum(wide, keepdims=1)))
        return g.ReduceSum(last, keepdims=0)

    with_later, without_later = live_peak(graph_of(build), SIZES), 2 * 4 * KB
    assert with_later.total_bytes == without_later + KB + 4  # and the sum of one element


def test_the_shape_of_a_value_does_not_keep_it() -> None:
    def build(g: Any, x: Value) -> Value:
        y = g.Sin(x)
        total = g.ReduceSum(g.Sin(y), keepdims=1)
        return g.Mul(total, g.cast(g.Shape(y), "float32"))

    assert live_bytes(graph_of(build), SIZES) < 2 * KB + 32


def test_the_branch_for_the_usual_batch_counts() -> None:
    def wide(g: Any) -> Value:
        return g.ReduceSum(g.Sin(g.Sin(g.Expand(g.const(1.0), [2048]))), keepdims=0)

    def build(g: Any, x: Value) -> Value:
        condition = g.Equal(g.ReduceSum(x, keepdims=0), 0.0)
        return g.Neg(g.cond(condition, wide, lambda g: g.ReduceSum(g.Expand(g.const(1.0), [1 << 20]), keepdims=0)))

    assert 16 * KB <= live_bytes(graph_of(build), SIZES) < 17 * KB


def test_sizes_of_values() -> None:
    sizes = ValueSizes({"batch": 3, "time": 7})
    assert sizes(Value(TensorType("float32", (BATCH, Size.named("time") * 2)))) == 3 * 14 * 4
    assert sizes(Value(TensorType("int64", ()))) == 8
    assert sizes(Value(TensorType("bool", (Size.named("time") // 2,)))) == 3
    assert sizes(Value(TensorType("float16", (Size.named("other"),)))) == 2 * ASSUMED_SIZE


def test_the_peak_tells_what_is_live() -> None:
    graph = graph_of(lambda g, x: g.ReduceSum(g.Sin(g.Sin(x)), keepdims=0))
    peak = live_peak(graph, SIZES)
    assert peak.node is not None
    assert peak.node.op == "Sin"
    assert sum(peak.live.values()) == peak.total_bytes == 2 * KB
    assert live_peak(Builder().graph({}), SIZES).total_bytes == 0


@pytest.mark.parametrize("doubles", [True, False])
def test_an_arena_holds_at_least_what_is_live(doubles: bool) -> None:
    graph = graph_of(lambda g, x: g.ReduceSum(g.Sin(g.Concat(g.Sin(x), g.Sin(x), g.Sin(x), axis=0)), keepdims=0))
    assert live_bytes(graph, SIZES) <= arena_bytes(graph, SIZES, doubles=doubles) < 2 * live_bytes(graph, SIZES)
