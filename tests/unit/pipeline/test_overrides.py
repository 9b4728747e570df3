"""Overriding parameters and scales on the command line and in Python, and vocabulary files in blocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx as library
import numpy as np
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [2]}},
    "parameters": {"width": 4, "depth": 2},
    "scales": {"large": {"width": 16}, "none": {"depth": 0}},
    "blocks": {
        "wide": {"parameters": {"units": 2}, "layers": [{"type": "Dense", "units": "${units}"}, {"type": "ReLU"}]}
    },
    "layers": [{"type": "wide", "name": "w", "units": "${width}", "repeat": "${depth}"}, {"type": "Dense", "units": 1}],
    "training": {
        "data": {"train": "train.npz"},
        "loss": "mse",
        "optimizer": "sgd",
        "epochs": "${depth}",
        "batch_size": 4,
    },
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC, indent=1))
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
    np.savez(tmp_path / "train.npz", x=x, dense=x.sum(axis=1, keepdims=True))
    return tmp_path


def total(*options: str) -> int:
    return int(json.loads(jsonnx("summary", "spec.json", "--format", "json", *options).stdout)["totals"]["parameters"])


def test_summary_applies_scales_and_parameters(here: Path) -> None:
    assert total() == (2 * 4 + 4) + (4 * 4 + 4) + 5
    assert total("--scale", "large") == (2 * 16 + 16) + (16 * 16 + 16) + 17
    assert total("--scale", "large", "--set", "depth=1") == 48 + 17
    assert total("--set", "width=1", "--set", "layers.1.units=3") == 3 + 2 + 6
    summary = json.loads(jsonnx("summary", "spec.json", "--format", "json", "--depth", "0").stdout)
    assert [use["name"] for use in summary["blocks"]] == ["w_1", "w_2"]
    assert [row["name"] for row in summary["layers"]] == ["dense"]


@pytest.mark.parametrize(
    ("command", "options", "status", "message"),
    [
        ("validate", ["--scale", "larg"], 2, "the spec has no scale 'larg'"),
        ("validate", ["--set", "widht=3"], 2, "there is no parameter 'widht'"),
        ("validate", ["--set", "epochs=3"], 2, "did you mean 'training.epochs'?"),
        ("validate", ["--set", "batchsize=3"], 2, "did you mean 'training.batch_size'?"),
        ("validate", ["--set", "learning_rate=3"], 2, "did you mean 'training.optimizer.learning_rate'?"),
        ("validate", ["--set", "start_from_epoch=3"], 2, "did you mean 'training.early_stopping.start_from_epoch'?"),
        ("validate", ["--set", "width=-3"], 1, "changed by --set width=-3"),
        ("validate", ["--scale", "none"], 1, "'epochs' must be at least 1, got 0"),
        ("summary", ["--scale", "larg"], 2, "did you mean 'large'?"),
        ("summary", ["--depth", "-1"], 2, "-1 is not in the range"),
        ("compile", ["-o", "m.onnx", "--scale", "small"], 2, "known names: large, none"),
    ],
)
def test_invalid_overrides_are_reported(
    here: Path, command: str, options: list[str], status: int, message: str
) -> None:
    result = jsonnx(command, "spec.json", *options, status=status)
    assert message in result.stderr + result.stdout


def test_a_run_resumes_only_with_the_scale_it_was_trained_with(here: Path) -> None:
    jsonnx("train", "spec.json", "-o", "run", "--scale", "large", "--quiet")
    saved_spec = json.loads((here / "run/spec.json").read_text())
    assert saved_spec["parameters"] == {"width": 16, "depth": 2}
    assert saved_spec["blocks"] == SPEC["blocks"]
    jsonnx("train", "spec.json", "-o", "run", "--resume", "--scale", "large", "--set", "training.epochs=3", "--quiet")
    jsonnx("train", "spec.json", "-o", "run", "--resume", "--quiet", "--set", "training.epochs=4", status=1)


def test_compile_trainer_and_validate_apply_a_scale(here: Path) -> None:
    model = library.compile(here / "spec.json", scale="large")
    assert model.weights["w_1_dense/kernel"].shape == (2, 16)
    assert library.Trainer(here / "spec.json", scale="large").weights().keys() == model.weights.keys()
    assert library.validate(here / "spec.json", scale="large") == []
    jsonnx("compile", "spec.json", "-o", "m.onnx", "--scale", "large")
    assert (here / "m.onnx").read_bytes() == model.to_bytes()


def test_compile_and_trainer_apply_changes(here: Path) -> None:
    changed = library.compile(here / "spec.json", changes=["width=16"])
    assert changed.weights["w_1_dense/kernel"].shape == (2, 16)
    trainer = library.Trainer(here / "spec.json", changes=["width=16"])
    assert trainer.weights()["w_1_dense/kernel"].shape == (2, 16)


def lookups(**words: str) -> dict[str, Any]:
    look = {"type": "StringLookup", "vocabulary": "${file}"}
    layers = [look, {"type": "Embedding", "input_dim": 9, "output_dim": 2}]
    uses = [{"type": "look", "name": name, "from": "t", "file": file} for name, file in words.items()]
    return {
        "inputs": {"t": {"shape": [], "dtype": "string"}},
        "parameters": {"words": "words.txt"},
        "blocks": {"look": {"parameters": {"file": "words.txt"}, "layers": layers}},
        "layers": [*uses, {"type": "Concatenate", "from": list(words)}],
    }


def test_the_spec_in_a_model_has_tokens_in_place_of_vocabulary_files(here: Path) -> None:
    (here / "words.txt").write_text("a\n${b}\n")
    (here / "more.txt").write_text("c\n")
    (here / "look.json").write_text(json.dumps(lookups(one="${words}", two="more.txt")))
    model = library.compile(here / "look.json")
    embedded_spec = json.loads(next(p.value for p in model.proto.metadata_props if p.key == "jsonnx.spec"))
    assert embedded_spec["parameters"]["words"] == ["a", "$${b}"]
    assert [entry.get("file") for entry in embedded_spec["layers"]] == ["${words}", ["c"], None]
    assert library.compile(embedded_spec).to_bytes() == model.to_bytes()


def test_a_vocabulary_name_that_resolves_to_several_files_is_refused(here: Path) -> None:
    (here / "words.txt").write_text("a\n")
    (here / "more.txt").write_text("c\n")
    spec = lookups(one="words", two="more")
    spec["blocks"]["look"]["layers"][0]["vocabulary"] = "${file}.txt"
    del spec["parameters"]
    (here / "look.json").write_text(json.dumps(spec))
    error, _ = library.validate(here / "look.json")
    assert (error.code, error.path) == ("unsupported-argument", "$.blocks.look.layers[0].vocabulary")


def test_a_missing_vocabulary_is_reported_where_its_name_stands(here: Path) -> None:
    (here / "words.txt").write_text("a\n")
    (here / "look.json").write_text(json.dumps(lookups(one="${words}", two="none.txt")))
    error, _ = library.validate(here / "look.json")
    assert error.path == "$.layers[1].file"


def test_expressions_of_the_training_section_have_source_locations(here: Path) -> None:
    locate = plan_training(check_spec(here / "spec.json")).source.locate
    assert locate is not None
    assert locate(("training", "epochs"), False)


def test_the_spec_in_a_model_compiles_to_the_same_bytes_for_any_order_of_keys() -> None:
    spec = {"layers": [{"units": 3, "type": "Dense", "name": "d"}], "inputs": {"x": {"shape": [2]}}, "name": "odd"}
    model = library.compile(spec)
    text = next(entry.value for entry in model.proto.metadata_props if entry.key == "jsonnx.spec")
    assert list(json.loads(text)) == ["name", "inputs", "layers"]
    assert library.compile(text).to_bytes() == model.to_bytes()
