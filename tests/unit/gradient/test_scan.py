"""Loops along an axis: a Scan and the unrolled loop compute the same results and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder
from jsonnx.passes.canonicalize import canonicalize
from support.harness import check_gradients, reference, run

TIME, FEATURES, UNITS = 4, 3, 2


both_forms = pytest.mark.parametrize("max_unrolled_steps", [TIME, 0], ids=["unrolled", "scan"])


def simple(g, states, slices, weights):
    """h' = tanh(x + h @ r + b + sin(h) @ r), with two uses of the weight."""
    (h,), (x,) = states, slices
    z = g.Add(g.MatMul(h, weights["r"]), g.Add(x, weights["b"]))
    h = g.Tanh(g.Add(z, g.MatMul(g.Sin(h), weights["r"])))
    return [h], [h, g.Mul(x, h)]


def two_states(g, states, slices, weights):
    """Two states that are exchanged; one result is loop-invariant, one is a state itself."""
    (h, c), (x,) = states, slices
    return [g.Mul(c, x), g.Add(h, weights["b"])], [weights["b"], c, g.Mul(h, h)]


def not_only_a_factor(g, states, slices, weights):
    """The weight is a factor of a product, and is added to another value."""
    (h,), (x,) = states, slices
    h = g.Add(g.MatMul(h, weights["r"]), g.Mul(x, g.ReduceSum(weights["r"], [0], keepdims=0)))
    return [h], []


def unused_state(g, states, slices, weights):
    (h, c), (x,) = states, slices
    return [g.Mul(h, x), x], [c]


STEPS = [(simple, 1), (two_states, 2), (not_only_a_factor, 1), (unused_state, 2)]


def graph_of(step, count, *, real="float64", time=TIME, batch=3, reverse=False, read=slice(None), max_unrolled_steps=0):
    g = Builder(float_dtype=real)
    x = g.input("x", TensorType(real, (time, batch, UNITS)))
    weights = {"r": g.input("r", TensorType(real, (UNITS, UNITS))), "b": g.input("b", TensorType(real, (UNITS,)))}
    states = [g.input(f"s{index}", TensorType(real, (batch, UNITS))) for index in range(count)]
    last, results = g.loop(
        lambda g, states, slices: step(g, states, slices, weights),
        states,
        [x],
        reverse=reverse,
        max_unrolled_steps=max_unrolled_steps,
    )
    rng = np.random.default_rng(0)
    fed = {name: [s if isinstance(s, int) else 3 + (s != BATCH) for s in v.shape] for name, v in g.inputs.items()}
    feeds = {name: rng.normal(size=shape).astype(real) for name, shape in fed.items()}
    outputs = {f"y{index}": y for index, y in enumerate([*last, *results][read])}
    return g.graph(outputs), feeds


@both_forms
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("step", "count"), STEPS, ids=lambda x: getattr(x, "__name__", ""))
def test_gradients_equal_finite_differences(max_unrolled_steps, step, count, reverse) -> None:
    graph, feeds = graph_of(step, count, reverse=reverse, max_unrolled_steps=max_unrolled_steps)
    wanted = [
        name
        for name in feeds
        if not (step is not_only_a_factor and name == "b") and not (step is unused_state and name in "rb")
    ]
    assert any(node.op == "Scan" for node in graph.nodes) == (max_unrolled_steps == 0)
    wanted = [name for name in wanted if not (step is two_states and name == "r")]
    assert check_gradients(graph, feeds, wanted) < 1e-6


@both_forms
@pytest.mark.parametrize("read", [slice(0, 1), slice(1, 2)], ids=["state", "result"])
def test_unused_outputs_have_no_gradient(max_unrolled_steps, read) -> None:
    graph, feeds = graph_of(simple, 1, read=read, max_unrolled_steps=max_unrolled_steps)
    assert check_gradients(graph, feeds, list(feeds)) < 1e-6


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("step", "count"), STEPS, ids=lambda x: getattr(x, "__name__", ""))
def test_onnxruntime_and_the_reference_agree(step, count, reverse) -> None:
    results = []
    for limit in (0, TIME):
        graph, feeds = graph_of(step, count, real="float32", batch=BATCH, reverse=reverse, max_unrolled_steps=limit)
        results += [run(graph, feeds), run(canonicalize(graph), feeds), reference(graph, feeds)]
    for name in results[0]:
        for other in results[1:]:
            np.testing.assert_allclose(results[0][name], other[name], rtol=1e-5, atol=1e-6)


def test_a_loop_of_symbolic_length_has_a_gradient() -> None:
    graph, feeds = graph_of(simple, 1, time=Size.named("time"), read=slice(0, 1))
    assert any(node.op == "Scan" for node in graph.nodes)
    assert check_gradients(graph, feeds, list(feeds)) < 1e-6


def test_loop_invariant_nodes_are_hoisted_out_of_the_body() -> None:
    def step(g, states, slices):
        return [g.Add(g.Mul(states[0], g.Exp(weight)), slices[0])], []

    g = Builder()
    x, h, weight = (
        g.input(name, TensorType("float32", shape)) for name, shape in [("x", (100, 2)), ("h", (2,)), ("w", (2,))]
    )
    g.loop(step, [h], [x])
    assert [node.op for node in g.nodes] == ["Exp", "Scan"]
    assert [node.op for node in g.nodes[1].attributes["body"].nodes] == ["Mul", "Add"]
