"""`jsonnx import FOLDER` and `jsonnx.from_hugging_face`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from support.commands import jsonnx as command
from support.hugging_face_folders import FIXTURES, fixture, random_tensors, write_fixture, write_folder
from support.small_tokenizers import word_piece

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


@pytest.mark.parametrize(
    ("id2label", "labels"),
    [
        ({"1": "sad", "0": "glad", "2": "angry"}, ["glad", "sad", "angry"]),
        ({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, None),
        ({"0": "same", "1": "same", "2": "other"}, None),
    ],
)
def test_classes_have_the_names_of_the_configuration(id2label: dict[str, str], labels: list[str] | None) -> None:
    name = next(name for name in NAMES if fixture(name)["outputs"].keys() == {"classifier"} and "bert" in name)
    write_fixture(Path("model"), name)
    config = json.loads(Path("model/config.json").read_text())
    Path("model/config.json").write_text(json.dumps({**config, "id2label": id2label}))
    spec, weights = jsonnx.from_hugging_face("model")
    assert spec.get("labels") == labels
    jsonnx.compile(spec, weights=weights)
    assert "labels" not in jsonnx.from_hugging_face("model", head={"kind": 5})[0]


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


@pytest.mark.parametrize(
    ("arguments", "is_warned"),
    [([], True), (["--weights", "w.safetensors"], False), (["--weights", "../w.safetensors"], True)],
)
def test_a_head_on_weights_that_the_spec_does_not_name_is_a_warning(
    arguments: list[str], is_warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fixture(Path("below/model"), "bert")
    monkeypatch.chdir("below")
    result = command("import", "model", "-o", "spec.json", "--head", "kind=5", *arguments)
    assert ("frozen-random-weights" in result.stderr) == is_warned


@pytest.mark.parametrize("head", ["my kind=5", "last_hidden_state=5", "input_ids=5"])
def test_a_head_has_a_new_name(head: str) -> None:
    write_fixture(Path("model"), "bert")
    assert "bad-option" in command("import", "model", "--head", head, status=2).stderr


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ({}, "one name"),
        ({"kind": 2, "topic": 3}, "one name"),
        ({5: 2}, "not a valid name"),
        ({"kind": "two"}, "at least 2 classes"),
    ],
)
def test_a_model_has_one_new_head(head: Any, text: str) -> None:
    write_fixture(Path("model"), "bert")
    with pytest.raises(UsageError, match=text):
        jsonnx.from_hugging_face("model", head)


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"max_seq_length": 8, "do_lower_case": True}, "unsupported-model"),
        ({"max_seq_length": 0}, "out-of-range"),
        ({"max_seq_length": "8"}, "wrong-type"),
    ],
)
def test_options_of_texts_that_do_not_fit_are_errors(config: dict[str, Any], code: str) -> None:
    write_fixture(Path("model"), "bert")
    word_piece().save("model/tokenizer.json")
    Path("model/sentence_bert_config.json").write_text(json.dumps(config))
    with pytest.raises(CompileError) as caught:
        jsonnx.from_hugging_face("model", text="review")
    assert [error.code for error in caught.value.diagnostics] == [code]


def test_a_malformed_tokenizer_is_an_error() -> None:
    write_fixture(Path("model"), "bert")
    Path("model/tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="is no tokenizer"):
        jsonnx.from_hugging_face("model", text="review")


@pytest.mark.parametrize("output", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("option", ["-o", "--weights"])
def test_files_of_the_folder_are_not_overwritten(option: str, output: str) -> None:
    write_fixture(Path("model"), "bert")
    path = Path("model", output)
    path.write_bytes(data := path.read_bytes() if path.exists() else b"{}")
    assert "is-an-input" in command("import", "model", option, str(path), status=2).stderr
    assert path.read_bytes() == data


def test_spec_and_weights_are_two_files() -> None:
    write_fixture(Path("model"), "bert")
    assert "choose two" in command("import", "model", "-o", "same", "--weights", "./same", status=2).stderr


@pytest.mark.parametrize(("name", "positions", "length"), [("bert", 20, 20), ("roberta", 40, 38)])
def test_a_tokenizer_has_the_length_that_the_positions_allow(name: str, positions: int, length: int) -> None:
    recorded = fixture(name)
    config = {**recorded["config"], "max_position_embeddings": positions}
    prefix = "embeddings.position_embeddings.weight"
    shapes = {
        key: [positions, shape[1]] if key.endswith(prefix) else shape for key, shape in recorded["tensors"].items()
    }
    write_folder(Path("model"), config, random_tensors(shapes))
    word_piece().save("model/tokenizer.json")
    assert jsonnx.from_hugging_face("model", text="review")[0]["layers"][0]["max_length"] == length


@pytest.mark.parametrize("text", ["", "my text", "last_hidden_state", "input_ids"])
def test_a_text_has_a_new_name(text: str) -> None:
    write_fixture(Path("model"), "bert")
    word_piece().save("model/tokenizer.json")
    assert "bad-option" in command("import", "model", "--text", text, status=2).stderr


def test_a_tokenizer_that_is_a_link_is_an_error() -> None:
    write_fixture(Path("model"), "bert")
    word_piece().save("real_tokenizer.json")
    Path("model/tokenizer.json").symlink_to("../real_tokenizer.json")
    assert "cp -RL" in command("import", "model", "--text", "review", status=2).stderr


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
