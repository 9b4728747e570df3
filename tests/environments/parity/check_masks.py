"""Compares recurrent layers with masks with Keras."""

from __future__ import annotations

from itertools import product
from typing import Any

import jax
import keras
import numpy as np
import oracle
import pytest
from support.harness import draw_weights, run
from support.masked import masked

SIMPLE = {"type": "SimpleRNNCell", "units": 2}
GRU = {"type": "GRUCell", "units": 2}
LSTM = {"type": "LSTMCell", "units": 2}
STACK = {"type": "StackedRNNCells", "cells": [{"type": "LSTMCell", "units": 3}, GRU, LSTM]}

LAYERS: list[tuple[dict[str, Any], list[tuple[int, ...]]]] = [
    ({"type": "SimpleRNN", "units": 2}, [(2,)]),
    ({"type": "GRU", "units": 2}, [(2,)]),
    ({"type": "GRU", "units": 2, "reset_after": False}, [(2,)]),
    ({"type": "LSTM", "units": 2}, [(2,), (2,)]),
    ({"type": "RNN", "cell": SIMPLE}, [(2,)]),
    ({"type": "RNN", "cell": STACK}, [(3,), (3,), (2,), (2,), (2,)]),
]
OPTIONS = [
    {"return_sequences": all_steps, "return_state": True, "go_backwards": backwards, **more}
    for all_steps, backwards in product((False, True), (False, True))
    for more in ({}, {"unroll": True}, {"zero_output_for_mask": True}, {"unroll": True, "zero_output_for_mask": True})
]
MASK = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Any:
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def compare(spec: dict[str, Any], *shapes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    graph = masked(spec, *shapes)
    inputs = [rng.normal(size=(len(MASK), *shape)).astype("float32") for shape in shapes]
    weights = draw_weights(graph, rng)
    named_inputs = {f"x{index}": x for index, x in enumerate(inputs)}
    outputs = list(run(graph, {**named_inputs, "mask": MASK.astype("float32"), **weights}).values())

    layer = oracle.keras_layer({"name": "layer", **spec})
    layer.build(inputs[0].shape)
    for weight in layer.weights:
        weight.assign(weights[weight.path])
    states = oracle.initial_states(layer, inputs[1:]) if inputs[1:] else None
    expected = keras.tree.flatten(layer(inputs[0], mask=MASK, initial_state=states))
    assert len(outputs) == len(expected)
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(k for k, v in options.items() if v))
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_a_masked_recurrent_layer_gives_the_outputs_of_keras(
    number: int, initial: bool, options: dict[str, Any]
) -> None:
    spec, states = LAYERS[number]
    compare({**spec, **options}, (5, 3), *(states if initial else []))


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_a_masked_bidirectional_layer_gives_the_outputs_of_keras(
    number: int, backwards: bool, sequences: bool, initial: bool
) -> None:
    spec, states = LAYERS[number]
    inner = {**spec, "return_sequences": sequences, "return_state": True, "go_backwards": backwards}
    backward = {**inner, "go_backwards": not backwards}
    layer = {"type": "Bidirectional", "layer": inner, "backward_layer": backward}
    compare(layer, (5, 3), *(states * 2 if initial else []))
