"""The gradient of an If, against finite differences in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, MissingRule, gradients
from jsonnx.ir import Builder, Value
from jsonnx.ir.conditionals import emit_if
from jsonnx.layers.core import Identity
from support.harness import assert_same_run, check_gradients, run
from unit.gradient.test_shape import Rule


def both(g: Builder, condition: Value, then: Sequence[Value], otherwise: Sequence[Value]) -> list[Value]:
    """An If whose branches return values from outside."""
    return emit_if(g, condition, {"then_branch": ([], then), "else_branch": ([], otherwise)})


def rescaled(is_scaled: bool):
    """Either branch reads x; only one reads the scale, whose gradient is zero in the other."""

    def apply(g: Builder, x: Value, scale: Value) -> Value:
        return g.cond(
            g.const(is_scaled, "bool"),
            lambda g: g.Mul(g.Tanh(x), scale),
            lambda g: g.Add(g.Mul(x, x), 1.0),
        )

    return apply


def decided_by_data(g: Builder, x: Value) -> Value:
    return g.cond(g.Less(g.ReduceMax(x, keepdims=0), 50.0), lambda g: g.Exp(x), lambda g: g.Neg(x))


def nested(g: Builder, x: Value, y: Value) -> Value:
    yes, no = g.const(True, "bool"), g.const(False, "bool")
    return g.cond(yes, lambda g: g.cond(no, lambda g: g.Neg(x), lambda g: g.Mul(x, y)), lambda g: y)


def two_results(g: Builder, x: Value, y: Value) -> Value:
    a, b = both(g, g.const(False, "bool"), (x, y), (y, y))
    return g.Add(g.Mul(a, a), g.Mul(b, 3.0))


def one_of_two_results(g: Builder, x: Value, y: Value) -> Value:
    return both(g, g.const(True, "bool"), (x, y), (y, x))[1]


MATRIX = (BATCH, 3)
RULES = [
    Rule("then", rescaled(True), [MATRIX, (3,)]),
    Rule("else", rescaled(False), [MATRIX, (3,)]),
    Rule("decided-by-data", decided_by_data, [MATRIX]),
    Rule("nested", nested, [MATRIX, MATRIX]),
    Rule("two-results", two_results, [MATRIX, MATRIX]),
    Rule("one-of-two-results", one_of_two_results, [MATRIX, MATRIX]),
]


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_gradient_equals_finite_differences(rule: Rule) -> None:
    feeds = rule.feeds(np.random.default_rng(0))
    assert check_gradients(rule.graph(), feeds, list(feeds)) < 1e-8


@pytest.mark.parametrize("samples", [2, 3])
def test_onnxruntime_computes_the_gradient_of_the_branch_that_it_takes(samples: int) -> None:
    g = GradientBuilder()
    x = g.input("x", TensorType("float32", (BATCH, 2)))
    is_three = g.Equal(g.Shape(x, start=0, end=1), [3])
    y = g.cond(is_three, lambda g: g.Mul(x, 5.0), lambda g: g.Mul(x, x))
    loss = g.ReduceSum(y, keepdims=0)
    found = gradients(g, g.graph({"loss": loss}), {loss: g.const(1.0)}, [x])
    array = np.arange(2 * samples, dtype=np.float32).reshape(samples, 2)
    expected = np.full_like(array, 5) if samples == 3 else 2 * array
    np.testing.assert_array_equal(run(g.graph({"dx": found[x]}), {"x": array})["dx"], expected)


def test_a_branch_with_an_operator_without_a_rule_is_an_error_only_if_something_depends_on_it() -> None:
    g = GradientBuilder()
    x = g.input("x", TensorType("float32", (BATCH, 2, 2)))
    other = g.input("other", TensorType("float32", (BATCH, 2, 2)))
    y = g.cond(g.const(True, "bool"), lambda g: g.Det(x), lambda g: g.ReduceSum(other, [1, 2], keepdims=0))
    loss = g.ReduceSum(y, keepdims=0)
    graph = g.graph({"loss": loss})
    assert set(gradients(g, graph, {loss: g.const(1.0)}, [other])) == {other}
    with pytest.raises(MissingRule, match="operator Det has no gradient rule"):
        gradients(g, graph, {loss: g.const(1.0)}, [x])


def test_training_steps_with_a_condition_are_the_same_with_and_without_rewrites(monkeypatch) -> None:
    """A layer that squares batches with a positive mean, and halves others."""

    def lower(self: object, g: Builder, x: Value) -> Value:
        is_positive = g.Greater(g.ReduceMean(x, keepdims=0), 0.0)
        return g.cond(is_positive, lambda g: g.Mul(x, x), lambda g: g.Mul(x, 0.5))

    monkeypatch.setattr(Identity, "lower", lower)
    spec = {
        "inputs": {"x": {"shape": [4]}},
        "layers": [{"type": "Dense", "units": 3}, {"type": "Identity"}, {"type": "Dense", "units": 1}],
        "training": {"loss": "mse", "optimizer": "adam"},
    }
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(8, 4)).astype("float32"), np.ones((8, 1), np.float32)) for _ in range(4)]
    assert_same_run(spec, batches)
