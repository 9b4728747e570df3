"""Runs of quantization-aware training, whose models are quantized already."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.commands import jsonnx

DATA = Path(__file__).parents[3] / "samples" / "data"


def test_the_trained_model_is_compared_with_its_float_model(trained_with_rounding: Path, tmp_path: Path) -> None:
    options = ("-o", str(tmp_path / "q.onnx"), "--tolerance", "accuracy=0.1", "--format", "json")
    report = json.loads(jsonnx("quantize", str(trained_with_rounding), *options).stdout)
    assert (tmp_path / "q.onnx").read_bytes() == (trained_with_rounding / "model.onnx").read_bytes()
    assert report["calibration"] is None
    assert report["bytes"]["quantized"] < 0.6 * report["bytes"]["float"]
    assert report["layers"]
    with np.load(DATA / "digits_test.npz") as file:
        images, labels = file["image"].astype(np.float32).reshape(-1, 8, 8, 1), file["label"]
    (predicted,) = onnxruntime.InferenceSession(tmp_path / "q.onnx").run(None, {"image": images})
    accuracy = float((predicted.argmax(-1) == labels).mean())
    assert report["metrics"]["accuracy"]["quantized"] == pytest.approx(accuracy)
    assert 0 < report["outputs"]["digit"]["max_difference"] < 0.5
    text = jsonnx("quantize", str(trained_with_rounding), *options[:4]).stdout
    assert "with the trained ranges of activations" in text


def test_other_precisions_take_the_weights_without_rounding(trained_with_rounding: Path, tmp_path: Path) -> None:
    options = ("-o", str(tmp_path / "q.onnx"), "--precision", "float16", "--format", "json")
    report = json.loads(jsonnx("quantize", str(trained_with_rounding), *options).stdout)
    assert report["outputs"]["digit"]["max_difference"] < 0.01
    metadata = onnxruntime.InferenceSession(tmp_path / "q.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["jsonnx.quantization"]) == {"precision": "float16"}
