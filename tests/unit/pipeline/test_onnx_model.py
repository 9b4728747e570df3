"""Specs with an OnnxModel: what its file gives, what runs and models keep of it, and the errors of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from jsonnx.runtime.session.weight_files import read_weight_file
from onnx import helper, numpy_helper
from support.commands import jsonnx as command
from support.foreign_models import convolution, model, numbers, perceptron

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "OnnxModel", "name": "net", "file": "model.onnx", "outputs": {"features": "hidden"}},
        {"type": "Dense", "name": "y", "units": 2},
    ],
    "training": {"loss": "mse", "freeze": ["net"], "epochs": 2, "data": {"train": "data.npz"}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(perceptron(), "model.onnx")
    write(SPEC)
    np.savez("data.npz", x=numbers(8, 4), y=numbers(8, 2))


def write(spec: dict[str, Any]) -> None:
    Path("spec.json").write_text(json.dumps(spec))


def with_layer(**changes: Any) -> dict[str, Any]:
    return {**SPEC, "layers": [{**SPEC["layers"][0], **changes}, SPEC["layers"][1]]}


def test_a_run_and_its_model_need_no_file() -> None:
    command("train", "spec.json", "-o", "run")
    Path("model.onnx").unlink()
    assert "loss" in command("evaluate", "run", "--data", "data.npz").stdout
    command("predict", "run/model.onnx", "--data", "data.npz", "-o", "p.npz")
    layer = json.loads(command("inspect", "run/model.onnx", "--spec", "-").stdout)["layers"][0]
    assert layer["file"] == "model.onnx"
    assert len(layer["sha256"]) == 64


def test_frozen_weights_keep_the_bits_of_the_file() -> None:
    command("train", "spec.json", "-o", "run")
    weights = {name: array.tobytes() for name, array in read_weight_file("run/weights.safetensors").items()}
    assert weights["net/fc1.weight"] == numbers(6, 4).tobytes()
    trained = onnx.load("run/model.onnx").graph.initializer
    stored = {array.tobytes() for array in map(numpy_helper.to_array, trained)}
    assert {numbers(6, 4).T.tobytes(), numbers(6, seed=1).tobytes()} <= stored


def test_weights_of_the_layer_are_trained_unless_they_are_frozen() -> None:
    write({**with_layer(), "training": {**SPEC["training"], "freeze": ["net", "!net/fc1.bias"]}})
    command("train", "spec.json", "-o", "run")
    weights = read_weight_file("run/weights.safetensors")
    assert weights["net/fc1.weight"].tobytes() == numbers(6, 4).tobytes()
    assert not np.array_equal(weights["net/fc1.bias"], numbers(6, seed=1))


def test_moving_averages_stay_as_they_are() -> None:
    onnx.save(convolution(), "model.onnx")
    layer = {"type": "OnnxModel", "name": "net", "file": "model.onnx"}
    trainer = jsonnx.Trainer({"inputs": {"x": {"shape": [2, 6, 6]}}, "layers": [layer], "training": {"loss": "mse"}})
    trainer.fit(numbers(8, 2, 6, 6), numbers(8, 3), verbose=0)
    weights = trainer.weights()
    assert weights["net/bn.running_mean"].tobytes() == numbers(3, seed=4).tobytes()
    assert not np.array_equal(weights["net/conv.weight"], numbers(3, 2, 3, 3))


def test_a_run_is_resumed_without_the_file_and_not_with_another_one() -> None:
    command("train", "spec.json", "-o", "run", "--set", "training.epochs=1")
    onnx.save(perceptron(batch=1), "model.onnx")
    error = command("train", "spec.json", "-o", "run", "--resume", status=1)
    assert "layers" in error.stderr


def test_given_weights_take_the_place_of_the_file() -> None:
    command("train", "spec.json", "-o", "run")
    recorded = json.loads(Path("run/spec.json").read_text())
    Path("model.onnx").unlink()
    model = jsonnx.compile(recorded, weights="run")
    assert model.weights["net/fc1.weight"].tobytes() == numbers(6, 4).tobytes()
    with pytest.raises(jsonnx.UsageError, match=r"model\.onnx"):
        jsonnx.compile(recorded)


def test_a_file_that_changed_after_its_graph_was_recorded_is_an_error() -> None:
    command("train", "spec.json", "-o", "run")
    recorded = json.loads(Path("run/spec.json").read_text())
    onnx.save(perceptron(batch=1), "model.onnx")
    with pytest.raises(jsonnx.CompileError, match="has changed since its graph was recorded"):
        jsonnx.compile(recorded)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08\x3a\x05abcde", b"\x89HDF\r\n\x1a\n" + bytes(64)])
def test_files_that_are_no_models_are_errors(content: bytes) -> None:
    Path("model.onnx").write_bytes(content)
    error = command("validate", "spec.json", status=1)
    assert "error[damaged-file]: 'model.onnx': " in error.stderr
    assert "spec.json:1:" in error.stderr


def test_weights_in_another_file_lie_in_the_folder() -> None:
    onnx.save_model(perceptron(), "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    assert jsonnx.compile("spec.json").weights["net/fc1.weight"].tobytes() == numbers(6, 4).tobytes()
    outside = onnx.load("model.onnx", load_external_data=False)
    for tensor in outside.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../w.data" if entry.key == "location" else entry.value
    Path("model.onnx").write_bytes(outside.SerializeToString())
    assert "error[unsafe-path]" in command("validate", "spec.json", status=1).stderr


def test_a_file_in_a_block_is_recorded_in_the_block() -> None:
    layer = {**SPEC["layers"][0], "file": "${path}"}
    block = {"parameters": {"path": {"required": True}}, "layers": [layer]}
    use = {"type": "body", "name": "b", "path": "model.onnx"}
    write({"inputs": SPEC["inputs"], "blocks": {"body": block}, "layers": [use, SPEC["layers"][1]]})
    command("compile", "spec.json", "-o", "out.onnx")
    recorded = json.loads(command("inspect", "out.onnx", "--spec", "-").stdout)
    assert "graph" in recorded["blocks"]["body"]["layers"][0]


def test_operators_without_a_gradient_are_errors_only_behind_trained_weights() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Det", ["p"], ["hidden"])]
    proto = model(nodes, {"x": ["N", 4, 4]}, {"hidden": ["N"]}, {"w": numbers(4, 4)})
    onnx.save(proto, "model.onnx")
    reshape = {"type": "Reshape", "target_shape": [1]}
    spec = {**with_layer(), "inputs": {"x": {"shape": [4, 4]}}}
    spec["layers"] = [spec["layers"][0], reshape, spec["layers"][1]]
    frozen = jsonnx.Trainer(spec)
    frozen.fit(numbers(4, 4, 4), numbers(4, 2), verbose=0)
    with pytest.raises(jsonnx.CompileError, match="operator Det has no gradient rule"):
        jsonnx.Trainer({**spec, "training": {"loss": "mse"}})
