"""Trainable tensors: their uses in specs, weights, training, and what refuses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as command
from support.harness import check_gradients, lower, one_layer

RNG = np.random.default_rng(0)
BIAS: dict[str, Any] = {
    "inputs": {"x": {"shape": [6]}},
    "layers": [
        {"type": "Dense", "name": "product", "units": 5, "use_bias": False},
        {"type": "Variable", "name": "bias", "shape": [5], "initializer": "zeros"},
        {"type": "ops.add", "name": "sum", "from": ["product", "bias"]},
        {"type": "Variable", "name": "temperature", "shape": [], "initializer": "ones"},
        {"type": "ops.divide", "name": "y", "from": ["sum", "temperature"]},
    ],
    "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}, "batch_size": 8, "epochs": 3},
}
X, Y = RNG.normal(size=(24, 6)).astype(np.float32), RNG.normal(size=(24, 5)).astype(np.float32)


def trained(training: dict[str, Any] | None = None, **changes: Any) -> jsonnx.Trainer:
    """A trainer after a fit. `changes` are keys of the layer `bias`."""
    layers = [layer | (changes if layer["name"] == "bias" else {}) for layer in BIAS["layers"]]
    trainer = jsonnx.Trainer(BIAS | {"layers": layers, "training": BIAS["training"] | (training or {})})
    trainer.fit(X, Y)
    return trainer


@pytest.mark.parametrize("samples", [1, 7])
def test_variables_are_a_bias_and_a_temperature(samples: int) -> None:
    weights = {
        "product/kernel": RNG.normal(size=(6, 5)).astype(np.float32),
        "bias/value": RNG.normal(size=5).astype(np.float32),
        "temperature/value": np.float32(2.5),
    }
    y = jsonnx.compile(BIAS, weights).session().run(X[:samples])["y"]
    expected = (X[:samples] @ weights["product/kernel"] + weights["bias/value"]) / 2.5
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_a_bias_alone_trains_as_the_bias_of_a_dense_layer() -> None:
    dense = {"type": "Dense", "name": "product", "units": 5}
    spec = {"inputs": BIAS["inputs"], "layers": [dense], "training": BIAS["training"]}
    trainer = jsonnx.Trainer(spec)
    trainer.fit(X, Y)
    layers = [*BIAS["layers"][:2], BIAS["layers"][2] | {"name": "y"}]
    other = jsonnx.Trainer(BIAS | {"layers": layers})
    other.fit(X, Y)
    np.testing.assert_allclose(other.weights()["bias/value"], trainer.weights()["product/bias"], atol=1e-6)
    assert np.abs(trainer.weights()["product/bias"]).max() > 0.01


@pytest.mark.parametrize("shape", [[], [5], [2, 3]])
def test_gradients_of_a_variable_without_input_equal_finite_differences(shape: list[int]) -> None:
    graph = lower(one_layer({"type": "Variable", "shape": shape}), training=True, float_dtype="float64")
    (name,) = graph.parameters
    assert check_gradients(graph, {name: RNG.normal(size=shape)}, [name]) < 1e-6


def test_variables_are_frozen_regularized_and_constrained_as_other_weights() -> None:
    assert not trained({"freeze": ["bias"]}).weights()["bias/value"].any()
    assert not trained(trainable=False).weights()["bias/value"].any()
    slow, fast = (trained({"learning_rates": {"bias": factor}}).weights()["bias/value"] for factor in (1e-6, 1.0))
    assert 0 < np.abs(slow).max() < 1e-4 * np.abs(fast).max()
    assert trained(constraint="non_neg").weights()["bias/value"].min() >= 0
    free = trained(initializer={"type": "constant", "value": 3.0})
    penalized = trained(initializer={"type": "constant", "value": 3.0}, regularizer={"type": "l2", "l2": 0.5})
    assert np.linalg.norm(penalized.weights()["bias/value"]) < 0.5 * np.linalg.norm(free.weights()["bias/value"])


def test_weights_of_variables_are_written_and_read(tmp_path: Path) -> None:
    weights = trained().weights()
    file = tmp_path / "weights.npz"
    np.savez(file, **weights)
    model = jsonnx.compile(BIAS, file)
    assert model.weights_report is not None
    assert model.weights_report.complete
    np.testing.assert_array_equal(model.weights["temperature/value"], weights["temperature/value"])


@pytest.mark.parametrize("samples", [1, 3])
def test_learned_queries_attend_for_every_number_of_samples(samples: int) -> None:
    spec = {
        "inputs": {"tokens": {"shape": ["time", 8]}},
        "layers": [
            {"type": "Variable", "name": "queries", "shape": [4, 8], "from": "tokens"},
            {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "from": ["queries", "tokens"]},
        ],
    }
    session = jsonnx.compile(spec).session()
    tokens = RNG.normal(size=(3, 5, 8)).astype(np.float32)
    (all_samples,) = session.run(tokens).values()
    (some_samples,) = session.run(tokens[:samples]).values()
    assert some_samples.shape == (samples, 4, 8)
    np.testing.assert_allclose(some_samples, all_samples[:samples], rtol=1e-5, atol=1e-6)


def test_a_variable_is_shared_by_use_and_repeated_in_blocks() -> None:
    scaled = [
        {"type": "Variable", "name": "scale", "shape": [6], "initializer": "random_normal"},
        {"type": "ops.multiply", "name": "product", "from": ["scale", "x"]},
    ]
    spec = {
        "inputs": {"x": {"shape": [6]}},
        "blocks": {"scaling": {"inputs": ["x"], "layers": scaled}},
        "layers": [
            {"type": "scaling", "repeat": 3},
            {"type": "Variable", "name": "shift", "shape": [6], "initializer": "random_normal"},
            {"type": "ops.add", "name": "once", "from": ["scaling_2", "shift"]},
            {"use": "shift", "name": "again"},
            {"type": "ops.add", "name": "twice", "from": ["once", "again"]},
        ],
    }
    model = jsonnx.compile(spec)
    weights = model.weights
    assert set(weights) == {f"scaling{n}_scale/value" for n in ("", "_1", "_2")} | {"shift/value"}
    scales = [weights[f"scaling{n}_scale/value"] for n in ("", "_1", "_2")]
    (y,) = model.session().run(X).values()
    np.testing.assert_allclose(y, X * np.prod(scales, 0) + 2 * weights["shift/value"], rtol=1e-5, atol=1e-6)


def test_repeated_variables_take_no_input() -> None:
    spec = {
        "inputs": {"x": {"shape": [6]}},
        "layers": [
            {"type": "Variable", "name": "v", "shape": [6], "repeat": 2},
            {"type": "ops.add", "name": "a", "from": ["v_1", "x"]},
            {"type": "ops.add", "name": "b", "from": ["v_2", "a"]},
        ],
    }
    assert set(jsonnx.compile(spec).weights) == {"v_1/value", "v_2/value"}


def test_a_summary_shows_that_a_variable_takes_no_input(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(BIAS))
    lines = command("summary", str(file)).stdout.splitlines()
    (bias,) = (line.split() for line in lines if line.startswith("bias"))
    assert bias == ["bias", "Variable", "(5,)", "5", "0", "(none)"]


def test_keras_has_no_variables(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(BIAS))
    errors = command("export", "--keras", str(tmp_path / "spec.json"), "-o", str(tmp_path / "y.keras"), status=1).stderr
    assert "'bias': Keras has no layer Variable" in errors
