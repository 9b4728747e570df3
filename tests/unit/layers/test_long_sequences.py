"""Training of recurrent layers on long sequences and on sequences of symbolic length."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from support.harness import lower, one_layer, run

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


def loss_of_one_step(trainer: Trainer, shape: tuple[int, ...]) -> float:
    rng = np.random.default_rng(0)
    ((name, type),) = trainer.plan.outputs.items()
    target = (shape[0], *(size if isinstance(size, int) else shape[1] for size in type.shape[1:]))
    return float(trainer.step({"x": np.float32(rng.normal(size=shape))}, {name: np.zeros(target, "float32")})["loss"])


@each_layer
def test_graph_size_is_independent_of_the_number_of_steps_above_the_unrolling_limit(layer, step) -> None:
    unrolled, medium, long = (
        len(trainer(layer, step, time).plan.train.nodes) for time in (CPU_GRADIENTS.max_unrolled_steps, 100, 1000)
    )
    assert medium == long < 250
    assert unrolled < 1200


@each_layer
def test_sequences_of_a_thousand_steps_can_be_trained(layer, step) -> None:
    assert np.isfinite(loss_of_one_step(trainer(layer, step, 1000), (2, 1000, *step)))


@pytest.mark.costly(3)
@each_layer
def test_training_with_symbolic_length_equals_fixed_length(layer, step) -> None:
    for time in (7, 20, 70):
        symbolic, fixed = (trainer(layer, step, size) for size in ("time", time))
        symbolic.set_weights(fixed.weights())
        expected = loss_of_one_step(fixed, (2, time, *step))
        assert loss_of_one_step(symbolic, (2, time, *step)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_softplus_is_not_fused_and_finite_for_large_inputs(name) -> None:
    graph = lower(one_layer({"type": name, "units": 1, "activation": "softplus"}, (2, 1)))
    assert not {node.op for node in graph.nodes} & {"RNN", "GRU", "LSTM"}
    weights = {key: np.ones(value.shape, "float32") for key, value in graph.parameters.items()}
    assert np.isfinite(run(graph, {"x0": np.full((1, 2, 1), 1000, "float32"), **weights})["layer"]).all()


@pytest.mark.parametrize("time", [9, 48])
def test_graph_size_of_a_masked_layer_is_independent_of_the_length(time) -> None:
    layers = [{"type": "Masking"}, {"type": "Bidirectional", "layer": {"type": "GRU", "units": 3}}]
    model = jsonnx.compile({"inputs": {"x": {"shape": [time, 2]}}, "layers": layers})
    assert len(model.proto.graph.node) < 40
