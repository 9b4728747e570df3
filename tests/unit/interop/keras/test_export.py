"""Contents of exported Keras files; tests/environments/parity compares their results in Keras."""

from __future__ import annotations

import errno
import io
import json
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import h5py
import jsonnx
import numpy as np
import pytest
from click.testing import Result
from jsonnx.cli import main
from jsonnx.pipeline import keras_export
from support.commands import IN_PROCESS

STACK: dict[str, Any] = {
    "name": "digits",
    "inputs": {"image": {"shape": [8, 8, 1]}},
    "layers": [
        {"type": "Conv2D", "filters": 4, "kernel_size": 3, "activation": "relu"},
        {"type": "BatchNormalization"},
        {"type": "Flatten"},
        {"type": "Dense", "name": "digit", "units": 3, "activation": "softmax"},
    ],
}
GRAPH: dict[str, Any] = {
    "inputs": {"left": {"shape": [4]}, "right": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "name": "tower", "units": 3, "from": "left"},
        {"use": "tower", "name": "again", "from": "right"},
        {"type": "Concatenate", "name": "both", "from": ["tower", "again"]},
        {"type": "Dense", "name": "a", "units": 1, "from": "both"},
        {"type": "Dense", "name": "b", "units": 1, "from": "tower"},
    ],
    "outputs": ["b", "a"],
}


def run(*arguments: str, status: int = 0) -> Result:
    result = IN_PROCESS.invoke(main, arguments)
    assert result.exit_code == status, (result.output, result.exception)
    return result


def datasets(weights: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def test_stack_of_layers_becomes_sequential_with_all_arguments() -> None:
    config = jsonnx.to_keras(STACK).config
    assert (config["module"], config["class_name"], config["config"]["name"]) == ("keras", "Sequential", "digits")
    first, conv, *_ = config["config"]["layers"]
    assert first["config"]["batch_shape"] == [None, 8, 8, 1]
    assert (conv["module"], conv["class_name"], conv["registered_name"]) == ("keras.layers", "Conv2D", None)
    assert conv["config"]["kernel_size"] == [3, 3]
    assert conv["config"]["activation"] == "relu"
    assert conv["config"]["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert conv["config"]["use_bias"] is True


def test_graph_becomes_functional_with_numbered_calls() -> None:
    config = jsonnx.to_keras(GRAPH).config["config"]
    entries = {entry["name"]: entry for entry in config["layers"]}
    assert len(entries["tower"]["inbound_nodes"]) == 2
    ((together,),) = [node["args"] for node in entries["both"]["inbound_nodes"]]
    assert [value["config"]["keras_history"] for value in together] == [["tower", 0, 0], ["tower", 1, 0]]
    assert config["input_layers"] == [["left", 0, 0], ["right", 0, 0]]
    assert config["output_layers"] == [["b", 0, 0], ["a", 0, 0]]


def test_functions_become_operations_with_constants_in_the_call() -> None:
    layers = [
        {"type": "ops.get_item", "name": "cut", "key": [":", "1:"]},
        {"type": "ops.subtract", "name": "rest", "x1": 1.0},
        {"type": "ops.matmul", "name": "turned", "x2": [[1.0], [2.0], [3.0]]},
        {"type": "ops.sum", "name": "total", "axis": -1, "keepdims": True},
        {"type": "Dense", "name": "y", "units": 1},
    ]
    exported = jsonnx.to_keras({"inputs": {"x": {"shape": [4]}}, "layers": layers})
    entries = {entry["name"]: entry for entry in exported.config["config"]["layers"]}
    assert (entries["rest"]["module"], entries["rest"]["class_name"]) == ("keras.src.ops.numpy", "Subtract")
    assert entries["rest"]["inbound_nodes"][0]["args"][0] == 1.0
    assert entries["turned"]["inbound_nodes"][0]["args"][1]["config"]["value"] == [[1.0], [2.0], [3.0]]
    assert entries["total"]["config"] == {"name": "total", "axis": -1, "keepdims": True}
    _, key = entries["cut"]["inbound_nodes"][0]["args"]
    assert [part["config"] for part in key] == [
        {"start": None, "stop": None, "step": None},
        {"start": 1, "stop": None, "step": None},
    ]
    assert list(datasets(exported.weights)) == ["layers/dense/vars/0", "layers/dense/vars/1"]


def test_pipeline_inside_a_wrapper_becomes_sequential() -> None:
    """Keras can infer the output shape of a Sequential, but not of a Pipeline."""
    row = {"type": "Pipeline", "layers": [{"type": "Dense", "units": 2}, {"type": "Flatten"}]}
    spec = {"inputs": {"x": {"shape": [3, 4]}}, "layers": [{"type": "TimeDistributed", "layer": row}]}
    inner = jsonnx.to_keras(spec).config["config"]["layers"][1]["config"]["layer"]
    assert (inner["module"], inner["class_name"]) == ("keras", "Sequential")
    assert [layer["class_name"] for layer in inner["config"]["layers"]] == ["Dense", "Flatten"]


def test_weight_groups_are_numbered_by_class_and_have_layer_names() -> None:
    model = jsonnx.compile(STACK, seed=4)
    exported = jsonnx.to_keras(STACK, model.weights)
    arrays = datasets(exported.weights)
    assert np.array_equal(arrays["layers/dense/vars/0"], model.weights["digit/kernel"])
    assert np.array_equal(
        arrays["layers/batch_normalization/vars/3"], model.weights["batch_normalization/moving_variance"]
    )
    assert len(arrays) == len(model.weights)
    with h5py.File(io.BytesIO(exported.weights)) as file:
        assert file["layers/dense/vars"].attrs["name"] == "digit"
    # ordered by distance from the outputs, then by the order of the outputs
    with h5py.File(io.BytesIO(jsonnx.to_keras(GRAPH).weights)) as file:
        names = [file[f"layers/{group}/vars"].attrs["name"] for group in ("dense", "dense_1", "dense_2")]
    assert names == ["tower", "b", "a"]


def test_frozen_layer_and_its_inner_layers_are_not_trainable() -> None:
    layers = [{"type": "Bidirectional", "name": "both", "layer": {"type": "LSTM", "units": 2}}]
    training = {"loss": "mse", "freeze": ["both"]}
    config = jsonnx.to_keras({"inputs": {"x": {"shape": [3, 2]}}, "layers": layers, "training": training}).config
    (layer,) = config["config"]["layers"][1:]
    assert layer["config"]["trainable"] is False
    assert layer["config"]["layer"]["config"]["trainable"] is False


def test_adapted_vocabulary_is_in_the_configuration() -> None:
    spec = {
        "inputs": {"x": {"shape": [], "dtype": "string"}},
        "layers": [{"type": "StringLookup", "name": "look"}, {"type": "Embedding", "input_dim": 4, "output_dim": 2}],
    }
    weights = jsonnx.compile(
        {**spec, "layers": [{**spec["layers"][0], "vocabulary": ["a"]}, spec["layers"][1]]}
    ).weights | {"look/vocabulary": np.array(["b", "c"], object)}
    exported = jsonnx.to_keras(spec, weights)
    look = exported.config["config"]["layers"][1]
    assert look["config"]["vocabulary"] == ["b", "c"]
    assert list(datasets(exported.weights)) == ["layers/embedding/vars/0"]


def test_learned_idf_weights_are_exported_without_those_of_special_tokens() -> None:
    lookup = {"type": "StringLookup", "output_mode": "tf_idf", "max_tokens": 4, "pad_to_max_tokens": True}
    spec = {"inputs": {"x": {"shape": [3], "dtype": "string"}}, "layers": [lookup, {"type": "Dense", "units": 2}]}
    learned = {
        "string_lookup/vocabulary": np.array(["b", "c"], object),
        "string_lookup/idf_weights": np.array([0.75, 0.5, 1.0, 0.0], np.float32),
        "dense/kernel": np.zeros((4, 2), np.float32),
        "dense/bias": np.zeros(2, np.float32),
    }
    config = jsonnx.to_keras(spec, learned).config["config"]["layers"][1]["config"]
    assert (config["vocabulary"], config["idf_weights"]) == (["b", "c"], [0.5, 1.0])


def test_unsupported_arguments_are_reported_at_their_layers() -> None:
    steep = {"type": "hard_sigmoid", "slope": 0.2}
    spec = {"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": 2, "activation": steep}] * 2}
    with pytest.raises(jsonnx.CompileError) as error:
        jsonnx.to_keras(spec)
    assert [(f.code, f.path) for f in error.value.diagnostics] == [
        ("not-exportable", "$.layers[0]"),
        ("not-exportable", "$.layers[1]"),
    ]


@pytest.mark.parametrize("spec", [STACK, GRAPH])
def test_export_is_reproducible(spec: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.keras", "b.keras"):
        jsonnx.to_keras(spec, seed=1).save(tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]


@pytest.mark.parametrize("name", ["model.keras", "folder"])
def test_a_large_model_is_exported_by_temporary_files_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = jsonnx.to_keras(GRAPH, seed=1).save(tmp_path / "small" / name if name == "folder" else tmp_path / name)
    expected = [file.read_bytes() for file in small]
    monkeypatch.setattr(keras_export, "MIN_MAPPED_BYTES", 1)
    large = jsonnx.to_keras(GRAPH, seed=1).save(tmp_path / "large" / name if name == "folder" else tmp_path / name)
    assert [file.read_bytes() for file in large] == expected


def test_a_full_disk_is_reported_while_a_large_model_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> IO[bytes]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(keras_export, "MIN_MAPPED_BYTES", 1)
    monkeypatch.setattr(keras_export, "TemporaryFile", full)
    with pytest.raises(jsonnx.UsageError, match="cannot write a temporary file: no space left on device"):
        jsonnx.to_keras(GRAPH, seed=1).save(tmp_path / "a.keras")


def test_exported_model_can_be_imported(tmp_path: Path) -> None:
    for spec in (STACK, GRAPH):
        exported = jsonnx.to_keras(spec)
        imported, _ = jsonnx.from_keras(json.dumps(exported.config))
        assert jsonnx.compile(imported, seed=3).weights.keys() == jsonnx.compile(spec).weights.keys()
        round_trip, original = (
            {e["config"]["name"]: e for e in m.config["config"]["layers"]}
            for m in (jsonnx.to_keras(imported), exported)
        )
        assert round_trip == original


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_exported_weights_can_be_loaded(name: str, tmp_path: Path) -> None:
    for spec in (STACK, GRAPH):
        known = jsonnx.compile(spec, seed=5).weights
        jsonnx.to_keras(spec, known).save(tmp_path if name.endswith("h5") else tmp_path / name)
        for weights in (
            jsonnx.compile(spec, tmp_path / name).weights,
            jsonnx.compile(spec, str(tmp_path / name)).weights,
        ):
            assert {n: a.tolist() for n, a in weights.items()} == {n: a.tolist() for n, a in known.items()}


def test_weights_of_a_keras_file_initialize_part_of_a_network(tmp_path: Path) -> None:
    known = jsonnx.compile(STACK, seed=5).weights
    jsonnx.to_keras(STACK, known).save(tmp_path / "body.keras")
    layers = [*STACK["layers"][:-1], {"type": "Dense", "name": "digit", "units": 7}]
    training = {"loss": "mse", "weights": {"file": "body.keras", "layers": ["conv2d", "batch_*"]}}
    (tmp_path / "spec.json").write_text(json.dumps({**STACK, "layers": layers, "training": training}))
    model = jsonnx.compile(tmp_path / "spec.json")
    assert np.array_equal(model.weights["conv2d/kernel"], known["conv2d/kernel"])
    assert model.weights["digit/kernel"].shape[-1] == 7
    network = {**STACK, "layers": layers}
    with pytest.raises(jsonnx.CompileError, match="digit/kernel"):
        jsonnx.compile(network, tmp_path / "body.keras")
    assert jsonnx.compile(network, tmp_path / "body.keras", partial=True).weights_report.unfit.keys() == {
        "digit/kernel",
        "digit/bias",
    }


def test_export_command_accepts_specs_runs_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.ones((8, 4), "float32"), y=np.ones(8, "float32"))
    layers = [{"type": "Dense", "name": "y", "units": 1}]
    training = {"loss": "mse", "data": {"train": "data.npz", "x": "x", "y": "y"}}
    Path("spec.json").write_text(json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": layers, "training": training}))
    run("train", "spec.json", "-o", "run", "--quiet")
    stderr = run("export", "--keras", "run", "-o", "out").stderr
    assert stderr.split() == ["wrote", "out/model.json", "wrote", "out/model.weights.h5"]
    trained = jsonnx.compile("spec.json", "run/weights.safetensors").weights["y/kernel"]
    assert np.array_equal(datasets(Path("out/model.weights.h5").read_bytes())["layers/dense/vars/0"], trained)
    run("export", "--keras", "spec.json", "-o", "model.keras", "--weights", "run/weights.safetensors")
    with zipfile.ZipFile("model.keras") as archive:
        assert archive.read("model.weights.h5") == Path("out/model.weights.h5").read_bytes()
    assert "needs-weights" in run("export", "--keras", "run/model.onnx", "-o", "a.keras", status=1).stderr
    run("export", "--keras", "run/model.onnx", "-o", "a.keras", "--weights", "run/weights.safetensors")
    assert Path("a.keras").read_bytes() == Path("model.keras").read_bytes()


def test_export_command_rejects_invalid_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.json").write_text(json.dumps(STACK))
    assert "--keras" in run("export", "spec.json", "-o", "out", status=2).stderr
    Path("file").write_text("")
    assert "unwritable-file" in run("export", "--keras", "spec.json", "-o", "file/out", status=2).stderr
    assert "unreadable-file" in run("export", "--keras", "absent.json", "-o", "out", status=2).stderr
    for name in ("model.h5", "model.JSON"):
        assert "bad-option" in run("export", "--keras", "spec.json", "-o", name, status=2).stderr
        assert not Path(name).exists()
