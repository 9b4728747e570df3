"""Adapters in PEFT's layout: those that PEFT has trained give its outputs, and are trained as by PEFT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from jsonnx.interop.safetensors_file import SafetensorsFile, safetensors_parts
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.peft_adapter import read_peft_folder, write_peft_folder
from onnx import helper
from support.foreign_models import model, numbers

FIXTURES = Path(__file__).parent / "peft_adapters"
SETTINGS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True, "rank_pattern": {"net/q.weight": 2}, "alpha_pattern": {"net/conv.*": 5}},
}
ADAPTED = ["net/emb.weight", "net/conv.weight", "net/q.weight", "net/k.weight"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    return tmp_path


def write_spec(folder: Path, name: str, **lora: Any) -> str:
    spec = {
        "inputs": {"x": {"shape": [5], "dtype": "int64"}},
        "layers": [{"type": "OnnxModel", "name": "net", "file": "net.onnx"}],
        "training": {
            "loss": "mse",
            "optimizer": {"type": "sgd", "learning_rate": 0.5},
            "batch_size": 4,
            "epochs": 4,
            "freeze": ["net", "!net/head*"],
            "lora": {"weights": ADAPTED, "rank": 3, "alpha": 6, **SETTINGS[name], **lora},
        },
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    return str(folder / "spec.json")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_trained_adapter_gives_the_outputs_of_peft(folder: Path, name: str) -> None:
    results = np.load(FIXTURES / "results.npz")
    model = jsonnx.compile(write_spec(folder, name), weights=str(folder / name / "trained"))
    (outputs,) = model.session().run({"x": results["x"]}).values()
    np.testing.assert_allclose(outputs, results[f"{name}_outputs"], atol=1e-6)
    base = jsonnx.compile(write_spec(folder, name)).session().run({"x": results["x"]})
    assert np.abs(outputs - next(iter(base.values()))).max() > 0.1


@pytest.mark.parametrize("name", SETTINGS)
def test_steps_from_an_adapter_have_the_losses_of_peft(folder: Path, name: str) -> None:
    results = np.load(FIXTURES / "results.npz")
    trainer = jsonnx.Trainer(write_spec(folder, name, adapter=f"{name}/start"))
    before = {key: array.copy() for key, array in trainer.current_weights().items()}
    history = trainer.fit(results["x"], results["target"])
    np.testing.assert_allclose(history.history["loss"], results[f"{name}_losses"], atol=1e-6)
    np.testing.assert_allclose(trainer.predict(results["x"]), results[f"{name}_outputs"], atol=1e-6)
    for weight in (*ADAPTED, "net/conv.bias", "net/q.bias"):
        np.testing.assert_array_equal(trainer.current_weights()[weight], before[weight])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_written_adapter_is_read_back_and_is_that_of_peft(folder: Path, name: str) -> None:
    checked = check_spec(write_spec(folder, name))
    arrays = read_peft_folder(checked, str(folder / name / "trained"))
    write_peft_folder(checked, {**trainer_weights(checked), **arrays}, folder / "written")
    again = read_peft_folder(checked, str(folder / "written"))
    assert again.keys() == arrays.keys()
    for weight, array in arrays.items():
        np.testing.assert_array_equal(again[weight], array)
    with (folder / name / "trained" / "adapter_model.safetensors").open("rb") as file:
        expected = SafetensorsFile(file).arrays()
    with (folder / "written" / "adapter_model.safetensors").open("rb") as file:
        written = SafetensorsFile(file).arrays()
    assert {key: array.shape for key, array in written.items()} == {key: a.shape for key, a in expected.items()}
    config = json.loads((folder / "written" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["modules_to_save"]) == (3, 6, ["head"])
    assert config["target_modules"] == ["emb", "conv", "q", "k"]


def trainer_weights(checked: Any) -> dict[str, np.ndarray]:
    return dict(jsonnx.Trainer(checked).current_weights())


def test_layers_have_their_path_as_module(tmp_path: Path) -> None:
    spec = {
        "inputs": {"x": {"shape": [5, 12]}},
        "layers": [
            {"type": "MultiHeadAttention", "name": "att", "num_heads": 2, "key_dim": 7, "from": ["x", "x"]},
            {"type": "Conv1D", "name": "conv", "filters": 6, "kernel_size": 3},
            {"type": "BatchNormalization", "name": "norm"},
            {"type": "Dense", "name": "head", "units": 3},
        ],
        "training": {"loss": "mse", "lora": {"weights": ["att", "conv"], "rank": 2}},
    }
    checked = check_spec(spec)
    weights = {name: np.random.default_rng(0).normal(size=a.shape) for name, a in trainer_weights(checked).items()}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    write_peft_folder(checked, weights, tmp_path)
    with (tmp_path / "adapter_model.safetensors").open("rb") as file:
        shapes = {name.removeprefix("base_model.model."): a.shape for name, a in SafetensorsFile(file).arrays().items()}
    assert shapes["att.query.lora_A.weight"] == (2, 12)
    assert shapes["att.query.lora_B.weight"] == (14, 2)
    assert shapes["att.attention_output.lora_A.weight"] == (2, 14)
    assert shapes["conv.lora_A.weight"] == (2, 12, 3)
    assert shapes["conv.lora_B.weight"] == (6, 2, 1)
    assert shapes["head.weight"] == (3, 6)
    assert {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"} <= shapes.keys()
    for name, array in read_peft_folder(checked, str(tmp_path)).items():
        np.testing.assert_array_equal(array, weights[name])


def test_a_module_whose_name_ends_another_has_a_rank_of_its_own(tmp_path: Path) -> None:
    weights = {"q.weight": numbers(4, 4), "enc.q.weight": numbers(4, 4), "o.weight": numbers(4, 3)}
    names = ["x", "a", "b", "y"]
    nodes = [helper.make_node("MatMul", [names[i], weight], [names[i + 1]]) for i, weight in enumerate(weights)]
    onnx.save(model(nodes, {"x": ["N", 4]}, {"y": None}, weights), tmp_path / "model.onnx")
    spec, arrays = jsonnx.from_onnx(tmp_path / "model.onnx")
    lora = {"weights": ["*"], "rank": 3, "rank_pattern": {"net/q.weight": 2}, "alpha_pattern": {"net/q.weight": 7}}
    checked = check_spec({**spec, "training": {"loss": "mse", "lora": lora}})
    current = jsonnx.Trainer(checked, weights=arrays).current_weights()
    write_peft_folder(checked, current, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["rank_pattern"] == {"^q": 2}
    read = read_peft_folder(checked, str(tmp_path))
    assert read.keys() == {f"net/{name}/lora_{side}" for name in weights for side in "ab"}
    assert all(np.array_equal(array, current[name]) for name, array in read.items())


def test_two_models_of_one_file_have_their_layers_in_the_names_of_modules(folder: Path) -> None:
    path = write_spec(folder, "lora", weights=["*/q.weight"])
    spec = json.loads(Path(path).read_text())
    layer = {"type": "OnnxModel", "file": "net.onnx", "from": "x"}
    spec["layers"] = [{**layer, "name": "net"}, {**layer, "name": "other"}, {"type": "Add", "from": ["net", "other"]}]
    spec["training"]["freeze"] = ["*", "!*/head*"]
    Path(path).write_text(json.dumps(spec))
    checked = check_spec(path)
    weights = {name: array + 1 for name, array in trainer_weights(checked).items()}
    write_peft_folder(checked, weights, folder)
    read = read_peft_folder(checked, str(folder))
    assert {"net/q.weight/lora_a", "other/q.weight/lora_b", "net/head.weight", "other/head.weight"} <= read.keys()
    assert all(np.array_equal(array, weights[name]) for name, array in read.items())
    assert "net.q" in json.loads((folder / "adapter_config.json").read_text())["target_modules"]


BAD_CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"fan_in_fan_out": True}, "'fan_in_fan_out' is true"),
    ({"bias": "all"}, "'bias' is \"all\""),
    ({"layers_to_transform": [0]}, "'layers_to_transform' is [0]"),
    ({"use_bdlora": {"a": 1}}, "'use_bdlora'"),
    ({"anything_new": 3}, "'anything_new'"),
    ({"init_lora_weights": "pissa"}, "'init_lora_weights'"),
    ({"peft_type": "IA3"}, "'peft_type'"),
    ({"r": 0}, "'r' is not a positive number"),
    ({"lora_alpha": "x"}, "'lora_alpha' is not a positive number"),
    ({"alpha_pattern": {"(a+)+$": 3}}, "regular expression"),
    ({"rank_pattern": [1]}, "'rank_pattern' is not an object"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_CONFIGS, ids=[message for _, message in BAD_CONFIGS])
def test_an_option_that_is_not_understood_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    path = folder / "lora" / "trained" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(jsonnx.CompileError) as raised:
        jsonnx.compile(write_spec(folder, "lora"), weights=str(path.parent))
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "unsupported-adapter"
    assert message in diagnostic.message
    assert diagnostic.file == str(path)


def test_arrays_of_another_network_are_named(folder: Path) -> None:
    path = folder / "lora" / "trained" / "adapter_model.safetensors"
    with path.open("rb") as file:
        arrays = SafetensorsFile(file).arrays()
    prefix = "base_model.model."
    del arrays[f"{prefix}q.lora_A.weight"]
    arrays[f"{prefix}other.lora_A.weight"] = np.zeros((3, 8), np.float32)
    arrays[f"{prefix}k.lora_B.weight"] = np.zeros((6, 4), np.float32)
    arrays[f"{prefix}emb.lora_embedding_A"] = np.zeros((3, 20), np.int64)
    path.write_bytes(b"".join(map(bytes, safetensors_parts(arrays, {}))))
    with pytest.raises(jsonnx.CompileError) as raised:
        jsonnx.compile(write_spec(folder, "lora"), weights=str(path.parent))
    messages = [diagnostic.message for diagnostic in raised.value.diagnostics]
    assert {diagnostic.code for diagnostic in raised.value.diagnostics} == {"weights-mismatch"}
    assert messages[0].startswith("the network has nothing for the array 'other.lora_A.weight'")
    assert "it has no array 'q.lora_A.weight'" in messages
    assert any("'k.lora_B.weight' has shape [6, 4], the network wants [6, 3]" in message for message in messages)
    assert any("'emb.lora_embedding_A' has int64 elements" in message for message in messages)


@pytest.mark.parametrize(
    ("lora", "part"),
    [({"alpha": 3}, "has alpha / rank = 2, the spec 1"), ({"use_dora": True}, "`use_dora` is false")],
)
def test_other_settings_in_the_spec_are_errors(folder: Path, lora: dict[str, Any], part: str) -> None:
    with pytest.raises(jsonnx.CompileError) as raised:
        jsonnx.compile(write_spec(folder, "lora", **lora), weights=str(folder / "lora" / "trained"))
    assert any(part in diagnostic.message for diagnostic in raised.value.diagnostics)


def test_numbers_that_are_not_finite_are_errors(folder: Path) -> None:
    path = folder / "lora" / "trained" / "adapter_model.safetensors"
    with path.open("rb") as file:
        arrays = {name: array.copy() for name, array in SafetensorsFile(file).arrays().items()}
    arrays["base_model.model.q.lora_A.weight"][0, 0] = np.nan
    path.write_bytes(b"".join(map(bytes, safetensors_parts(arrays, {}))))
    with pytest.raises(jsonnx.CompileError, match="nan"):
        jsonnx.compile(write_spec(folder, "lora"), weights=str(path.parent))


@pytest.mark.parametrize(
    ("name", "code"), [("../outside", "unsafe-path"), ("missing", "unreadable-file"), ("lora", "unreadable-file")]
)
def test_a_folder_that_the_spec_names_lies_beneath_the_spec(folder: Path, name: str, code: str) -> None:
    with pytest.raises((jsonnx.CompileError, jsonnx.UsageError)) as raised:
        jsonnx.Trainer(write_spec(folder, "lora", adapter=name))
    diagnostics = getattr(raised.value, "diagnostics", None) or [raised.value.diagnostic]
    assert [diagnostic.code for diagnostic in diagnostics] == [code]


def test_a_damaged_file_is_an_error(folder: Path) -> None:
    path = folder / "lora" / "trained"
    (path / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(jsonnx.CompileError) as raised:
        jsonnx.compile(write_spec(folder, "lora"), weights=str(path))
    assert raised.value.diagnostics[0].code == "damaged-file"
    (path / "adapter_config.json").write_text("[" * 40)
    with pytest.raises(jsonnx.CompileError) as raised:
        jsonnx.compile(write_spec(folder, "lora"), weights=str(path))
    assert raised.value.diagnostics[0].code in ("too-deep", "invalid-json")
