"""LSTM, GRU and RNN: gradients in float64 against finite differences, and the operators against onnxruntime."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import check_gradients, reference, run, with_gradients
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.gradient import MissingRule, gradients
from jsonnx.ir import Builder, loops
from jsonnx.passes.canonicalize import canonicalize
from recurrent_reference import FUNCTIONS, TAKES

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FEATURES, UNITS = 3, 2


def recurrent(
    op: str,
    results: tuple[str, ...],
    *,
    time=4,
    features=FEATURES,
    initial=True,
    bias=True,
    real="float64",
    **attributes,
):
    """A graph of one operator with all its operands as inputs, and what to feed them for a batch of 3."""
    rows, rng = GATES[op] * UNITS, np.random.default_rng(0)
    shapes = {"x": (time, BATCH, features), "w": (1, rows, features), "r": (1, rows, UNITS)}
    shapes |= {"b": (1, 2 * rows)} if bias else {}
    shapes |= {"h": (1, BATCH, UNITS)} if initial else {}
    shapes |= {"c": (1, BATCH, UNITS)} if initial and op == "LSTM" else {}
    g = Builder(float_dtype=real)
    values = {name: g.input(name, TensorType(real, shape)) for name, shape in shapes.items()}
    count = 3 if op == "LSTM" else 2
    operands = [values.get(name) for name in ("x", "w", "r", "b", "lengths", "h", *("c" if op == "LSTM" else ()))]
    found = g.emit(op, *operands, hidden_size=UNITS, outputs=count, **attributes)
    outputs = {name: y for name, y in zip(("y", "y_h", "y_c"), found, strict=False) if name in results}
    fed = {name: tuple(size if isinstance(size, int) else 3 for size in shape) for name, shape in shapes.items()}
    feeds = {name: rng.normal(size=shape).astype(real) for name, shape in fed.items()}
    return g.graph(outputs), feeds


def activations(op: str, name: str) -> dict:
    """All the operator's functions as one, with parameters of its own."""
    count, takes = {"RNN": 1, "GRU": 2, "LSTM": 3}[op], TAKES.get(name, "")
    alphas = {"activation_alpha": [0.3 + 0.1 * index for index in range(count)]} if "a" in takes else {}
    betas = {"activation_beta": [0.4 + 0.1 * index for index in range(count)]} if "b" in takes else {}
    return {"activations": [name] * count, **alphas, **betas}


def worst(op: str, results: tuple[str, ...], samples: int | None = None, **options) -> float:
    graph, feeds = recurrent(op, results, **options)
    return check_gradients(graph, feeds, list(feeds), samples=samples)


VARIANTS = [("RNN", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("LSTM", {})]
each_variant = pytest.mark.parametrize(("op", "options"), VARIANTS, ids=["rnn", "gru-before", "gru-after", "lstm"])


@each_variant
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gradients_of_all_operands_equal_finite_differences(op, options, direction) -> None:
    assert worst(op, ("y", "y_h", "y_c"), direction=direction, **options) < 1e-6


@each_variant
@pytest.mark.parametrize("result", ["y", "y_h", "y_c"])
def test_results_that_nobody_reads_have_no_part(op, options, result) -> None:
    if op == "LSTM" or result != "y_c":
        assert worst(op, (result,), **options) < 1e-6


@each_variant
def test_bias_and_initial_states_may_be_absent(op, options) -> None:
    assert worst(op, ("y",), bias=False, initial=False, direction="reverse", **options) < 1e-6


@pytest.mark.parametrize("unrolled", [loops.MAX_UNROLLED_STEPS, 0])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("given", [{}, {"bias": False}, {"initial": False}, {"bias": False, "initial": False}])
@pytest.mark.parametrize("op", ["RNN", "LSTM"])
def test_few_inputs_are_one_row_with_the_state(op, given, direction, unrolled, monkeypatch) -> None:
    monkeypatch.setattr(loops, "MAX_UNROLLED_STEPS", unrolled)
    options = {"features": 1, "direction": direction, **given}
    assert worst(op, ("y", "y_h"), **options) < 1e-6
    graph, _ = recurrent(op, ("y",), **options)
    nodes = with_gradients(graph, list(graph.inputs)).nodes
    bodies = [node.attributes["body"] for node in nodes if node.op == "Scan"]
    made = [node for part in (nodes, *(body.nodes for body in bodies)) for node in part if node.op == "Concat"]
    assert 1 + given.get("bias", True) + UNITS in [
        node.outputs[0].shape[-1] for node in made if node.outputs[0].rank == 2
    ]


@each_variant
def test_a_single_step_is_a_sequence_too(op, options) -> None:
    assert worst(op, ("y", "y_h"), time=1, **options) < 1e-6
    assert worst(op, ("y",), time=1, initial=False, **options) < 1e-6


@pytest.mark.parametrize(("op", "name"), list(product(["LSTM", "RNN"], FUNCTIONS)))
def test_every_activation_function_has_its_derivative(op, name) -> None:
    assert worst(op, ("y",), time=2, **activations(op, name)) < 1e-6


@pytest.mark.parametrize("reset", [0, 1])
def test_functions_get_their_parameters_in_order(reset) -> None:
    functions = {"activations": ["HardSigmoid", "Elu"], "activation_alpha": [0.1, 0.7], "activation_beta": [0.4]}
    assert worst("GRU", ("y",), time=3, linear_before_reset=reset, **functions) < 1e-6


@each_variant
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_reference_agrees_with_onnxruntime(op, options, name) -> None:
    everything = {"real": "float32", "direction": "reverse", "time": 2, **options, **activations(op, name)}
    graph, feeds = recurrent(op, ("y", "y_h", "y_c"), **everything)
    expected = reference(graph, feeds)
    for result, array in run(graph, feeds).items():
        np.testing.assert_allclose(array, expected[result], rtol=1e-5, atol=1e-5)


@each_variant
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("results", [("y", "y_h", "y_c"), ("y_h",)], ids=len)
def test_any_number_of_steps_can_be_trained(op, options, direction, results) -> None:
    graph, feeds = recurrent(op, results, time=Size.named("time"), direction=direction, **options)
    assert check_gradients(graph, feeds, list(feeds)) < 1e-6
    assert worst(op, ("y",), time=Size.named("time"), bias=False, initial=False, **options) < 1e-6


@each_variant
def test_a_loop_equals_its_steps(op, options, monkeypatch) -> None:
    graph, feeds = recurrent(op, ("y", "y_h"), real="float32", **options)
    found = []
    for limit in (0, 64):
        monkeypatch.setattr(loops, "MAX_UNROLLED_STEPS", limit)
        g = Builder.extending(graph)
        y, y_h = graph.outputs.values()
        inputs = graph.inputs
        given = {y: g.Cos(y), y_h: g.Sin(y_h)}
        results = gradients(g, graph, given, inputs.values())
        found.append(run(canonicalize(g.graph({name: results[value] for name, value in inputs.items()})), feeds))
    for name in feeds:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-5, atol=1e-6)


@each_variant
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("time", [1, 4, Size.named("time")], ids=str)
def test_steps_written_out_give_what_the_operator_gives(op, options, direction, time) -> None:
    functions = activations(op, "Elu")
    for more in ({}, {"initial": False, "bias": False}, functions):
        graph, feeds = recurrent(op, ("y", "y_h", "y_c"), time=time, direction=direction, **options, **more)
        expected = reference(graph, feeds)
        g = Builder.extending(graph, float_dtype="float64")
        gradients(g, graph, {y: y for y in graph.outputs.values()}, graph.inputs.values())
        written = canonicalize(g.graph(graph.outputs))
        assert op not in {node.op for node in written.nodes}
        for name, array in reference(written, feeds).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("time", [1, 2, 5, 8])
def test_an_lstm_of_few_samples_has_the_same_gradients(direction, time) -> None:
    other = activations("LSTM", "Elu") if time < 3 else {}  # of more steps, values become too large for differences
    for more in ({}, {"initial": False}, {"bias": False}, other):
        assert worst("LSTM", ("y", "y_h", "y_c"), 1, time=time, direction=direction, **more) < 1e-6
    assert worst("LSTM", ("y_h",), 1, time=time, direction=direction) < 1e-6


def test_an_lstm_of_few_samples_keeps_its_operator() -> None:
    graph, feeds = recurrent("LSTM", ("y", "y_c"), real="float32", time=6)
    kept, written = (canonicalize(with_gradients(graph, list(feeds), samples)) for samples in (1, 64))
    assert [any(node.op == "LSTM" for node in form.nodes) for form in (kept, written)] == [True, False]
    assert len(kept.nodes) < 0.7 * len(written.nodes)


def test_cells_stay_exact_where_gates_saturate() -> None:
    """What is left of an old cell is a product of gates, of which some are next to 0 and others to 1."""
    graph, feeds = recurrent("LSTM", ("y", "y_c"), time=20, initial=False)
    feeds = {name: 8 * array for name, array in feeds.items()}
    found = [reference(with_gradients(graph, list(feeds), samples), feeds) for samples in (1, 64)]
    for name, array in found[1].items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-9, atol=1e-9 * np.abs(array).max(), err_msg=name)


def test_a_form_that_no_layer_emits_is_refused() -> None:
    graph, _ = recurrent("LSTM", ("y_h",), clip=1.0)
    y = graph.outputs["y_h"]
    with pytest.raises(MissingRule, match="LSTM"):
        gradients(Builder.extending(graph), graph, {y: y}, [graph.inputs["w"]])
