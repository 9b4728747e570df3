"""Sums with a multiple fused into GatedAdd: which ones, and that they compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.providers.kernel_probes import has_gated_add
from jsonnx.runtime.providers.providers import create_session, resolve_provider
from jsonnx.tuning.cpu.gated_add import MICROSOFT_DOMAIN, fuse_gated_adds
from jsonnx.tuning.cpu.target import Target
from support.optimizer_names import OPTIMIZER_NAMES
from support.training_steps import assert_same_steps, run_steps, training_graph

needs_kernel = pytest.mark.skipif(not has_gated_add(), reason="this onnxruntime has no such operator")
LONG = TensorType("float32", (3, 40))
ROWS = np.array([[0.5], [-2.0], [3.0]], np.float32)

Emit = Callable[[Builder, Value, Value], Value]
"""Emits a value that is computed from two of the same type."""


def make_graph(emit: Emit, type: TensorType = LONG) -> Graph:
    g = Builder()
    return g.graph({"z": emit(g, g.input("x", type), g.input("y", type))})


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def compute(graph: Graph, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = create_session(serialize(to_model_proto(graph)), resolve_provider("cpu"), threads=1, quiet=True)
    result: np.ndarray = session.run(None, feeds)[0]
    return result


FUSED_SUMS: dict[str, tuple[Emit, list[str]]] = {
    "decay": (lambda g, x, y: g.Add(g.Mul(x, 0.9), y), ["GatedAdd"]),
    "factor-first": (lambda g, x, y: g.Add(y, g.Mul(0.9, x)), ["GatedAdd"]),
    "difference": (lambda g, x, y: g.Sub(x, g.Mul(y, 0.1)), ["GatedAdd"]),
    "computed-factor": (
        lambda g, x, y: g.Add(x, g.Mul(y, g.ReduceMax(x, keepdims=0))),
        ["ReduceMax", "Reshape", "Expand", "GatedAdd"],
    ),
    "difference-with-computed-factor": (
        lambda g, x, y: g.Sub(x, g.Mul(y, g.ReduceMax(x, keepdims=0))),
        ["ReduceMax", "Neg", "Reshape", "Expand", "GatedAdd"],
    ),
    "factor-per-row": (lambda g, x, y: g.Add(x, g.Mul(y, g.const(ROWS))), ["GatedAdd"]),
    "difference-with-factor-per-row": (lambda g, x, y: g.Sub(x, g.Mul(g.const(ROWS), y)), ["GatedAdd"]),
    "difference-with-computed-factor-per-row": (
        lambda g, x, y: g.Sub(x, g.Mul(y, g.ReduceMax(y, [1]))),
        ["ReduceMax", "Neg", "GatedAdd"],
    ),
    "multiple-of-the-other-operand": (lambda g, x, y: g.Sub(x, g.Mul(x, 0.1)), ["GatedAdd"]),
    "two-multiples": (lambda g, x, y: g.Add(g.Mul(x, 0.3), g.Mul(y, 0.7)), ["Mul", "GatedAdd"]),
    "nested": (lambda g, x, y: g.Add(g.Mul(g.Add(g.Mul(x, 0.3), y), 0.7), y), ["GatedAdd", "GatedAdd"]),
}


@needs_kernel
@pytest.mark.parametrize("name", FUSED_SUMS)
def test_a_sum_with_a_multiple_is_fused(name: str) -> None:
    emit, expected = FUSED_SUMS[name]
    plain = make_graph(emit)
    fused = fuse_gated_adds(plain, Target(has_gated_add=True))
    assert operators(fused) == expected
    rng = np.random.default_rng(1)
    feeds = {name: rng.standard_normal((3, 40), np.float32) for name in "xy"}
    np.testing.assert_allclose(compute(fused, feeds), compute(plain, feeds), rtol=1e-6, atol=1e-7)


@needs_kernel
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_a_factor_for_each_sample_is_fused(batch: int) -> None:
    type = TensorType("float32", (BATCH, 40))
    plain = make_graph(lambda g, x, y: g.Add(x, g.Mul(y, g.ReduceMean(x, [1]))), type)
    fused = fuse_gated_adds(plain, Target(has_gated_add=True))
    assert operators(fused) == ["ReduceMean", "GatedAdd"]
    feeds = {name: np.random.default_rng(1).standard_normal((batch, 40), np.float32) for name in "xy"}
    np.testing.assert_allclose(compute(fused, feeds), compute(plain, feeds), rtol=1e-6, atol=1e-7)


@needs_kernel
@pytest.mark.parametrize("sizes", [(0, 4), (3, 4), (2, 1)])
def test_two_factors_of_rows_of_symbolic_shape_are_merged(sizes: tuple[int, int]) -> None:
    type = TensorType("float32", (BATCH, Size.named("width"), 40))
    plain = make_graph(lambda g, x, y: g.Add(x, g.Mul(g.Mul(y, g.ReduceMean(x, [2])), 0.5)), type)
    fused = fuse_gated_adds(plain, Target(has_gated_add=True))
    assert operators(fused).count("GatedAdd") == 1
    feeds = {name: np.random.default_rng(1).standard_normal((*sizes, 40), np.float32) for name in "xy"}
    np.testing.assert_allclose(compute(fused, feeds), compute(plain, feeds), rtol=1e-6, atol=1e-7)


def multiple_with_another_reader(g: Builder, x: Value, y: Value) -> Value:
    multiple = g.Mul(y, 0.5)
    return g.Mul(g.Add(x, multiple), multiple)


OTHER_SUMS: dict[str, tuple[Emit, TensorType]] = {
    "multiple-with-another-reader": (multiple_with_another_reader, LONG),
    "factor-per-column": (lambda g, x, y: g.Add(x, g.Mul(y, g.const(np.ones(40)))), LONG),
    "factor-per-element": (lambda g, x, y: g.Add(x, g.Mul(y, x)), LONG),
    "multiple-minus-operand": (lambda g, x, y: g.Sub(g.Mul(y, 0.5), x), LONG),
    "broadcast-operand": (lambda g, x, y: g.Add(g.Slice(x, [0], [1], [0]), g.Mul(y, 0.5)), LONG),
    "short-rows": (lambda g, x, y: g.Add(x, g.Mul(y, 0.5)), TensorType("float32", (5000, 2))),
    "scalar-factor-for-a-symbolic-size": (
        lambda g, x, y: g.Add(x, g.Mul(y, 0.5)),
        TensorType("float32", (BATCH, 40)),
    ),
    "rows-of-symbolic-length": (
        lambda g, x, y: g.Add(x, g.Mul(y, g.ReduceMax(y, [1]))),
        TensorType("float32", (BATCH, Size.named("time"))),
    ),
    "scalar": (lambda g, x, y: g.Add(x, g.Mul(y, 0.5)), TensorType("float32", ())),
    "float64": (lambda g, x, y: g.Add(x, g.Mul(y, g.const(0.5, "float64"))), TensorType("float64", (3, 40))),
}


@pytest.mark.parametrize("name", OTHER_SUMS)
def test_other_sums_are_not_fused(name: str) -> None:
    emit, type = OTHER_SUMS[name]
    unchanged = fuse_gated_adds(make_graph(emit, type), Target(has_gated_add=True))
    assert MICROSOFT_DOMAIN not in {node.domain for node in unchanged.nodes}


DENSE_SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [24]}},
    "layers": [{"type": "Dense", "units": 32, "activation": "relu", "name": "hidden"}, {"type": "Dense", "units": 20}],
    "training": {"loss": "mse", "optimizer": "adam"},
}


@needs_kernel
@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_every_optimizer_computes_the_same_with_gated_add(optimizer: str) -> None:
    training = {"loss": "mse", "optimizer": {"type": optimizer, "weight_decay": 0.01}}
    plan = plan_training(check_spec({**DENSE_SPEC, "training": training}), seed=5)
    rng = np.random.default_rng(3)
    batches = [(rng.standard_normal((8, 24), np.float32), rng.standard_normal((8, 20), np.float32)) for _ in range(4)]
    fused = fuse_gated_adds(plan.train, Target(has_gated_add=True))
    assert "GatedAdd" in operators(fused)
    assert_same_steps(run_steps(fused, plan, batches), run_steps(plan.train, plan, batches), rtol=2e-6, atol=1e-7)


def test_an_adam_update_has_seven_operators() -> None:
    fused = fuse_gated_adds(training_graph(DENSE_SPEC), Target(has_gated_add=True))
    update = [
        node.op for node in fused.nodes if node.scope == "optimizer/hidden/kernel" and node.outputs[0].shape == (24, 32)
    ]
    assert sorted(update) == ["Add", "Div", "GatedAdd", "GatedAdd", "GatedAdd", "Mul", "Sqrt"]
