"""The figures of `jsonnx quantize`, computed again with onnxruntime and NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnxruntime
import pytest
from jsonnx.render.schemas.quantize_schema import quantize_schema
from support.commands import jsonnx

DATA = Path(__file__).parents[3] / "samples" / "data"


def quantized(run: Path, output: Path, *options: str) -> dict[str, Any]:
    """The JSON document of a quantization."""
    report: dict[str, Any] = json.loads(
        jsonnx("quantize", str(run), "-o", str(output), "--format", "json", *options).stdout
    )
    jsonschema.validate(report, quantize_schema())
    assert report["bytes"]["quantized"] == output.stat().st_size
    return report


def outputs_of(model: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def assert_differences(report: dict[str, Any], before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
    for name, old in before.items():
        errors = np.abs(after[name].astype(np.float64) - old)
        assert report["outputs"][name]["max_difference"] == pytest.approx(errors.max(), abs=1e-7)
        assert report["outputs"][name]["mean_difference"] == pytest.approx(errors.mean(), abs=1e-7)


def assert_classes(report: dict[str, Any], before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> None:
    """Compares accuracy and loss of both models."""
    for key, predicted in (("float", before), ("quantized", after)):
        accuracy = float((predicted.argmax(-1) == labels).mean())
        loss = float(-np.log(np.clip(predicted[np.arange(len(labels)), labels], 1e-7, 1)).mean())
        assert report["metrics"]["accuracy"][key] == pytest.approx(accuracy, abs=1e-6)
        assert report["metrics"]["loss"][key] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic", "float16", "int8-weights", "int4-weights"])
def test_a_network_of_convolutions(digits: Path, tmp_path: Path, precision: str) -> None:
    report = quantized(digits, tmp_path / "q.onnx", "--precision", precision, "--tolerance", "accuracy=0.1")
    with np.load(DATA / "digits_test.npz") as file:
        images, labels = file["image"].astype(np.float32).reshape(-1, 8, 8, 1), file["label"].astype(int)
    before, after = (outputs_of(model, {"image": images}) for model in (digits / "model.onnx", tmp_path / "q.onnx"))
    assert_classes(report, before["digit"], after["digit"], labels)
    assert_differences(report, before, after)
    assert report["data"] == {"split": "test", "files": ["data/digits_test.npz"], "samples": 360}
    assert (report["calibration"] is not None) == (precision == "int8")
    assert report["variant"]["precision"] == precision
    assert report["attempts"][-1]["passes"]
    assert {*report["latency_ms"]} == {"1", "32"}


def test_a_table_with_texts(penguins: Path, tmp_path: Path) -> None:
    report = quantized(penguins, tmp_path / "q.onnx")
    rows = (DATA / "penguins_test.csv").read_text().splitlines()
    columns = dict(zip(rows[0].split(","), zip(*(row.split(",") for row in rows[1:]), strict=True), strict=True))
    measured = [columns[name] for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")]
    feeds = {
        "island": np.array(columns["island"], object),
        "sex": np.array(columns["sex"], object),
        "measurements": np.array(measured, np.float32).T.copy(),
    }
    before, after = (outputs_of(model, feeds) for model in (penguins / "model.onnx", tmp_path / "q.onnx"))
    assert_differences(report, before, after)
    labels = np.array([("Adelie", "Chinstrap", "Gentoo").index(kind) for kind in columns["species"]])
    assert_classes(report, before["species"], after["species"], labels)
    tolerance = report["tolerance"]
    assert tolerance["is_default"]
    assert tolerance["limits"] == {"accuracy": pytest.approx(0.01 * report["metrics"]["accuracy"]["float"])}


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic", "float16", "int8-weights"])
def test_sequences(vowels: Path, tmp_path: Path, precision: str) -> None:
    report = quantized(vowels, tmp_path / "q.onnx", "--precision", precision)
    assert report["metrics"]["accuracy"]["difference"] >= -0.01
    assert report["bytes"]["quantized"] < (0.6 if precision == "float16" else 0.4) * report["bytes"]["float"]


def test_two_outputs_on_validation_data(two_outputs: Path, tmp_path: Path) -> None:
    report = quantized(
        two_outputs, tmp_path / "q.onnx", "--tolerance", "size_mae=0.1", "--tolerance", "kind_accuracy=0.05"
    )
    assert report["data"]["split"] == "validation"
    assert {*report["outputs"]} == {"kind", "size"}
    with np.load(two_outputs.parent / "two.npz") as file:
        x, size = file["x"][450:], file["size"][450:]
    before, after = (outputs_of(model, {"x": x}) for model in (two_outputs / "model.onnx", tmp_path / "q.onnx"))
    assert_differences(report, before, after)
    for key, outputs in (("float", before), ("quantized", after)):
        assert report["metrics"]["size_mae"][key] == pytest.approx(
            float(np.abs(outputs["size"] - size).mean()), rel=1e-5
        )


@pytest.mark.slow
def test_mnist(mnist: Path, tmp_path: Path) -> None:
    report = quantized(mnist, tmp_path / "q.onnx", "--tolerance", "accuracy=0.005")
    assert report["bytes"]["quantized"] < 0.32 * report["bytes"]["float"]  # 35,000 weights, and 9 kB that stay
    assert report["metrics"]["accuracy"]["difference"] >= -0.005


def test_layers_with_noise_are_named(digits: Path, tmp_path: Path) -> None:
    layers = quantized(digits, tmp_path / "q.onnx", "--tolerance", "accuracy=0.1")["layers"]
    assert len(layers) == 10
    ratios = [each["signal_to_noise_db"] for each in layers]
    assert ratios == sorted(ratios)
    assert 15 < ratios[0] < 60
