"""Sums with a multiple fused into GatedAdd: which ones, and that they compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime import graph_loader
from jsonnx.runtime.kernel_probes import has_gated_add
from jsonnx.runtime.providers import create_session, resolve_provider
from jsonnx.training.optimizers import OPTIMIZERS
from jsonnx.tuning.cpu.gated_add import MICROSOFT_DOMAIN, fuse_gated_adds
from jsonnx.tuning.cpu.target import Target

needs_kernel = pytest.mark.skipif(not has_gated_add(), reason="this onnxruntime has no such operator")
LONG = TensorType("float32", (3, 40))
ROWS = np.array([[0.5], [-2.0], [3.0]], np.float32)

Emitted = Callable[[Builder, Value, Value], Value]
"""A value made of two of the same type."""


def graph(emitted: Emitted, type: TensorType = LONG) -> Graph:
    g = Builder()
    return g.graph({"z": emitted(g, g.input("x", type), g.input("y", type))})


def operators(found: Graph) -> list[str]:
    return [node.op for node in found.nodes]


def computed(found: Graph, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = create_session(serialize(to_model_proto(found)), resolve_provider("cpu"), threads=1, quiet=True)
    result: np.ndarray = session.run(None, feeds)[0]
    return result


TAKEN: dict[str, tuple[Emitted, list[str]]] = {
    "decayed": (lambda g, x, y: g.Add(g.Mul(x, 0.9), y), ["GatedAdd"]),
    "factor-first": (lambda g, x, y: g.Add(y, g.Mul(0.9, x)), ["GatedAdd"]),
    "taken-off": (lambda g, x, y: g.Sub(x, g.Mul(y, 0.1)), ["GatedAdd"]),
    "computed": (
        lambda g, x, y: g.Add(x, g.Mul(y, g.ReduceMax(x, keepdims=0))),
        ["ReduceMax", "Reshape", "Expand", "GatedAdd"],
    ),
    "computed-taken-off": (
        lambda g, x, y: g.Sub(x, g.Mul(y, g.ReduceMax(x, keepdims=0))),
        ["ReduceMax", "Neg", "Reshape", "Expand", "GatedAdd"],
    ),
    "rows": (lambda g, x, y: g.Add(x, g.Mul(y, g.const(ROWS))), ["GatedAdd"]),
    "rows-taken-off": (lambda g, x, y: g.Sub(x, g.Mul(g.const(ROWS), y)), ["GatedAdd"]),
    "rows-computed": (lambda g, x, y: g.Sub(x, g.Mul(y, g.ReduceMax(y, [1]))), ["ReduceMax", "Neg", "GatedAdd"]),
    "of-itself": (lambda g, x, y: g.Sub(x, g.Mul(x, 0.1)), ["GatedAdd"]),
    "one-of-two": (lambda g, x, y: g.Add(g.Mul(x, 0.3), g.Mul(y, 0.7)), ["Mul", "GatedAdd"]),
    "one-in-another": (lambda g, x, y: g.Add(g.Mul(g.Add(g.Mul(x, 0.3), y), 0.7), y), ["GatedAdd", "GatedAdd"]),
}


@needs_kernel
@pytest.mark.parametrize("name", TAKEN)
def test_a_sum_with_a_multiple_is_fused(name: str) -> None:
    emitted, expected = TAKEN[name]
    plain = graph(emitted)
    found = fuse_gated_adds(plain, Target(has_gated_add=True))
    assert operators(found) == expected
    rng = np.random.default_rng(1)
    feeds = {name: rng.standard_normal((3, 40), np.float32) for name in "xy"}
    np.testing.assert_allclose(computed(found, feeds), computed(plain, feeds), rtol=1e-6, atol=1e-7)


@needs_kernel
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_a_factor_for_each_sample_is_fused(batch: int) -> None:
    type = TensorType("float32", (BATCH, 40))
    plain = graph(lambda g, x, y: g.Add(x, g.Mul(y, g.ReduceMean(x, [1]))), type)
    found = fuse_gated_adds(plain, Target(has_gated_add=True))
    assert operators(found) == ["ReduceMean", "GatedAdd"]
    feeds = {name: np.random.default_rng(1).standard_normal((batch, 40), np.float32) for name in "xy"}
    np.testing.assert_allclose(computed(found, feeds), computed(plain, feeds), rtol=1e-6, atol=1e-7)


@needs_kernel
@pytest.mark.parametrize("sizes", [(0, 4), (3, 4), (2, 1)])
def test_two_factors_of_rows_of_symbolic_shape_are_merged(sizes: tuple[int, int]) -> None:
    type = TensorType("float32", (BATCH, Size.named("width"), 40))
    plain = graph(lambda g, x, y: g.Add(x, g.Mul(g.Mul(y, g.ReduceMean(x, [2])), 0.5)), type)
    found = fuse_gated_adds(plain, Target(has_gated_add=True))
    assert operators(found).count("GatedAdd") == 1
    feeds = {name: np.random.default_rng(1).standard_normal((*sizes, 40), np.float32) for name in "xy"}
    np.testing.assert_allclose(computed(found, feeds), computed(plain, feeds), rtol=1e-6, atol=1e-7)


def twice(g: Builder, x: Value, y: Value) -> Value:
    multiple = g.Mul(y, 0.5)
    return g.Mul(g.Add(x, multiple), multiple)


LEFT: dict[str, tuple[Emitted, TensorType]] = {
    "read-twice": (twice, LONG),
    "a-factor-for-each-column": (lambda g, x, y: g.Add(x, g.Mul(y, g.const(np.ones(40)))), LONG),
    "a-factor-each": (lambda g, x, y: g.Add(x, g.Mul(y, x)), LONG),
    "from-a-multiple": (lambda g, x, y: g.Sub(g.Mul(y, 0.5), x), LONG),
    "repeated": (lambda g, x, y: g.Add(g.Slice(x, [0], [1], [0]), g.Mul(y, 0.5)), LONG),
    "short-rows": (lambda g, x, y: g.Add(x, g.Mul(y, 0.5)), TensorType("float32", (5000, 2))),
    "a-number-for-who-knows-how-many": (
        lambda g, x, y: g.Add(x, g.Mul(y, 0.5)),
        TensorType("float32", (BATCH, 40)),
    ),
    "rows-of-unknown-length": (
        lambda g, x, y: g.Add(x, g.Mul(y, g.ReduceMax(y, [1]))),
        TensorType("float32", (BATCH, Size.named("time"))),
    ),
    "a-scalar": (lambda g, x, y: g.Add(x, g.Mul(y, 0.5)), TensorType("float32", ())),
    "float64": (lambda g, x, y: g.Add(x, g.Mul(y, g.const(0.5, "float64"))), TensorType("float64", (3, 40))),
}


@pytest.mark.parametrize("name", LEFT)
def test_other_sums_are_not_fused(name: str) -> None:
    emitted, type = LEFT[name]
    found = fuse_gated_adds(graph(emitted, type), Target(has_gated_add=True))
    assert MICROSOFT_DOMAIN not in {node.domain for node in found.nodes}


def trained(document: dict[str, Any]) -> dict[str, Any]:
    """Four steps' losses, and every variable after them."""
    rng = np.random.default_rng(3)
    trainer = Trainer(document, seed=5)
    losses = [
        trainer.step(rng.standard_normal((8, 24), np.float32), rng.standard_normal((8, 20), np.float32))["loss"]
        for _ in range(4)
    ]
    return {**trainer._engine.variables(), "losses": losses}


@needs_kernel
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS.members))
def test_every_optimizer_computes_the_same_with_gated_add(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {
        "inputs": {"x": {"shape": [24]}},
        "layers": [{"type": "Dense", "units": 32, "activation": "relu"}, {"type": "Dense", "units": 20}],
        "training": {"loss": "mse", "optimizer": {"type": optimizer, "weight_decay": 0.01}},
    }
    scaled = trained(document)
    monkeypatch.setattr(graph_loader, "has_gated_add", lambda: False)
    plain = trained(document)
    for name, expected in plain.items():
        np.testing.assert_allclose(scaled[name], expected, rtol=2e-6, atol=1e-7, err_msg=name)


@needs_kernel
def test_an_adam_update_has_seven_operators() -> None:
    made = jsonnx.pipeline.plan_training.plan_training(
        jsonnx.pipeline.check.check_spec(
            {
                "inputs": {"x": {"shape": [24]}},
                "layers": [{"type": "Dense", "units": 32, "name": "only"}],
                "training": {"loss": "mse", "optimizer": "adam"},
            }
        )
    )
    found = fuse_gated_adds(made.train, Target(has_gated_add=True))
    own = [n.op for n in found.nodes if n.scope == "optimizer/only/kernel" and n.outputs[0].shape == (24, 32)]
    assert sorted(own) == ["Add", "Div", "GatedAdd", "GatedAdd", "GatedAdd", "Mul", "Sqrt"]
