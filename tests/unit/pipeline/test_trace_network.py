"""`jsonnx trace`: what each layer computes for one batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import jsonnx

X = np.random.default_rng(0).normal(1.0, 2.0, (20, 3)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)


def spec(*layers: dict[str, Any], **training: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [3]}},
        "layers": [*layers, {"type": "Dense", "name": "y", "units": 1, "kernel_initializer": "zeros"}],
        "training": {"loss": "mse", "optimizer": "sgd", "batch_size": 8, "data": {"train": "d.npz"}, **training},
    }


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", x=X, y=Y)
    return tmp_path


def traced(document: dict[str, Any]) -> dict[str, Any]:
    Path("spec.json").write_text(json.dumps(document))
    found: dict[str, Any] = json.loads(jsonnx("trace", "spec.json", "--format", "json").stdout)
    return found


def test_statistics_are_those_of_the_batch(work_folder: Path) -> None:
    zeros = {"type": "ReLU", "name": "positive"}
    found = traced(spec({"type": "Rescaling", "name": "scaled", "scale": -2.0}, zeros))
    batch = X[:8]
    results = {layer["name"]: layer["results"][layer["name"]] for layer in found["layers"]}
    for name, expected in {"x": batch, "scaled": -2 * batch, "positive": np.maximum(-2 * batch, 0)}.items():
        assert results[name]["shape"] == [8, 3]
        assert results[name]["size_bytes"] == 8 * 3 * 4
        statistics = [results[name][key] for key in ("minimum", "mean", "maximum", "deviation", "zero_share")]
        by_numpy = [expected.min(), expected.mean(), expected.max(), expected.std(), (expected == 0).mean()]
        np.testing.assert_allclose(statistics, by_numpy, rtol=1e-5)
    assert found["samples"] == 8
    assert found["first_not_finite"] is None
    assert sorted(path.name for path in work_folder.iterdir()) == ["d.npz", "spec.json"]


def test_gradient_norms_and_operators_belong_to_the_layer() -> None:
    layer = traced(spec())["layers"][-1]
    error = -Y[:8]
    kernel, bias = 2 * (X[:8] * error).mean(axis=0), 2 * error.mean()
    assert layer["weights"]["y/kernel"]["norm"] == 0
    assert layer["weights"]["y/kernel"]["gradient_norm"] == pytest.approx(np.linalg.norm(kernel), rel=1e-4)
    assert layer["gradient_norm"] == pytest.approx(np.linalg.norm([*kernel, bias]), rel=1e-4)
    assert layer["operators"] == {"MatMul": 1, "Add": 1}
    assert layer["path"] == "$.layers[0]"


def test_weights_of_a_normalization_are_learned_from_the_data_and_those_of_a_run_are_taken() -> None:
    document = spec({"type": "Normalization", "name": "n"})
    result = traced(document)["layers"][1]["results"]["n"]
    assert abs(result["mean"]) < 0.5
    jsonnx("train", "spec.json", "-o", "run", "--set", "training.epochs=1", "--quiet")
    jsonnx("trace", "spec.json", "--weights", "run", "--data", "d.npz")


def test_the_first_layer_with_an_infinity_is_named() -> None:
    huge = [{"type": "Rescaling", "name": f"scale_{index}", "scale": 1e25} for index in range(3)]
    document = spec(*huge)
    found = traced(document)
    assert found["first_not_finite"] == "scale_1"
    assert found["loss"] is None
    text = jsonnx("trace", "spec.json").stdout
    assert "first result that is not finite: 'scale_1' ($.layers[1]), with 0 NaN and 24 infinite" in text
    assert "the gradient of 'y/kernel' is not finite" in text


def test_a_spec_without_data_needs_a_file() -> None:
    document = spec()
    del document["training"]["data"]
    Path("spec.json").write_text(json.dumps(document))
    assert "no-data" in jsonnx("trace", "spec.json", status=2).stderr
    assert "loss of 8 samples" in jsonnx("trace", "spec.json", "--data", "d.npz").stdout
