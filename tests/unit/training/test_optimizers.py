"""Every optimizer over twenty steps, compared with recorded values of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.core.reserved_names import LEARNING_RATE
from jsonnx.core.types import ShapeError, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.gradient.training_step import training_step
from jsonnx.ir import Builder, Graph
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.training.optimizers.optimizers import OPTIMIZERS
from jsonnx.training.optimizers.schedules import Schedule
from jsonnx.training.weights.constraints import CONSTRAINTS
from jsonnx.training.weights.regularizers import REGULARIZERS
from support.harness import run

from . import cases
from .cases import name
from .recorded import array, read, recorded


def step_graph(spec: Any, factors: Mapping[str, float] = {}) -> Graph:
    """The graph of a step whose gradients are inputs."""
    g = Builder(training=True)
    terms = []
    for weight, shape in cases.WEIGHT_SHAPES.items():
        given = g.input(f"d/{weight}", TensorType("float32", shape))
        with g.scope(weight):
            terms.append(g.ReduceSum(g.Mul(g.param("w", shape, "zeros"), given), keepdims=0))
    return canonicalize(training_step(g.graph({"loss": g.Sum(*terms)}), read(OPTIMIZERS, spec), factors))


def starting_values(graph: Graph) -> dict[str, np.ndarray]:
    return {
        state: np.broadcast_to(np.asarray(value.initializer.sample(value.shape, None), value.dtype), value.shape)
        for state, value in graph.states.items()
    }


FEW_STEPS = 6
"""More than the steps of any accumulation."""


def run_steps(graph: Graph, rate: float, count: int = cases.STEPS) -> list[dict[str, np.ndarray]]:
    """Both weights after each of the first steps with the gradients of the cases."""
    starts = {f"{w}/w": start for w, start in cases.first_weights().items()}
    values, weights = starting_values(graph) | starts, []
    for given in cases.gradients()[:count]:
        feeds = {f"d/{w}": gradient for w, gradient in given.items()}
        results = run(graph, values | feeds | {LEARNING_RATE: np.float32(rate)})
        values = {value: results[f"next/{value}"] for value in values}
        weights.append({name: values[f"{name}/w"] for name in cases.WEIGHT_SHAPES})
    return weights


@pytest.mark.costly(8)
@pytest.mark.parametrize(
    ("spec", "said"),
    recorded(cases.OPTIMIZERS, "optimizers"),
    ids=[name(spec) for spec in cases.OPTIMIZERS],
)
def test_twenty_steps_equal_those_of_keras(spec: Any, said: dict[str, Any]) -> None:
    rate = read(OPTIMIZERS, spec).learning_rate
    assert isinstance(rate, Schedule) or said["learning_rate"] == pytest.approx(rate)
    found = run_steps(step_graph(spec), np.nan if isinstance(rate, Schedule) else rate)
    for number, weights in said["steps"].items():
        for weight, expected in weights.items():
            np.testing.assert_allclose(found[int(number) - 1][weight], array(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.costly(9)
@pytest.mark.parametrize("spec", cases.OPTIMIZERS, ids=name)
def test_a_rate_factor_equals_an_optimizer_with_the_scaled_rate(spec: Any) -> None:
    rate = read(OPTIMIZERS, spec).learning_rate
    if isinstance(rate, Schedule):
        mixed, usual = (
            run_steps(step_graph(spec, factors), np.nan, FEW_STEPS)[-1] for factors in ({"matrix": 0.25}, {})
        )
        assert np.array_equal(mixed["vector"], usual["vector"])
        assert not np.array_equal(mixed["matrix"], usual["matrix"])
        return
    mixed = run_steps(step_graph(spec, {"matrix": 0.25}), rate, FEW_STEPS)[-1]
    slow, usual = (run_steps(step_graph(spec), rate * factor, FEW_STEPS)[-1] for factor in (0.25, 1.0))
    np.testing.assert_array_equal(mixed["matrix"], slow["matrix"])
    np.testing.assert_array_equal(mixed["vector"], usual["vector"])
    assert not np.array_equal(slow["matrix"], usual["matrix"])


def test_rate_factors_of_one_do_not_change_the_graph() -> None:
    plain, same = (step_graph("adam", factors) for factors in ({}, {"matrix": 1.0}))
    assert [node.op for node in plain.nodes] == [node.op for node in same.nodes]


def test_every_optimizer_has_a_case() -> None:
    specs = [*cases.OPTIMIZERS, *cases.OPTIMIZERS_KERAS_LACKS]
    assert {OPTIMIZERS.by_name[spec if isinstance(spec, str) else spec["type"]] for spec in specs} == set(OPTIMIZERS)


def test_a_step_of_adam_has_ten_operators_per_weight() -> None:
    graph = step_graph("adam")
    of_matrix = [node.op for node in graph.nodes if node.scope == "optimizer/matrix/w"]
    assert len(of_matrix) == 10, of_matrix


def test_two_kinds_of_clipping_exclude_each_other() -> None:
    read(OPTIMIZERS, {"type": "Adam", "clipnorm": 1.0}).check()
    with pytest.raises(ShapeError, match="clipnorm and global_clipnorm"):
        read(OPTIMIZERS, {"type": "Adam", "clipnorm": 1.0, "global_clipnorm": 1.0}).check()


@pytest.mark.parametrize(
    ("alias", "kind"), [("adam", "Adam"), ("Adam", "Adam"), ("rmsprop", "RMSprop"), ("adamw", "AdamW")]
)
def test_optimizers_have_the_names_of_keras(alias: str, kind: str) -> None:
    assert type(read(OPTIMIZERS, alias)).__name__ == kind


@pytest.mark.parametrize(
    ("spec", "said"),
    recorded(cases.REGULARIZERS, "regularizers"),
    ids=[name(spec) for spec in cases.REGULARIZERS],
)
def test_a_penalty_and_its_gradient_equal_those_of_keras(spec: Any, said: dict[str, Any]) -> None:
    g = GradientBuilder(training=True)
    weight = g.input("weight", TensorType("float32", (3, 4)))
    penalty = read(REGULARIZERS, spec).penalty(g, weight)
    found = gradients(g, g.graph({"value": penalty}), {penalty: g.const(1.0)}, [weight])
    results = run(g.graph({"value": penalty, "gradient": found[weight]}), {"weight": array(said["weight"])})
    np.testing.assert_allclose(results["value"], said["value"], rtol=2e-6)
    np.testing.assert_allclose(results["gradient"], array(said["gradient"]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("spec", "said"),
    recorded(cases.CONSTRAINTS, "constraints"),
    ids=[name(spec) for spec in cases.CONSTRAINTS],
)
def test_a_projection_equals_that_of_keras(spec: Any, said: dict[str, Any]) -> None:
    g = Builder(training=True)
    weight = g.input("weight", TensorType("float32", (3, 4)))
    results = run(g.graph({"value": read(CONSTRAINTS, spec).project(g, weight)}), {"weight": array(said["weight"])})
    np.testing.assert_allclose(results["value"], array(said["value"]), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("constraint", ["unit_norm", {"type": "MaxNorm", "max_value": 1}, "min_max_norm"])
def test_a_constraint_on_a_weight_without_axes_bounds_its_absolute_value(constraint) -> None:
    layer = {"type": "PReLU", "alpha_initializer": "ones", "alpha_constraint": constraint}
    spec = {"inputs": {"x": {"shape": []}}, "layers": [layer], "training": {"loss": "mse"}}
    trainer = Trainer(spec)
    trainer.set_weights({"p_re_lu/alpha": np.float32(-5)})
    trainer.step(np.ones(3, np.float32), np.ones(3, np.float32))
    assert trainer.weights()["p_re_lu/alpha"] == pytest.approx(-1, abs=1e-5)
