"""Recurrent layers where the generic tests do not reach."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from support.harness import draw_weights, lower, one_layer, run

LSTM = {"type": "LSTM", "units": 2}
CELL = {"type": "LSTMCell", "units": 2}
CONV = {"type": "ConvLSTM2D", "filters": 2, "kernel_size": 2}
GRU = {"type": "GRU", "units": 2, "go_backwards": True}


@pytest.mark.parametrize(
    ("spec", "inputs", "message"),
    [
        (LSTM, [(3,)], "needs a sequence [batch, time, features], got float32[batch, 3]"),
        (LSTM, [(4, 3), (2,)], "needs all its initial states (state_h, state_c) or none, got 1"),
        (LSTM, [(4, 3), (2,), (5,)], "needs float32[batch, 2] as its initial state_c, got float32[batch, 5]"),
        (
            {**LSTM, "activation": "glu"},
            [(4, 3)],
            "activation that keeps the shape of float32[batch, 2], but its result is float32[batch, 1]",
        ),
        ({**LSTM, "unroll": True}, [(Size.named("time"), 3)], "has unroll, which needs a fixed number of steps"),
        ({"type": "RNN", "cell": LSTM}, [(4, 3)], "has LSTM as a cell"),
        (
            {"type": "RNN", "cell": {"type": "StackedRNNCells", "cells": []}},
            [(4, 3)],
            "needs a cell, got an empty list",
        ),
        ({"type": "RNN", "cell": {"type": "StackedRNNCells", "cells": [GRU]}}, [(4, 3)], "has GRU as a cell"),
        ({"type": "RNN", "cell": CELL}, [(4, 3), (2,)], "needs all its initial states (state_h, state_c) or none, got"),
        ({"type": "RNN", "cell": {**CELL, "activity_regularizer": "l2"}}, [(4, 3)], "an activity_regularizer on its"),
        (CONV, [(4, 5, 3)], "needs an input of rank 5, [batch, time, height, width, channels], got steps of"),
        (CONV, [(4, Size.named("height"), 5, 3)], "needs a fixed size on axis 1"),
        ({**CONV, "strides": 2, "dilation_rate": [1, 2]}, [(4, 5, 5, 3)], "cannot have both strides and dilation"),
        (CELL, [(3,), (2,), (5,)], "needs float32[batch, 2] as its state_c, got float32[batch, 5]"),
        (CELL, [(4, 3), (2,), (2,)], "needs an input [batch, features], got float32[batch, 4, 3]"),
        ({"type": "Bidirectional", "layer": {"type": "Dense", "units": 2}}, [(4, 3)], "not Dense"),
        ({"type": "Bidirectional", "layer": {**LSTM, "go_backwards": True}}, [(4, 3)], "both have go_backwards true"),
        (
            {"type": "Bidirectional", "layer": LSTM, "backward_layer": {"type": "GRU", "units": 2}},
            [(4, 3)],
            "both have go_backwards false",
        ),
        ({"type": "Bidirectional", "layer": LSTM}, [(4, 3), (2,)], "as many initial states forward as backward, got 1"),
    ],
)
def test_invalid_shapes_and_arguments_are_errors(spec, inputs, message) -> None:
    with pytest.raises(CompileError) as caught:
        one_layer(spec, *inputs)
    assert message in str(caught.value)


def test_weights_have_the_names_and_shapes_of_keras() -> None:
    graph = lower(one_layer({"type": "Bidirectional", "layer": LSTM, "backward_layer": GRU}, (4, 3)))
    shapes = {name: parameter.shape for name, parameter in graph.parameters.items()}
    assert shapes == {
        "layer/forward_lstm/lstm_cell/kernel": (3, 8),
        "layer/forward_lstm/lstm_cell/recurrent_kernel": (2, 8),
        "layer/forward_lstm/lstm_cell/bias": (8,),
        "layer/backward_gru/gru_cell/kernel": (3, 6),
        "layer/backward_gru/gru_cell/recurrent_kernel": (2, 6),
        "layer/backward_gru/gru_cell/bias": (2, 6),
    }


@pytest.mark.parametrize(("unit_forget_bias", "expected"), [(True, [3, 3, 1, 1, 3, 3, 3, 3]), (False, [3] * 8)])
def test_unit_forget_bias_initializes_the_forget_gate_with_ones(unit_forget_bias, expected) -> None:
    spec = {**LSTM, "unit_forget_bias": unit_forget_bias, "bias_initializer": {"type": "constant", "value": 3}}
    bias = lower(one_layer(spec, (4, 3))).parameters["layer/lstm_cell/bias"]
    values = bias.initializer.sample(bias.shape, np.random.default_rng(0))
    np.testing.assert_array_equal(np.broadcast_to(values, bias.shape), expected)


def test_inference_supports_symbolic_length() -> None:
    graph = lower(one_layer({**GRU, "return_sequences": True}, (Size.named("time"), 3)))
    rng = np.random.default_rng(0)
    weights = draw_weights(graph, rng)
    for time in (1, 6):
        x = rng.normal(size=(2, time, 3)).astype("float32")
        assert run(graph, {"x0": x, **weights})["layer"].shape == (2, time, 2)


def test_go_backwards_equals_a_reversed_input() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    results = []
    for backwards, sequence in ((False, x), (True, x[:, ::-1])):
        spec = {**LSTM, "return_sequences": True, "return_state": True, "go_backwards": backwards}
        graph = lower(one_layer(spec, (5, 3)))
        results.append(run(graph, {"x0": sequence, **draw_weights(graph, np.random.default_rng(1))}))
    for name in ("layer", "layer.state_h", "layer.state_c"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-6, atol=1e-6)


def test_one_dropout_mask_is_used_for_all_steps() -> None:
    graph = lower(one_layer({**LSTM, "dropout": 0.25}, (5, 3)), training=True)
    (mask,) = graph.randoms.values()
    assert (mask.name, mask.type.shape[1:], mask.keep) == ("layer/lstm_cell/dropout", (3,), 0.75)
