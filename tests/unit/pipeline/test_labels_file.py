"""The labels file beside a model: its content, and that it never belongs to another model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import compile
from support.commands import jsonnx

SIGMOID = {"units": 1, "activation": "sigmoid"}
FEW = {"units": 3, "activation": "sigmoid"}
SOFTMAX = {"units": 3, "activation": "softmax"}
BINARY = {"loss": "binary_crossentropy"}
LOGITS = {"loss": {"type": "binary_crossentropy", "from_logits": True}}


def spec(layer: dict[str, Any], training: dict[str, Any] | None = None, labels: list[str] | None = None) -> Any:
    document: dict[str, Any] = {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "name": "y", **layer}]}
    document |= {"training": {**training, "optimizer": "sgd", "seed": 3}} if training else {}
    return document | ({"labels": labels} if labels else {})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (spec(SOFTMAX, None, ["a", "b", "c"]), {"kind": "one_of_many", "labels": ["a", "b", "c"]}),
        (spec(FEW, BINARY, ["a", "b", "c"]), {"kind": "multi_label", "labels": ["a", "b", "c"], "threshold": 0.5}),
        (
            spec(FEW, BINARY | {"threshold": {"c": 0.25}}, ["a", "b", "c"]),
            {"kind": "multi_label", "labels": ["a", "b", "c"], "threshold": [0.5, 0.5, 0.25]},
        ),
        (spec(SIGMOID, BINARY, ["no", "ja"]), {"kind": "binary", "labels": ["no", "ja"], "threshold": 0.5}),
        (spec(SIGMOID, BINARY | {"threshold": 0.25}), {"kind": "binary", "labels": ["0", "1"], "threshold": 0.25}),
        (spec({"units": 1}, LOGITS, ["no", "ja"]), {"kind": "binary", "labels": ["no", "ja"], "threshold": 0.0}),
    ],
    ids=["softmax", "several labels", "thresholds by label", "sigmoid", "threshold without labels", "logits"],
)
def test_the_file_says_how_classes_follow_from_numbers(document: Any, expected: Any, tmp_path: Path) -> None:
    compile(document).save(tmp_path / "a.b.onnx")
    assert json.loads((tmp_path / "a.b.labels.json").read_text()) == {"y": expected}


def test_a_threshold_decides_in_doubles_as_in_the_type_of_the_output(tmp_path: Path) -> None:
    compile(spec(SIGMOID, BINARY | {"threshold": 0.3})).save(tmp_path / "m.onnx")
    threshold = json.loads((tmp_path / "m.labels.json").read_text())["y"]["threshold"]
    assert threshold == float(np.float32(0.3)) != 0.3


def test_an_output_of_several_positions_has_its_labels_alone(tmp_path: Path) -> None:
    layers = [{"type": "Conv1D", "filters": 2, "kernel_size": 1, "activation": "softmax", "name": "y"}]
    document = {"inputs": {"x": {"shape": [5, 1]}}, "layers": layers, "labels": ["a", "b"]}
    compile(document).save(tmp_path / "m.onnx")
    assert json.loads((tmp_path / "m.labels.json").read_text()) == {"y": {"labels": ["a", "b"]}}


def test_a_model_without_labels_removes_the_file_of_the_model_before(tmp_path: Path) -> None:
    labeled, plain = compile(spec(SOFTMAX, None, ["a", "b", "c"])), compile(spec(SOFTMAX))
    labeled.save(tmp_path / "m.onnx")
    labeled.save(tmp_path / "other.onnx")
    plain.save(tmp_path / "m.onnx")
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "other.labels.json", "other.onnx"]


def test_a_failed_write_leaves_no_labels_of_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is removed before the model is replaced, and kept if it says the same."""
    first, second = (compile(spec(SOFTMAX, None, labels)) for labels in (["a", "b", "c"], ["c", "b", "a"]))
    first.save(tmp_path / "m.onnx")

    def fail(*arguments: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    for model, left in ((first, ["m.labels.json", "m.onnx"]), (second, ["m.onnx"])):
        with pytest.raises(Exception, match="the disk is full"):
            model.save(tmp_path / "m.onnx")
        assert sorted(os.listdir(tmp_path)) == left


def test_a_run_has_the_labels_that_training_learned_and_its_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{x},{-x},{'yes' if x > 3 else 'no'}" for x in range(8)]
    Path("data.csv").write_text("\n".join(["a,b,y", *rows]))
    data = {"train": "data.csv", "x": {"x": ["a", "b"]}, "y": {"y": "y"}}
    training = BINARY | {"threshold": 0.75, "epochs": 1, "data": data}
    Path("spec.json").write_text(json.dumps(spec(SIGMOID, training)))
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    expected = {"kind": "binary", "labels": ["no", "yes"], "threshold": 0.75}
    assert json.loads(Path("run/model.labels.json").read_text()) == {"y": expected}


def test_the_file_of_a_model_is_not_written_over_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.labels.json").write_text(json.dumps(spec(SOFTMAX, None, ["a", "b", "c"])))
    compiled = jsonnx("compile", "m.labels.json", "-o", "m.onnx", status=2)
    assert "is-an-input" in compiled.stderr
    assert os.listdir() == ["m.labels.json"]


def test_no_file_is_written_beside_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compile(spec(SOFTMAX, None, ["a", "b", "c"])).save(os.devnull)
    assert os.listdir() == []


def test_the_threshold_of_one_output_is_not_that_of_another(tmp_path: Path) -> None:
    layers = [{"type": "Dense", "name": name, "from": "x", "units": 1, "activation": "sigmoid"} for name in ("a", "b")]
    document = {"inputs": {"x": {"shape": [2]}}, "layers": layers, "outputs": ["a", "b"], "labels": {"a": ["no", "ja"]}}
    compile(document).save(tmp_path / "m.onnx")
    expected = {"a": {"kind": "binary", "labels": ["no", "ja"], "threshold": 0.5}}
    assert json.loads((tmp_path / "m.labels.json").read_text()) == expected
