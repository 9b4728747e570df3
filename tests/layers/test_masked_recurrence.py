"""What recurrent layers do at masked steps."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from harness import check_gradients, draw_weights, lower, one_layer, run
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from masked import masked

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
    """The results for a sample's unmasked steps alone, all samples having as many."""
    kept = np.stack([sample[mask > 0] for sample, mask in zip(x, MASK[: len(x)], strict=True)])
    return run(lower(one_layer(spec, kept.shape[1:])), {"x0": kept, **weights})


@each_layer
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("time", [TIME, Size.named("time")])
def test_the_last_state_is_as_if_masked_steps_were_not_there(spec, step, backwards, time) -> None:
    spec, x = {**spec, "go_backwards": backwards}, draw(step)[:2]
    graph = masked(spec, (time, *step))
    weights = draw_weights(graph, np.random.default_rng(1))
    found = run(graph, {"x0": x, "mask": MASK[:2], **weights})
    wanted = without_masked_steps(spec, x, weights)
    for name in found:
        if name != "layer":
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-6)


@each_layer
def test_a_masked_step_repeats_the_output_or_gives_zeros(spec, step) -> None:
    x, outputs = draw(step), []
    for zero in (False, True):
        graph = masked({**spec, "zero_output_for_mask": zero}, (TIME, *step))
        weights = draw_weights(graph, np.random.default_rng(1))
        outputs.append(run(graph, {"x0": x, "mask": MASK, **weights})["layer"])
    repeated, zeroed = outputs
    for sample, at in np.argwhere(MASK == 0):
        before = repeated[sample, at - 1] if at else 0
        np.testing.assert_array_equal(repeated[sample, at], np.broadcast_to(before, repeated[sample, at].shape))
        np.testing.assert_array_equal(zeroed[sample, at], np.zeros_like(zeroed[sample, at]))
    np.testing.assert_array_equal(repeated[MASK > 0], zeroed[MASK > 0])


def test_the_last_output_of_a_masked_step_is_zero_where_that_is_wanted() -> None:
    spec = {"type": "LSTM", "units": 2, "zero_output_for_mask": True}
    graph = masked(spec, (TIME, 3))
    found = run(graph, {"x0": draw((3,)), "mask": MASK, **draw_weights(graph, np.random.default_rng(1))})["layer"]
    assert (np.abs(found).max(1) > 0).tolist() == (MASK[:, -1] > 0).tolist()


def test_before_the_first_step_that_counts_the_output_is_the_initial_state_and_unrolled_zero() -> None:
    start = np.float32(np.random.default_rng(2).normal(size=(3, 2)))
    for unroll, wanted in ((False, start), (True, np.zeros_like(start))):
        graph = masked({"type": "GRU", "units": 2, "unroll": unroll, "return_sequences": True}, (TIME, 3), (2,))
        weights = draw_weights(graph, np.random.default_rng(1))
        found = run(graph, {"x0": draw((3,)), "x1": start, "mask": MASK, **weights})["layer"]
        np.testing.assert_array_equal(found[0, 0], wanted[0])
        np.testing.assert_array_equal(found[2, 2], wanted[2])


@each_layer
@pytest.mark.parametrize("time", [TIME, Size.named("time")])
def test_gradients_with_a_mask_equal_finite_differences(spec, step, time) -> None:
    graph = masked({**spec, "return_state": False, "return_sequences": False}, (time, *step), real="float64")
    rng = np.random.default_rng(1)
    feeds = {"x0": rng.normal(size=(*MASK.shape, *step)), "mask": MASK.astype("float64"), **draw_weights(graph, rng)}
    assert check_gradients(graph, feeds, ["x0", *graph.parameters]) < 1e-6


def test_both_directions_of_a_bidirectional_layer_get_the_mask_and_masked_steps_give_zeros() -> None:
    x = draw((3,))[:2]
    spec = {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, **ALL}}
    graph = masked(spec, (TIME, 3))
    weights = draw_weights(graph, np.random.default_rng(1))
    found = run(graph, {"x0": x, "mask": MASK[:2], **weights})
    wanted = without_masked_steps(spec, x, weights)
    for name in set(found) - {"layer"}:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["layer"][MASK[:2] == 0], 0)
    np.testing.assert_allclose(found["layer"][MASK[:2] > 0], wanted["layer"].reshape(-1, 4), rtol=1e-5, atol=1e-6)


def test_a_mask_that_is_an_input_is_as_one_beside_the_sequence_and_goes_before_it() -> None:
    """Also where initial states are given, with which one beside the sequence is not read."""
    inputs: dict = {"x": {"shape": [TIME, 3]}, "start": {"shape": [2]}, "mask": {"shape": [TIME], "dtype": "bool"}}
    hidden = {"type": "Masking", "name": "hidden", "mask_value": 0.0, "from": "x"}
    gru = {"type": "GRU", "units": 2, "return_sequences": True}
    found = {}
    x = draw((3,))
    x[:, 0] = 0  # what Masking hides
    for name, sources in {"alone": ["x", "start", "mask"], "over": ["hidden", "start", "mask"]}.items():
        spec = {"inputs": inputs, "layers": [*[hidden][name == "alone" :], {**gru, "from": sources}]}
        model = jsonnx.compile(spec, seed=3)
        feeds = {"x": x, "start": np.ones((3, 2), "float32"), "mask": MASK > 0}
        (found[name],) = model.session().run(feeds).values()
    np.testing.assert_array_equal(found["alone"], found["over"])
    graph = masked(gru, (TIME, 3), (2,))
    weights = {name.replace("layer", "gru", 1): name for name in graph.parameters}
    given = {own: model.weights[name] for name, own in weights.items()}
    wanted = run(graph, {"x0": x, "x1": feeds["start"], "mask": MASK, **given})["layer"]
    np.testing.assert_allclose(found["alone"], wanted, rtol=1e-5, atol=1e-6)


def test_a_mask_that_is_an_input_has_a_place_for_every_step() -> None:
    inputs = {"x": {"shape": [TIME, 3]}, "mask": {"shape": [TIME - 1], "dtype": "bool"}}
    with pytest.raises(CompileError, match="needs a mask"):
        jsonnx.compile({"inputs": inputs, "layers": [{"type": "LSTM", "units": 2, "from": ["x", "mask"]}]})
