"""`jsonnx import model.onnx` and `jsonnx.from_onnx`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx
import numpy as np
import onnx
import pytest
from onnx import helper
from support.commands import jsonnx as command
from support.foreign_models import convolution, model, numbers, perceptron


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(perceptron(), "model.onnx")


def test_a_spec_has_the_model_as_its_layer() -> None:
    command("import", "model.onnx", "-o", "spec.json")
    assert json.loads(Path("spec.json").read_text()) == {
        "inputs": {"x": {"shape": [4]}},
        "layers": [{"type": "OnnxModel", "name": "net", "file": "model.onnx"}],
    }
    command("compile", "spec.json", "-o", "compiled.onnx")


def test_a_head_takes_the_place_of_the_last_layer() -> None:
    command("import", "model.onnx", "-o", "spec.json", "--head", "kind=5")
    spec = json.loads(Path("spec.json").read_text())
    assert spec["layers"][0]["outputs"] == {"features": "hidden"}
    assert spec["layers"][1] == {"type": "Dense", "name": "kind", "units": 5, "activation": "softmax"}
    assert spec["training"]["freeze"] == ["net"]
    trainer = jsonnx.Trainer("spec.json")
    trainer.fit(numbers(8, 4), np.arange(8) % 5, verbose=0)
    assert trainer.weights()["net/fc1.weight"].tobytes() == numbers(6, 4).tobytes()


def test_a_head_on_a_single_layer_reads_its_result() -> None:
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["N", 4]}, {"y": None}, {"w": numbers(4, 2)})
    onnx.save(proto, "model.onnx")
    assert jsonnx.from_onnx("model.onnx", {"kind": 3})[0]["layers"][0]["outputs"] == {"features": "y"}


@pytest.mark.parametrize(
    ("shape", "pooling"), [([2, 4, 4], "GlobalAveragePooling2D"), ([2, 4], "GlobalAveragePooling1D")]
)
def test_a_head_pools_images_and_sequences(shape: list[int], pooling: str) -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", *shape]}, {"y": ["N", *shape]})
    onnx.save(proto, "model.onnx")
    spec, _ = jsonnx.from_onnx("model.onnx", {"kind": 3})
    assert [layer["type"] for layer in spec["layers"]] == ["OnnxModel", pooling, "Dense"]
    jsonnx.Trainer(spec)


def test_the_spec_in_python_needs_no_file() -> None:
    onnx.save(convolution(), "model.onnx")
    spec, weights = jsonnx.from_onnx("model.onnx")
    Path("model.onnx").unlink()
    assert weights is not None
    assert jsonnx.compile(spec, weights).weights["net/conv.weight"].tobytes() == numbers(3, 2, 3, 3).tobytes()


def test_weights_are_written_by_their_names() -> None:
    command("import", "model.onnx", "-o", "spec.json", "--weights", "w.safetensors")
    compiled = jsonnx.compile("spec.json", "w.safetensors")
    assert compiled.weights["net/fc2.weight"].tobytes() == numbers(6, 3, seed=2).tobytes()


def test_a_model_of_jsonnx_gives_its_spec_back() -> None:
    spec = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 2}]}
    jsonnx.compile(spec).save("own.onnx")
    assert json.loads(command("import", "own.onnx").stdout) == spec
    assert jsonnx.from_onnx("own.onnx") == (spec, None)


def test_inputs_have_valid_names_types_and_sizes() -> None:
    inputs = {"input.ids:0": ["batch", "seq-len"], "2": ["batch", None]}
    nodes = [
        helper.make_node("Gather", ["w", "input.ids:0"], ["e"]),
        helper.make_node("ReduceSum", ["e"], ["s"], keepdims=0),
    ]
    nodes += [helper.make_node("Mul", ["2", "s"], ["y"])]
    proto = model(nodes, inputs, {"y": ["batch", None]}, {"w": numbers(9, 3)}, dtypes={"input.ids:0": 7})
    onnx.save(proto, "model.onnx")
    assert jsonnx.from_onnx("model.onnx")[0]["inputs"] == {
        "input_ids_0": {"shape": ["seq_len"], "dtype": "int64"},
        "input_2": {"shape": [None]},
    }


def test_operators_without_a_gradient_are_named_with_their_nodes() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Det", ["p"], ["y"], name="/volume/Det")]
    nodes += [helper.make_node("Det", ["x"], ["unused"])]
    onnx.save(model(nodes, {"x": ["N", 4, 4]}, {"y": ["N"]}, {"w": numbers(4, 4)}), "model.onnx")
    warning = command("import", "model.onnx").stderr
    assert "warning[untrained-layers]: the operator Det has no gradient" in warning
    assert "'/volume/Det'" in warning


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.onnx", "--head", "kind"), "--head 'kind' has no name and number of classes"),
        (("model.onnx", "--head", "kind=1"), "a head needs at least 2 classes"),
        (("model.onnx", "--flat"), "an ONNX model is imported without WEIGHTS and --flat"),
        (("model.onnx", "-o", "other/spec.json"), "does not lie beneath the folder of the spec"),
        (("none.onnx",), "no such file"),
        (("model.keras", "--head", "kind=2"), "--head is for ONNX and Hugging Face models"),
    ],
)
def test_commands_that_cannot_import(arguments: tuple[str, ...], message: str) -> None:
    Path("other").mkdir()
    assert message in command("import", *arguments, status=2).stderr


def test_a_file_that_is_no_model_is_an_error() -> None:
    Path("model.onnx").write_bytes(b"text")
    assert "error[damaged-file]" in command("import", "model.onnx", status=1).stderr
