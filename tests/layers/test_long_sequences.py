"""Recurrent layers over long sequences, and over sequences of any length, in training."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from harness import lower, one_layer, run
from jsonnx.pipeline.trainer import Trainer
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS

CELL = {"type": "LSTMCell", "units": 3}
LAYERS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"type": "SimpleRNN", "units": 3, "activation": "gelu"}, (2,)),
    ({"type": "GRU", "units": 3, "recurrent_dropout": 0.2, "dropout": 0.1}, (2,)),
    ({"type": "LSTM", "units": 3}, (2,)),
    ({"type": "RNN", "cell": {"type": "StackedRNNCells", "cells": [CELL, {"type": "GRUCell", "units": 2}]}}, (2,)),
    ({"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2}, (3, 2)),
    ({"type": "Bidirectional", "layer": {"type": "RNN", "cell": CELL}}, (2,)),
    ({"type": "TimeDistributed", "layer": {"type": "Dense", "units": 2}}, (2,)),
]
each_layer = pytest.mark.parametrize(("layer", "step"), LAYERS, ids=[layer["type"] for layer, _ in LAYERS])


def trainer(layer: dict[str, Any], step: tuple[int, ...], time: int | str) -> Trainer:
    training = {"loss": "mse", "optimizer": "SGD"}
    return Trainer({"inputs": {"x": {"shape": [time, *step]}}, "layers": [layer], "training": training})


def one_step(trained: Trainer, shape: tuple[int, ...]) -> float:
    rng = np.random.default_rng(0)
    (output,) = trained.plan.outputs.items()
    name, type = output
    target = (shape[0], *(size if isinstance(size, int) else shape[1] for size in type.shape[1:]))
    return float(trained.step({"x": np.float32(rng.normal(size=shape))}, {name: np.zeros(target, "float32")})["loss"])


@each_layer
def test_a_graph_does_not_grow_with_the_number_of_steps(layer, step) -> None:
    few, some, many = (
        len(trainer(layer, step, time).plan.train.nodes) for time in (CPU_GRADIENTS.max_unrolled_steps, 100, 1000)
    )
    assert some == many < 250
    assert few < 1200


@each_layer
def test_a_thousand_steps_are_trained(layer, step) -> None:
    assert np.isfinite(one_step(trainer(layer, step, 1000), (2, 1000, *step)))


@each_layer
def test_sequences_of_any_length_are_trained_as_those_of_a_known_length(layer, step) -> None:
    for time in (7, 20, 70):
        some, other = (trainer(layer, step, size) for size in ("time", time))
        some.set_weights(other.weights())
        assert one_step(some, (2, time, *step)) == pytest.approx(one_step(other, (2, time, *step)), rel=1e-5)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_softplus_is_finite_far_from_zero(name) -> None:
    graph = lower(one_layer({"type": name, "units": 1, "activation": "softplus"}, (2, 1)))
    assert not {node.op for node in graph.nodes} & {"RNN", "GRU", "LSTM"}
    weights = {key: np.ones(value.shape, "float32") for key, value in graph.parameters.items()}
    assert np.isfinite(run(graph, {"x0": np.full((1, 2, 1), 1000, "float32"), **weights})["layer"]).all()


@pytest.mark.parametrize("time", [9, 48])
def test_a_masked_layer_has_as_many_nodes_however_long_the_sequence(time) -> None:
    layers = [{"type": "Masking"}, {"type": "Bidirectional", "layer": {"type": "GRU", "units": 3}}]
    model = jsonnx.compile({"inputs": {"x": {"shape": [time, 2]}}, "layers": layers})
    assert len(model.proto.graph.node) < 40
