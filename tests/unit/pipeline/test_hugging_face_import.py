"""`jsonnx import FOLDER` and `jsonnx.from_hugging_face`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import UsageError
from support.commands import jsonnx as command
from support.hugging_face_folders import FIXTURES, fixture, write_fixture

NAMES = sorted(file.stem for file in FIXTURES.glob("*.json"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_written_spec_takes_the_written_weights(name: str) -> None:
    write_fixture(Path("model"), name)
    status = command("import", "model", "-o", "spec.json", "--weights", "w.safetensors").stderr
    assert f"from a Hugging Face model of type {fixture(name)['config']['model_type']}" in status
    assert "1 file is fine" in command("lint", "spec.json").output
    spec, weights = jsonnx.from_hugging_face("model")
    assert json.loads(Path("spec.json").read_text()) == spec
    written = jsonnx.compile("spec.json", weights="w.safetensors").weights
    assert all(written[key].tobytes() == array.tobytes() for key, array in weights.items())


def test_equal_folders_give_equal_bytes() -> None:
    for path in ("one", "two"):
        write_fixture(Path(path), "bert")
        command("import", path, "-o", f"{path}.json", "--weights", f"{path}.safetensors")
    for suffix in ("json", "safetensors"):
        assert Path(f"one.{suffix}").read_bytes() == Path(f"two.{suffix}").read_bytes()


def test_layers_are_one_repeated_block() -> None:
    write_fixture(Path("model"), "bert")
    layers = jsonnx.from_hugging_face("model")[0]["layers"]
    (block,) = [entry for entry in layers if entry["type"] == "std.BertLayer"]
    assert (block["repeat"], block["from"]) == (2, ["embeddings", "attention_mask"])


@pytest.mark.parametrize("name", [name for name in NAMES if "training" in fixture(name) or "_" not in name])
def test_a_head_is_trained_on_the_frozen_model(name: str) -> None:
    recorded = fixture(name)
    write_fixture(Path("model"), name)
    command("import", "model", "-o", "spec.json", "--weights", "w.safetensors", "--head", "kind=5")
    spec = json.loads(Path("spec.json").read_text())
    assert spec["layers"][-1] == {"type": "Dense", "name": "kind", "units": 5, "activation": "softmax"}
    assert spec["training"]["weights"] == {"file": "w.safetensors", "layers": ["*", "!kind"]}
    inputs = {key: np.array(value) for key, value in recorded["inputs"].items()}
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].astype(np.float32).transpose(0, 2, 3, 1)
    trainer = jsonnx.Trainer("spec.json")
    before = trainer.weights()
    count = len(next(iter(inputs.values())))
    trainer.fit(inputs, 4 - np.arange(count), verbose=0)
    changed = {key for key, array in trainer.weights().items() if array.tobytes() != before[key].tobytes()}
    assert changed == {"kind/kernel", "kind/bias"}
    weights = jsonnx.from_hugging_face("model", {"kind": 5})[1]
    assert before.keys() - weights.keys() == {"kind/kernel", "kind/bias"}
    assert all(before[key].tobytes() == array.tobytes() for key, array in weights.items())


def test_weights_outside_of_the_folder_of_the_spec_are_not_named() -> None:
    write_fixture(Path("model"), "bert")
    Path("specs").mkdir()
    command("import", "model", "-o", "specs/spec.json", "--weights", "w.safetensors", "--head", "kind=5")
    assert "weights" not in json.loads(Path("specs/spec.json").read_text())["training"]


@pytest.mark.parametrize("arguments", [["--flat"], ["w.h5"], ["--head", "kind"], ["--head", "kind=1"]])
def test_options_that_do_not_fit_are_errors(arguments: list[str]) -> None:
    write_fixture(Path("model"), "bert")
    assert "bad-option" in command("import", "model", *arguments, status=2).stderr


def test_an_existing_file_is_not_taken_for_a_folder() -> None:
    with pytest.raises(UsageError, match=r"config\.json"):
        jsonnx.from_hugging_face("absent")
    write_fixture(Path("model"), "bert")
    with pytest.raises(UsageError, match=r"config\.json"):
        jsonnx.from_hugging_face("model/config.json")


def test_the_file_of_a_configuration_leads_to_its_folder() -> None:
    write_fixture(Path("model"), "bert")
    assert "give the folder that it lies in" in command("import", "model/config.json", status=1).stderr


def test_an_error_is_shown_with_its_line() -> None:
    write_fixture(Path("model"), "bert", hidden_act="quick_gelu")
    message = command("import", "model", status=1).stderr
    assert "error[unsupported-model]: 'hidden_act' is 'quick_gelu'" in message
    assert "model/config.json:" in message.replace("\\", "/")
