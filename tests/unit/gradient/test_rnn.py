"""LSTM, GRU and RNN: gradients in float64 against finite differences, and the operators against onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.gradient import GradientBuilder, GradientTuning, MissingRule, gradients
from jsonnx.ir import Builder
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from support.harness import check_gradients, reference, run, with_gradients
from support.recurrent_reference import FUNCTIONS, TAKES

AS_SCAN = replace(CPU_GRADIENTS, max_unrolled_steps=0)

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
    count=0,
    **attributes,
):
    """A graph of one operator with all its operands as inputs, and what to feed them for a batch of 3."""
    rows, rng = GATES[op] * UNITS, np.random.default_rng(0)
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    shapes = {"x": (time, BATCH, features), "w": (directions, rows, features), "r": (directions, rows, UNITS)}
    shapes |= {"b": (directions, 2 * rows)} if bias else {}
    shapes |= {"h": (directions, BATCH, UNITS)} if initial else {}
    shapes |= {"c": (directions, BATCH, UNITS)} if initial and op == "LSTM" else {}
    g = Builder(float_dtype=real)
    values = {name: g.input(name, TensorType(real, shape)) for name, shape in shapes.items()}
    count = count or (3 if op == "LSTM" else 2)
    operands = [values.get(name) for name in ("x", "w", "r", "b", "lengths", "h", *("c" if op == "LSTM" else ()))]
    found = g.emit(op, *operands, hidden_size=UNITS, outputs=count, **attributes)
    found = (found,) if count == 1 else found
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


def worst(
    op: str,
    results: tuple[str, ...],
    samples: int | None = None,
    tuning: GradientTuning = CPU_GRADIENTS,
    **options,
) -> float:
    graph, feeds = recurrent(op, results, **options)
    return check_gradients(graph, feeds, list(feeds), samples=samples, tuning=tuning)


VARIANTS = [("RNN", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("LSTM", {})]
each_variant = pytest.mark.parametrize(("op", "options"), VARIANTS, ids=["rnn", "gru-before", "gru-after", "lstm"])


@pytest.mark.costly(2)
@each_variant
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_gradients_of_all_operands_equal_finite_differences(op, options, direction) -> None:
    assert worst(op, ("y", "y_h", "y_c"), direction=direction, **options) < 1e-6


@each_variant
def test_the_loops_of_two_directions_compute_what_the_operator_does(op, options) -> None:
    count = {"RNN": 1, "GRU": 2, "LSTM": 3}[op]
    functions = ["Sigmoid", "Tanh", "Softsign"][:count] + ["Tanh", "Softsign", "Sigmoid"][:count]
    options = {**options, "direction": "bidirectional", "activations": functions, "real": "float32"}
    graph, feeds = recurrent(op, ("y", "y_h", "y_c"), **options)
    expected = run(with_gradients(graph, []), feeds)["loss"]
    with_loops = with_gradients(graph, list(feeds))
    assert op not in {node.op for node in with_loops.nodes}
    np.testing.assert_allclose(run(with_loops, feeds)["loss"], expected, rtol=1e-5)


@pytest.mark.costly(2)
@each_variant
@pytest.mark.parametrize("result", ["y", "y_h", "y_c"])
def test_unused_outputs_have_no_gradient(op, options, result) -> None:
    if op == "LSTM" or result != "y_c":
        assert worst(op, (result,), **options) < 1e-6


@each_variant
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_node_need_not_have_all_outputs(op, options, direction) -> None:
    assert worst(op, ("y",), count=1, direction=direction, **options) < 1e-6


@each_variant
def test_bias_and_initial_states_may_be_absent(op, options) -> None:
    assert worst(op, ("y",), bias=False, initial=False, direction="reverse", **options) < 1e-6


@pytest.mark.costly(6)
@pytest.mark.parametrize("tuning", [CPU_GRADIENTS, AS_SCAN], ids=["unrolled", "scan"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("given", [{}, {"bias": False}, {"initial": False}, {"bias": False, "initial": False}])
@pytest.mark.parametrize("op", ["RNN", "LSTM"])
def test_few_inputs_are_concatenated_with_the_state(op, given, direction, tuning) -> None:
    options = {"features": 1, "direction": direction, **given}
    assert worst(op, ("y", "y_h"), tuning=tuning, **options) < 1e-6
    graph, _ = recurrent(op, ("y",), **options)
    nodes = with_gradients(graph, list(graph.inputs), tuning=tuning).nodes
    bodies = [node.attributes["body"] for node in nodes if node.op == "Scan"]
    made = [node for part in (nodes, *(body.nodes for body in bodies)) for node in part if node.op == "Concat"]
    assert 1 + given.get("bias", True) + UNITS in [
        node.outputs[0].shape[-1] for node in made if node.outputs[0].rank == 2
    ]


@each_variant
def test_a_sequence_may_have_a_single_step(op, options) -> None:
    assert worst(op, ("y", "y_h"), time=1, **options) < 1e-6
    assert worst(op, ("y",), time=1, initial=False, **options) < 1e-6


@pytest.mark.costly(2)
@pytest.mark.parametrize(("op", "name"), list(product(["LSTM", "RNN"], FUNCTIONS)))
def test_every_activation_function_has_its_derivative(op, name) -> None:
    assert worst(op, ("y",), time=2, **activations(op, name)) < 1e-6


@pytest.mark.parametrize("reset", [0, 1])
def test_activation_parameters_are_assigned_in_order(reset) -> None:
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


@pytest.mark.costly(6)
@each_variant
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("results", [("y", "y_h", "y_c"), ("y_h",)], ids=len)
def test_sequences_of_symbolic_length_have_gradients(op, options, direction, results) -> None:
    graph, feeds = recurrent(op, results, time=Size.named("time"), direction=direction, **options)
    assert check_gradients(graph, feeds, list(feeds)) < 1e-6
    assert worst(op, ("y",), time=Size.named("time"), bias=False, initial=False, **options) < 1e-6


@each_variant
def test_a_scan_equals_the_unrolled_loop(op, options) -> None:
    graph, feeds = recurrent(op, ("y", "y_h"), real="float32", **options)
    found = []
    for tuning in (AS_SCAN, CPU_GRADIENTS):
        g = GradientBuilder.extending(graph, tuning=tuning)
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
def test_the_loop_computes_the_results_of_the_operator(op, options, direction, time) -> None:
    functions = activations(op, "Elu")
    for more in ({}, {"initial": False, "bias": False}, functions):
        graph, feeds = recurrent(op, ("y", "y_h", "y_c"), time=time, direction=direction, **options, **more)
        expected = reference(graph, feeds)
        g = GradientBuilder.extending(graph, float_dtype="float64", tuning=CPU_GRADIENTS)
        gradients(g, graph, {y: y for y in graph.outputs.values()}, graph.inputs.values())
        written = canonicalize(g.graph(graph.outputs))
        assert op not in {node.op for node in written.nodes}
        for name, array in reference(written, feeds).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-12)


@pytest.mark.costly(3)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("time", [1, 2, 5, 8])
def test_gradients_for_small_batches_equal_finite_differences(direction, time) -> None:
    other = activations("LSTM", "Elu") if time < 3 else {}  # of more steps, values become too large for differences
    for more in ({}, {"initial": False}, {"bias": False}, other):
        assert worst("LSTM", ("y", "y_h", "y_c"), 1, time=time, direction=direction, **more) < 1e-6
    assert worst("LSTM", ("y_h",), 1, time=time, direction=direction) < 1e-6


def test_an_lstm_of_a_small_batch_keeps_its_operator() -> None:
    graph, feeds = recurrent("LSTM", ("y", "y_c"), real="float32", time=6)
    kept, written = (canonicalize(with_gradients(graph, list(feeds), samples)) for samples in (1, 64))
    assert [any(node.op == "LSTM" for node in form.nodes) for form in (kept, written)] == [True, False]
    assert len(kept.nodes) < 0.7 * len(written.nodes)


def test_recomputed_cells_are_exact_for_saturated_gates() -> None:
    """The remainder of an old cell is a product of forget gates, some close to 0 and others close to 1."""
    graph, feeds = recurrent("LSTM", ("y", "y_c"), time=20, initial=False)
    feeds = {name: 8 * array for name, array in feeds.items()}
    found = [reference(with_gradients(graph, list(feeds), samples), feeds) for samples in (1, 64)]
    for name, array in found[1].items():
        np.testing.assert_allclose(found[0][name], array, rtol=1e-9, atol=1e-9 * np.abs(array).max(), err_msg=name)


def test_unsupported_attributes_have_no_gradient_rule() -> None:
    graph, _ = recurrent("LSTM", ("y_h",), clip=1.0)
    y = graph.outputs["y_h"]
    with pytest.raises(MissingRule, match="LSTM"):
        gradients(GradientBuilder.extending(graph), graph, {y: y}, [graph.inputs["w"]])


@each_variant
def test_the_general_formulas_equal_finite_differences(op, options) -> None:
    assert worst(op, ("y", "y_h"), 1, GradientTuning(), **options) < 1e-6


def loops_of_large_lstms(count: int, time: int, batch: int | None) -> list[str]:
    """The operators Scan and LSTM in the training graph of several LSTMs whose weights count as large."""
    g = GradientBuilder(
        tuning=replace(CPU_GRADIENTS, max_total_unrolled_steps=100, min_unroll_weights=1), expected_batch=batch
    )
    x = g.input("x", TensorType("float32", (time, BATCH, 3)))
    w, r = (g.input(name, TensorType("float32", (1, 4 * UNITS, size))) for name, size in (("w", 3), ("r", UNITS)))
    ys = [g.LSTM(x, w, r, hidden_size=UNITS, outputs=3)[0] for _ in range(count)]
    gradients(g, g.graph({"y": ys[0]}), {y: y for y in ys}, [w])
    return [node.op for node in g.nodes if node.op in ("Scan", "LSTM")]


def test_long_loops_are_unrolled_while_their_total_is_within_the_limit() -> None:
    assert loops_of_large_lstms(1, 50, 8) == loops_of_large_lstms(2, 50, 8) == []
    assert loops_of_large_lstms(3, 50, 8) == ["Scan", "Scan"]  # forward and backward
    assert loops_of_large_lstms(1, 101, 8) == ["Scan", "Scan"]


def test_long_loops_stay_a_scan_for_small_or_unknown_batches() -> None:
    assert loops_of_large_lstms(1, 50, 7) == loops_of_large_lstms(1, 50, None) == ["Scan", "Scan"]
    assert loops_of_large_lstms(1, 32, None) == []
