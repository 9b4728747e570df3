"""Activation functions where the comparison with Keras does not reach: errors, names, extreme inputs."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.components import snake_case
from jsonnx.core.diagnostics import CompileError
from jsonnx.layers import ACTIVATIONS
from support.harness import lower, make_layer, one_layer, run

KERAS = set(
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear "  # noqa: SIM905
    "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus "
    "sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold".split()
)


def apply(activation: object, x: list) -> np.ndarray:
    array = np.array(x, np.float32)
    typed = one_layer({"type": "Activation", "activation": activation}, array.shape[1:])
    return run(lower(typed), {"x0": array})["layer"]


def test_all_keras_activations_are_registered() -> None:
    assert set(ACTIVATIONS.by_name) >= KERAS


def test_hard_sigmoid_accepts_the_slope_of_keras_2() -> None:
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    expected = np.clip(0.2 * x + 0.5, 0, 1)
    assert np.allclose(apply({"type": "hard_sigmoid", "slope": 0.2}, [x.tolist()])[0], expected, atol=1e-7)


def test_lstm_with_a_hard_sigmoid_slope_equals_the_looped_cell() -> None:
    """Compares the fused operator with a loop over the same cell."""
    hard = {"units": 3, "recurrent_activation": {"type": "hard_sigmoid", "slope": 0.2}}
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    layers = {"type": "LSTM", **hard}, {"type": "RNN", "cell": {"type": "LSTMCell", **hard}}
    results = []
    for layer in layers:
        graph = lower(one_layer(layer, (5, 4)))
        rng = np.random.default_rng(1)
        weights = {name: rng.normal(size=weight.shape).astype("f") for name, weight in graph.parameters.items()}
        results.append(run(graph, {"x0": x} | weights)["layer"])
    assert np.allclose(*results, atol=1e-6)


@pytest.mark.parametrize("name", sorted(KERAS - {"exponential", "glu", "threshold"}))
def test_activations_are_finite_for_large_inputs(name: str) -> None:
    assert np.isfinite(apply(name, [[-1e4, -100, 100, 1e4]])).all()


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2, 0.5], [1, 0]),
        ([-1e4, 1e4], [0, 1]),
        ([2, 1.9], [0, 0]),  # in the paper: 0.55, 0.45
        ([0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]),  # in the paper: 0.25 four times
    ],
)
def test_sparsemax_follows_keras_rather_than_the_paper(x: list, expected: list) -> None:
    np.testing.assert_allclose(apply("sparsemax", [x]), [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            {"type": "Activation", "activation": "glu"},
            (5,),
            "splits axis -1 into halves by glu, but its size is odd: 5 of",
        ),
        ({"type": "Dense", "units": 3, "activation": "glu"}, (5,), "size is odd: 3 of"),
        ({"type": "Activation", "activation": {"type": "softmax", "axis": 2}}, (5,), "has axis 2, which"),
        ({"type": "Softmax", "axis": [1, -1]}, (5,), "of which two are the same one"),
        ({"type": "PReLU", "shared_axes": 0}, (5,), "has shared_axes 0, counted from 1"),
        ({"type": "PReLU", "shared_axes": [-1]}, (5,), "counted from 1"),
    ],
)
def test_an_invalid_axis_is_an_error(layer: dict, shape: tuple, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        one_layer(layer, shape)


def test_an_activation_rejects_integers() -> None:
    with pytest.raises(CompileError, match="applies 'relu' to real numbers only, got int64"):
        one_layer({"type": "Activation", "activation": "relu"}, (5,), dtype="int64")


def test_an_activation_name_equals_its_defaults_and_is_written_as_a_name() -> None:
    by_name, with_arguments = (
        {"type": "Activation", "activation": value} for value in ("elu", {"type": "elu", "alpha": 1})
    )
    assert make_layer(by_name) == make_layer(with_arguments)
    assert make_layer(with_arguments).to_json() == by_name


def test_snake_case_names_match_keras() -> None:
    names = {
        "ConvLSTM2D": "conv_lstm2d",
        "Conv1DTranspose": "conv1d_transpose",
        "ReLU": "re_lu",
        "LeakyReLU": "leaky_re_lu",
        "PReLU": "p_re_lu",
        "ELU": "elu",
        "Softmax": "softmax",
    }
    assert {name: snake_case(name) for name in names} == names
