"""What `jsonnx quantize` does beyond the tolerance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.commands import jsonnx

DATA = Path(__file__).parents[3] / "samples" / "data"


def test_a_network_with_wide_ranges_is_caught_and_saved(wide_ranges: Path, tmp_path: Path) -> None:
    output = tmp_path / "q.onnx"
    roots = ("--data-root", str(DATA))
    result = jsonnx("quantize", str(wide_ranges), "-o", str(output), "--variant", "phone", *roots, "--format", "json")
    report = json.loads(result.stdout)
    lines = result.stderr.splitlines()
    assert "beyond the tolerance" in lines[0]
    assert "a scale for each channel of a weight" in lines[1]
    assert "in floating point" in lines[-2]
    assert lines[-2].endswith("within the tolerance")
    assert lines[-1] == f"wrote {output}"
    assert report["attempts"][0]["metrics"]["accuracy"]["difference"] < -0.3
    assert len(report["attempts"]) == len(lines) - 1
    assert {*report["variant"]["layers"]} <= {"stem", "depthwise", "pointwise", "digit"}
    with np.load(DATA / "digits_test.npz") as file:
        images, labels = file["image"].astype(np.float32).reshape(-1, 8, 8, 1), file["label"]
    (predicted,) = onnxruntime.InferenceSession(output).run(None, {"image": images})
    assert (predicted.argmax(-1) == labels).mean() > 0.85
    metadata = onnxruntime.InferenceSession(output).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["jsonnx.quantization"]) == report["variant"]


@pytest.mark.parametrize("options", [("--tolerance", "max_difference=0.000000001"), ("--variant", "strict")])
def test_a_tolerance_that_nothing_meets(digits: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    error = jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), *options, status=1)
    assert "error[quantization-loss]: int8 exceeds the tolerance in the best of" in error.stderr
    assert "max_difference is" in error.stderr
    for change in ("activations of int8", "calibration by", "1 layer in floating point"):
        assert change in error.stderr
    assert not [*tmp_path.iterdir()]


def test_the_error_as_json(digits: Path, tmp_path: Path) -> None:
    options = ("--tolerance", "max_difference=0", "--format", "json", "--precision", "float16")
    error = jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), *options, status=1)
    assert [each["code"] for each in json.loads(error.stdout)] == ["quantization-loss"]


def test_a_scale_for_each_tensor_is_kept_where_it_suffices(digits: Path, tmp_path: Path) -> None:
    jsonnx("quantize", str(digits), "-o", str(tmp_path / "q.onnx"), "--variant", "tensor")
    metadata = onnxruntime.InferenceSession(tmp_path / "q.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["jsonnx.quantization"]) == {"precision": "int8", "per_channel": False}
