"""Recurrent layers with masks."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from support.harness import check_gradients, draw_weights, lower, one_layer, run
from support.masked import masked

ALL = {"return_sequences": True, "return_state": True}
STACK = {"type": "StackedRNNCells", "cells": [{"type": "LSTMCell", "units": 3}, {"type": "GRUCell", "units": 2}]}
LAYERS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"type": "SimpleRNN", "units": 2, **ALL}, (3,)),
    ({"type": "GRU", "units": 2, **ALL}, (3,)),
    ({"type": "LSTM", "units": 2, **ALL}, (3,)),
    ({"type": "RNN", "cell": STACK, **ALL}, (3,)),
    ({"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2, **ALL}, (4, 3)),
    ({"type": "ConvLSTM2D", "filters": 2, "kernel_size": 2, "data_format": "channels_first", **ALL}, (1, 3, 4)),
]
each_layer = pytest.mark.parametrize(("spec", "step"), LAYERS, ids=[spec["type"] for spec, _ in LAYERS])
MASK = np.float32([[0, 1, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 1]])
TIME = MASK.shape[1]


def draw(step: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(*MASK.shape, *step)).astype("float32")


def without_masked_steps(spec: dict, x: np.ndarray, weights: dict) -> dict[str, np.ndarray]:
    """Returns the results for the unmasked steps only; all samples have equally many."""
    unmasked = np.stack([sample[mask > 0] for sample, mask in zip(x, MASK[: len(x)], strict=True)])
    return run(lower(one_layer(spec, unmasked.shape[1:])), {"x0": unmasked, **weights})


@each_layer
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("time", [TIME, Size.named("time")])
def test_last_states_equal_those_without_the_masked_steps(spec, step, backwards, time) -> None:
    spec, x = {**spec, "go_backwards": backwards}, draw(step)[:2]
    graph = masked(spec, (time, *step))
    weights = draw_weights(graph, np.random.default_rng(1))
    results = run(graph, {"x0": x, "mask": MASK[:2], **weights})
    expected = without_masked_steps(spec, x, weights)
    for name in results:
        if name != "layer":
            np.testing.assert_allclose(results[name], expected[name], rtol=1e-5, atol=1e-6)


@each_layer
def test_a_masked_step_repeats_the_previous_output_or_gives_zeros(spec, step) -> None:
    x, outputs = draw(step), []
    for zero in (False, True):
        graph = masked({**spec, "zero_output_for_mask": zero}, (TIME, *step))
        weights = draw_weights(graph, np.random.default_rng(1))
        outputs.append(run(graph, {"x0": x, "mask": MASK, **weights})["layer"])
    repeated, zeroed = outputs
    for sample, t in np.argwhere(MASK == 0):
        previous = repeated[sample, t - 1] if t else 0
        np.testing.assert_array_equal(repeated[sample, t], np.broadcast_to(previous, repeated[sample, t].shape))
        np.testing.assert_array_equal(zeroed[sample, t], np.zeros_like(zeroed[sample, t]))
    np.testing.assert_array_equal(repeated[MASK > 0], zeroed[MASK > 0])


def test_a_masked_last_step_gives_zeros_with_zero_output_for_mask() -> None:
    spec = {"type": "LSTM", "units": 2, "zero_output_for_mask": True}
    graph = masked(spec, (TIME, 3))
    y = run(graph, {"x0": draw((3,)), "mask": MASK, **draw_weights(graph, np.random.default_rng(1))})["layer"]
    assert (np.abs(y).max(1) > 0).tolist() == (MASK[:, -1] > 0).tolist()


def test_output_before_the_first_unmasked_step_is_the_initial_state_or_zero_if_unrolled() -> None:
    start = np.float32(np.random.default_rng(2).normal(size=(3, 2)))
    for unroll, expected in ((False, start), (True, np.zeros_like(start))):
        graph = masked({"type": "GRU", "units": 2, "unroll": unroll, "return_sequences": True}, (TIME, 3), (2,))
        weights = draw_weights(graph, np.random.default_rng(1))
        y = run(graph, {"x0": draw((3,)), "x1": start, "mask": MASK, **weights})["layer"]
        np.testing.assert_array_equal(y[0, 0], expected[0])
        np.testing.assert_array_equal(y[2, 2], expected[2])


@pytest.mark.costly(6)
@each_layer
@pytest.mark.parametrize("time", [TIME, Size.named("time")])
def test_gradients_with_a_mask_equal_finite_differences(spec, step, time) -> None:
    graph = masked({**spec, "return_state": False, "return_sequences": False}, (time, *step), real="float64")
    rng = np.random.default_rng(1)
    feeds = {"x0": rng.normal(size=(*MASK.shape, *step)), "mask": MASK.astype("float64"), **draw_weights(graph, rng)}
    assert check_gradients(graph, feeds, ["x0", *graph.parameters]) < 1e-6


def test_bidirectional_masks_both_directions_and_outputs_zeros_at_masked_steps() -> None:
    x = draw((3,))[:2]
    spec = {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, **ALL}}
    graph = masked(spec, (TIME, 3))
    weights = draw_weights(graph, np.random.default_rng(1))
    results = run(graph, {"x0": x, "mask": MASK[:2], **weights})
    expected = without_masked_steps(spec, x, weights)
    for name in set(results) - {"layer"}:
        np.testing.assert_allclose(results[name], expected[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(results["layer"][MASK[:2] == 0], 0)
    np.testing.assert_allclose(results["layer"][MASK[:2] > 0], expected["layer"].reshape(-1, 4), rtol=1e-5, atol=1e-6)


def test_a_mask_input_replaces_the_implicit_mask() -> None:
    """Holds with initial states, too, where the implicit mask is ignored."""
    inputs: dict = {"x": {"shape": [TIME, 3]}, "start": {"shape": [2]}, "mask": {"shape": [TIME], "dtype": "bool"}}
    hidden = {"type": "Masking", "name": "hidden", "mask_value": 0.0, "from": "x"}
    gru = {"type": "GRU", "units": 2, "return_sequences": True}
    results = {}
    x = draw((3,))
    x[:, 0] = 0  # masked by Masking
    for name, sources in {"alone": ["x", "start", "mask"], "over": ["hidden", "start", "mask"]}.items():
        spec = {"inputs": inputs, "layers": [*[hidden][name == "alone" :], {**gru, "from": sources}]}
        model = jsonnx.compile(spec, seed=3)
        feeds = {"x": x, "start": np.ones((3, 2), "float32"), "mask": MASK > 0}
        (results[name],) = model.session().run(feeds).values()
    np.testing.assert_array_equal(results["alone"], results["over"])
    graph = masked(gru, (TIME, 3), (2,))
    weights = {name.replace("layer", "gru", 1): name for name in graph.parameters}
    parameters = {own: model.weights[name] for name, own in weights.items()}
    expected = run(graph, {"x0": x, "x1": feeds["start"], "mask": MASK, **parameters})["layer"]
    np.testing.assert_allclose(results["alone"], expected, rtol=1e-5, atol=1e-6)


def test_a_mask_input_of_the_wrong_length_is_an_error() -> None:
    inputs = {"x": {"shape": [TIME, 3]}, "mask": {"shape": [TIME - 1], "dtype": "bool"}}
    with pytest.raises(CompileError, match="needs a mask"):
        jsonnx.compile({"inputs": inputs, "layers": [{"type": "LSTM", "units": 2, "from": ["x", "mask"]}]})
