"""Batch normalization and dropout of ONNX files as they compute in training."""

from __future__ import annotations

import json
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from support.commands import jsonnx as command
from support.foreign_models import model, numbers, perceptron

MOMENTUM = 0.8
AVERAGES = {"bn.running_mean": numbers(3, seed=1), "bn.running_var": np.abs(numbers(3, seed=2)) + 1}
VECTORS = {"bn.weight": numbers(3, seed=3), "bn.bias": numbers(3, seed=4), **AVERAGES}


def normalization(**attributes: Any) -> onnx.ModelProto:
    inputs, options = ["x", *VECTORS], {"momentum": MOMENTUM, "epsilon": 1e-3, **attributes}
    results = ["y", "mean", "var"] if "training_mode" in attributes else ["y"]
    nodes = [helper.make_node("BatchNormalization", inputs, results, name="/bn/BatchNormalization", **options)]
    return model(nodes, {"x": ["N", 3, 4]}, dict.fromkeys(results), VECTORS)


def dropout(opset: int, ratio: float | None) -> onnx.ModelProto:
    has_attribute = opset < 12 and ratio is not None
    inputs = ["x", *(["ratio"] if opset >= 12 and ratio is not None else [])]
    node = helper.make_node("Dropout", inputs, ["y"], **({"ratio": ratio} if has_attribute else {}))
    constants = {"ratio": np.float32(ratio)} if len(inputs) > 1 else {}
    return model([node], {"x": ["N", 1000]}, {"y": ["N", 1000]}, constants, opset)


def trainer(proto: onnx.ModelProto, tmp_path: Any, **training: Any) -> jsonnx.Trainer:
    onnx.save(proto, tmp_path / "model.onnx")
    spec, weights = jsonnx.from_onnx(tmp_path / "model.onnx")
    spec["layers"][0]["training_mode"] = True
    optimizer = {"type": "sgd", "learning_rate": 1e-9}
    return jsonnx.Trainer({**spec, "training": {"loss": "mse", "optimizer": optimizer, **training}}, weights=weights)


def step_loss(trained: jsonnx.Trainer, x: np.ndarray, y: np.ndarray) -> float:
    return trained.fit(x, y, batch_size=len(x), verbose=0).history["loss"][0]


def test_normalization_by_the_batch_moves_the_averages_as_onnx_says(tmp_path) -> None:
    x, target = numbers(8, 3, 4), numbers(8, 3, 4, seed=5)
    trained = trainer(normalization(), tmp_path)
    y, mean, variance = ReferenceEvaluator(normalization(training_mode=1)).run(None, {"x": x})
    np.testing.assert_allclose(step_loss(trained, x, target), np.mean((y - target) ** 2), rtol=1e-5)
    weights = trained.weights()
    np.testing.assert_allclose(weights["net/bn.running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(weights["net/bn.running_var"], variance, rtol=1e-5)


def test_models_compute_with_the_moving_averages(tmp_path) -> None:
    x = numbers(8, 3, 4)
    predicted = trainer(normalization(), tmp_path).predict(x)
    np.testing.assert_allclose(
        predicted, ReferenceEvaluator(normalization()).run(None, {"x": x})[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("freeze", [["net"], ["net/bn.running_*"], ["net", "!net/bn.bias"]])
def test_frozen_averages_stay_and_normalize(freeze: list[str], tmp_path) -> None:
    x, target = numbers(8, 3, 4), numbers(8, 3, 4, seed=5)
    trained = trainer(normalization(), tmp_path, freeze=freeze)
    y = ReferenceEvaluator(normalization()).run(None, {"x": x})[0]
    np.testing.assert_allclose(step_loss(trained, x, target), np.mean((y - target) ** 2), rtol=1e-5)
    assert trained.weights()["net/bn.running_mean"].tobytes() == AVERAGES["bn.running_mean"].tobytes()


@pytest.mark.parametrize("opset", [7, 10, 12, 13, 22])
@pytest.mark.parametrize("ratio", [None, 0.2, 0.0])
def test_dropout_drops_its_share_in_training_alone(opset: int, ratio: float | None, tmp_path) -> None:
    trained = trainer(dropout(opset, ratio), tmp_path)
    x = np.ones((20, 1000), "float32")
    kept = 1 - (0.5 if ratio is None else ratio)
    assert step_loss(trained, x, np.zeros_like(x)) == pytest.approx(1 / kept, rel=0.02)
    assert trained.predict(x).tobytes() == x.tobytes()


def test_a_file_with_nothing_to_restore_is_a_warning(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(perceptron(), "model.onnx")
    layer = {"type": "OnnxModel", "name": "net", "file": "model.onnx", "training_mode": True}
    (tmp_path / "spec.json").write_text(json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": [layer]}))
    shown = command("validate", "spec.json").output
    assert "warning[nothing-to-restore]: 'model.onnx' has neither batch normalizations nor dropout" in shown
    onnx.save(normalization(), "model.onnx")
    (tmp_path / "spec.json").write_text(json.dumps({"inputs": {"x": {"shape": [3, 4]}}, "layers": [layer]}))
    assert "warning" not in command("validate", "spec.json").output
