"""`validate` checks the paths of data files and, on request, the data; warnings about data that train badly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.validate.validate import ValidationOptions, validate_spec

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def spec(
    *layers: dict[str, Any], x: int = 2, labels: list[str] | None = None, data: Any = None, **training: Any
) -> str:
    """Writes a spec with one input, and returns its path."""
    document = {
        "inputs": {"x": {"shape": [x]}},
        "layers": list(layers) or [{"type": "Dense", "name": "y", "units": 1}],
        **({"labels": labels} if labels else {}),
        "training": {"loss": "mse", "data": {"train": "train.csv", "x": ["a", "b"]} | (data or {}), **training},
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


CLASSIFIER = {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"}
CLASS_LOSS = {"loss": "sparse_categorical_crossentropy"}


def rows(*targets: object, file: str = "train.csv") -> None:
    Path(file).write_text("a,b,y\n" + "".join(f"{index},{-index},{target}\n" for index, target in enumerate(targets)))


def found(path: str = "spec.json", **options: Any) -> list[tuple[str, str, str]]:
    return [(item.severity, item.code, item.path) for item in jsonnx.validate(path, **options)]


# -- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/etc/passwd", "unsafe-path"),
        ("../outside.csv", "unsafe-path"),
        ("up/outside.csv", "unsafe-path"),
        ("link.csv", "unsafe-path"),
        ("folder", "unreadable-file"),
        ("folder.csv", "unreadable-file"),
        ("pipe.csv", "unreadable-file"),
        ("train.xlsx", "bad-data-file"),
        ("missing.xls", "bad-data-file"),
    ],
)
def test_a_path_that_training_refuses_is_an_error(work_folder: Path, name: str, code: str) -> None:
    Path("../outside.csv").write_text("a,b,y\n1,2,3\n")
    Path("up").symlink_to("..")
    Path("link.csv").symlink_to("../outside.csv")
    Path("folder").mkdir()
    Path("folder.csv").mkdir()
    Path("train.xlsx").write_text("a,b,y\n1,2,3\n")
    os.mkfifo("pipe.csv")
    path = spec(data={"train": name})
    assert found() == found(data=True) == [("error", code, "$.training.data.train")]
    with pytest.raises((jsonnx.CompileError, jsonnx.UsageError)):
        jsonnx.Trainer(path).fit()


def test_no_data_file_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    rows(1, 2)
    path = spec(data={"validation": "missing.csv"}, weights="none.npz")
    opened = []
    monkeypatch.setattr(os, "open", lambda *arguments, **options: opened.append(arguments[0]))
    jsonnx.validate(Path(path).read_text())
    assert opened == []


def test_a_missing_file_is_a_warning_and_with_data_an_error() -> None:
    spec(data={"test": "data/test.csv"}, weights="body.npz")
    rows(1, 2, file="trian.csv")
    places = ["$.training.data.train", "$.training.data.test", "$.training.weights"]
    assert found() == [("warning", "unreadable-file", place) for place in places]
    assert found(data=True) == [("error", "unreadable-file", place) for place in places]
    train, test, _ = jsonnx.validate("spec.json")
    assert train.help == (
        "it is not in the current folder; did you mean 'trian.csv'? `--data-root FOLDER` allows another folder, "
        "`--data FILE` takes a file in its place"
    )
    assert test.help == (
        "there is no folder 'data'; `train --set training.data.test=null` does without it, "
        "`evaluate --data FILE` takes another file"
    )


@pytest.mark.parametrize(
    ("weights", "code"),
    [("../w.npz", "unsafe-path"), ("w.onnx", "damaged-file"), ("folder.npz", "unreadable-file")],
)
@pytest.mark.parametrize("is_section", [True, False])
def test_the_path_of_weights_is_checked(weights: str, code: str, is_section: bool) -> None:
    rows(1, 2)
    Path("folder.npz").mkdir()
    spec(weights={"file": weights} if is_section else weights)
    place = "$.training.weights.file" if is_section else "$.training.weights"
    assert found() == [("error", code, place)]


@pytest.mark.parametrize("weights", ["runs/v1", "runs/v1.2", "w.npz"])
def test_weights_that_do_not_exist_are_a_warning(weights: str) -> None:
    rows(1, 2)
    spec(weights=weights)
    assert found() == [("warning", "unreadable-file", "$.training.weights")]


def test_weights_of_a_run_folder_are_accepted() -> None:
    rows(1, 2)
    Path("runs/v1").mkdir(parents=True)
    Path("runs/v1/weights.safetensors").touch()
    spec(weights="runs/v1")
    assert found() == []


def test_paths_are_checked_in_a_spec_with_other_errors() -> None:
    path = spec({"type": "Dens", "name": "y", "units": 1}, data={"train": "/etc/passwd"})
    assert {code for _, code, _ in found(path, data=True)} == {"unknown-type", "unsafe-path", "not-checked"}


# -- further folders ---------------------------------------------------------------------------------------------------


def test_data_roots_allow_absolute_and_relative_paths(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    Path("../link").symlink_to(root)
    for name in ("a.csv", "b.csv"):
        rows(1, 2, 3, file=str(root / name))
    rows(1, 2, 3, file="b.csv")
    for name in (str(root / "a.csv"), "a.csv", "../data/a.csv", str(tmp_path / "link" / "a.csv")):
        path = spec(data={"train": name})
        roots = ["../link" if "link" in name else root]
        assert found(path, data_roots=roots, data=True) == []
        assert len(jsonnx.Trainer(path, data_roots=roots).fit(epochs=1).epoch) == 1
        assert found(path)[0][1] == ("unreadable-file" if name == "a.csv" else "unsafe-path")
    spec(data={"train": "b.csv"})
    Path("b.csv").write_text("a,b,y\nx,1,2\n")
    assert found(data=True, data_roots=[root]) == [("error", "bad-value", "$")]  # the spec's folder comes first


@pytest.mark.parametrize("name", ["../data/../b.csv", "/etc/passwd", "out.csv"])
def test_nothing_else_is_allowed_by_data_roots(tmp_path: Path, name: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    rows(1, 2, file=str(root / "a.csv"))
    (root / "out.csv").symlink_to("/etc/passwd")
    path = spec(data={"train": name})
    assert found(path, data_roots=[root], data=True) == [("error", "unsafe-path", "$.training.data.train")]


def test_a_missing_file_names_all_folders(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spec()
    (warning,) = jsonnx.validate("spec.json", data_roots=[tmp_path / "data"])
    assert f"not in the current folder, nor in the folder '{tmp_path / 'data'}'" in str(warning.help)


# -- the data ----------------------------------------------------------------------------------------------------------


def test_all_files_of_a_spec_are_checked() -> None:
    rows("x", 2)
    rows(1, "", file="validation.csv")
    Path("test.csv").write_text("a,c,y\n1,2,3\n")
    spec(data={"validation": "validation.csv", "test": "test.csv"})
    diagnostics = jsonnx.validate("spec.json", data=True)
    assert [(item.file, item.code, item.line, item.column) for item in diagnostics] == [
        ("train.csv", "bad-value", 2, 5),
        ("validation.csv", "bad-value", 3, 6),
        ("test.csv", "missing-column", 1, None),
    ]
    (note,) = diagnostics[2].notes
    assert (note.file, note.path, note.line) == ("spec.json", "$.training.data.x", 1)


def test_a_file_is_checked_in_place_of_the_specs() -> None:
    spec()
    rows(1, 2, file="other.csv")
    assert found(data="other.csv") == []
    assert found(data="none.csv") == [("error", "unreadable-file", "$")]
    assert jsonnx.validate("spec.json", data="othr.csv")[0].help == (
        "it is not in the current folder; did you mean 'other.csv'?")  # fmt: skip
    assert found(data=".") == []
    Path("empty").mkdir()
    (folder,) = jsonnx.validate("spec.json", data="empty")
    assert (folder.message, folder.help) == (
        "cannot read 'empty': it is a folder without files that end in .png, .jpg, .jpeg, .webp or .wav",
        "name the files, or a pattern of their names such as 'folder/*.csv'; a folder itself is one of images, "
        "recordings or texts",
    )
    document = json.loads(Path("spec.json").read_text())
    del document["training"]["data"]
    assert found(document, data=True) == [("error", "no-data", "$")]
    Path("other.csv").write_text("x,y\n1,2\n")
    (error,) = jsonnx.validate(document, data="other.csv")
    assert (error.code, error.message) == (
        "data-shape", "input 'x' has shape [samples], the network wants float32[batch, 2]")  # fmt: skip


def test_a_spec_without_training_has_only_inputs() -> None:
    document = {"inputs": {"x": {"shape": []}}, "layers": [{"type": "Rescaling", "scale": 2}]}
    Path("d.csv").write_text("x\n1\nz\n")
    assert found(document, data="d.csv") == [("error", "bad-value", "$")]
    assert found(document, data=True) == [("error", "no-data", "$")]


def test_ranges_are_checked_without_training() -> None:
    document = {
        "inputs": {"word": {"shape": [], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "input_dim": 5, "output_dim": 2},
            {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
        ],
        "training": CLASS_LOSS | {"data": {"train": "d.csv"}},
    }
    Path("d.csv").write_text("word,y\n1,2\n5,3\n")
    assert [code for _, code, _ in found(document, data=True)] == ["index-out-of-range", "label-out-of-range"]


@pytest.mark.parametrize("behind", [[], [{"type": "Reshape", "target_shape": [1, 1]}]])
def test_the_range_of_indices_and_tokens_behind_layers_is_known(behind: list[dict[str, Any]]) -> None:
    output = [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}]
    embedding = [{"type": "Embedding", "input_dim": 5, "output_dim": 2}]
    lookup = [{"type": "IntegerLookup", "vocabulary": [1, 3], "num_oov_indices": 0, "output_mode": "one_hot"}]
    document: dict[str, Any] = {
        "inputs": {"word": {"shape": [1], "dtype": "int64"}},
        "training": {"loss": "mse", "data": {"train": "d.csv"}},
    }
    Path("d.csv").write_text("word,y\n1,2\n5,3\n3,1\n")
    (index,) = jsonnx.validate(document | {"layers": [*behind, *embedding, *output]}, data=True)
    (token,) = jsonnx.validate(document | {"layers": [*behind, *lookup, *output]}, data=True)
    assert (index.code, index.line, token.code, token.line) == ("index-out-of-range", 3, "unknown-token", 3)


def test_a_string_that_its_lookup_rejects_is_reported() -> None:
    lookup = {"type": "StringLookup", "vocabulary": ["f", "m"], "num_oov_indices": 0, "mask_token": ""}
    document: dict[str, Any] = {
        "inputs": {"sex": {"shape": [], "dtype": "string"}},
        "layers": [lookup | {"output_mode": "one_hot"}, {"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "data": {"train": "d.csv"}},
    }
    Path("d.csv").write_text("sex,y\nf,1\n,0\nx,1\nz,2\n")
    (error,) = jsonnx.validate(document, data=True)
    assert error.message == (
        "row at line 4, column 'sex': input 'sex' is 'x', which is not in the vocabulary of its lookup, "
        "and 1 more like it in line 5"
    )
    with pytest.raises(jsonnx.CompileError, match="unknown-token"):
        jsonnx.Trainer(document).fit()


def test_samples_and_classes_are_counted() -> None:
    spec(CLASSIFIER, labels=["x", "y", "z"], data={"validation_split": 0.25}, **CLASS_LOSS)
    rows("x", "z", "x", "z", "x", "z", "x", "z")
    validation = validate_spec("spec.json", ValidationOptions(data=True))
    assert validation.diagnostics == []
    assert validation.sample_counts == {"train": 6, "validation": 2}
    assert validation.class_counts == {"y": {"train": {0: 3, 2: 3}, "validation": {0: 1, 2: 1}}}


def test_classes_of_binary_and_one_hot_targets_are_counted() -> None:
    spec({"type": "Dense", "name": "y", "units": 1, "activation": "sigmoid"}, loss="binary_crossentropy")
    rows(0, 1, 1)
    assert validate_spec("spec.json", ValidationOptions(data=True)).class_counts == {"y": {"train": {0: 1, 1: 2}}}
    spec(CLASSIFIER, loss="categorical_crossentropy", data={"train": "d.npz", "x": "x"})
    np.savez("d.npz", x=np.zeros((4, 2)), y=np.eye(3)[[0, 2, 2, 1]])
    assert validate_spec("spec.json", ValidationOptions(data=True)).class_counts == {"y": {"train": {0: 1, 1: 1, 2: 2}}}


def test_an_empty_part_of_a_split_is_reported_in_the_spec() -> None:
    spec(data={"validation_split": 0.9})
    rows(1, 2)
    assert found(data=True) == [("error", "empty-data", "$.training.data.validation_split")]


# -- warnings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", [[0, 0, 0, 0, 1, 1, 1, 1], [2, 2, 2, 1, 1, 1, 1, 0]])
def test_data_in_order_of_class_are_reported(targets: list[int]) -> None:
    spec(CLASSIFIER, data={"validation_split": 0.25}, **CLASS_LOSS)
    rows(*targets)
    assert found(data=True) == [("warning", "validation-classes", "$.training.data.validation_split")]
    rows(*range(3), *targets, 1, 0, 2)
    assert found(data=True) == []


def test_a_validation_file_of_other_classes_is_reported() -> None:
    spec(CLASSIFIER, labels=["x", "y", "z"], data={"validation": "validation.csv"}, **CLASS_LOSS)
    rows(0, 1, 0, 1)
    rows(2, 1, 0, file="validation.csv")
    (warning,) = jsonnx.validate("spec.json", data=True)
    assert warning.message == "validation data have classes of 'y' that the training data lack: 'z'"
    rows(0, 1, 0, 1, 0, 1, 0, 1, 2, file="validation.csv")  # a rare class
    assert found(data=True) == []


def test_a_single_class_is_reported() -> None:
    spec(CLASSIFIER, **CLASS_LOSS)
    rows(1, 1, 1)
    assert found(data=True) == [("warning", "single-class", "$.training.data.train")]
    rows(1)
    assert found(data=True) == []


PRICES = (100_000, 200_000, 300_000, 410_000)


def test_a_target_far_from_the_initial_output_is_reported_and_the_help_works() -> None:
    spec({"type": "Dense", "units": 8}, {"type": "Dense", "name": "y", "units": 1}, epochs=50)
    rows(*PRICES)
    (warning,) = jsonnx.validate("spec.json", data=True)
    assert (warning.code, warning.path) == ("target-scale", "$.layers[1]")
    entry = str(warning.help).partition("{")[2].partition("}")[0]
    rescaling = json.loads(f"{{{entry}}}")
    assert rescaling == {"type": "Rescaling", "name": "y", "scale": 1.15e5, "offset": 2.52e5}
    spec({"type": "Dense", "units": 8}, {"type": "Dense", "units": 1}, rescaling, epochs=200)
    assert found(data=True) == []
    history = jsonnx.Trainer("spec.json").fit().history["loss"]
    assert history[-1] < history[0] / 2


@pytest.mark.parametrize(
    ("layer", "training", "targets"),
    [
        ({}, {}, (0.1, 2, -3)),
        ({}, {"optimizer": "sgd"}, PRICES),
        ({}, {"optimizer": {"type": "adam", "learning_rate": 0.1}, "epochs": 1000}, (20, 150, 250)),
        ({"bias_initializer": {"type": "constant", "value": 150}}, {}, (149, 151)),
        ({"activation": "exponential"}, {}, PRICES),
        ({"activation": "sigmoid"}, {}, (0, 1.1)),
    ],
)
def test_a_target_that_is_reached_is_not_reported(layer: Any, training: Any, targets: Any) -> None:
    spec({"type": "Dense", "name": "y", "units": 1, **layer}, **training)
    rows(*targets)
    assert found(data=True) == []


@pytest.mark.parametrize(("activation", "low"), [("sigmoid", 0), ("tanh", -1)])
def test_a_target_beyond_a_bounded_output_is_reported(activation: str, low: int) -> None:
    spec({"type": "Dense", "name": "y", "units": 1, "activation": activation})
    rows(0, 100, 255)
    (warning,) = jsonnx.validate("spec.json", data=True)
    assert f"goes from 0 to 255, but a {activation} output lies between {low} and 1" in warning.message


def test_the_samples_have_no_warnings() -> None:
    """The data of those with small files: reading all takes seconds."""
    for sample in sorted(SAMPLES.glob("*.json")):
        assert jsonnx.validate(sample) == []
    for name in ("diabetes", "penguins", "vowels_lstm", "digits_transfer"):
        assert jsonnx.validate(SAMPLES / f"{name}.json", data=True) == []


# -- arguments of fit, and texts in place of numbers -------------------------------------------------------------------

REGRESSION: dict[str, Any] = {
    "inputs": {"x": {"shape": [1]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse"},
}


def test_numbers_in_quotes_are_located_and_named() -> None:
    Path("quoted.json").write_text('[{"x": "0", "y": 1},\n {"x": "2", "y": 0}]')
    (error,) = jsonnx.validate(REGRESSION, data="quoted.json")
    assert (error.line, error.help) == (1, "the texts are numbers: write them without quotes")
    assert "row 1, column 'x'" in error.message


def test_all_inputs_are_needed() -> None:
    inputs = {"left": {"shape": [1]}, "right": {"shape": [1]}}
    layers = [{"type": "Add", "from": ["left", "right"]}, {"type": "Dense", "units": 1}]
    trainer = jsonnx.Trainer({**REGRESSION, "inputs": inputs, "layers": layers})
    with pytest.raises(jsonnx.FeedError, match="give a dict with 'left' and 'right'"):
        trainer.fit(np.zeros((2, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize("split", [1.5, 1.0, -0.1, "half"])
def test_an_invalid_validation_split_is_named(split: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="validation_split must be"):
        jsonnx.Trainer(REGRESSION).fit(np.zeros((4, 1)), np.zeros((4, 1)), validation_split=split)


def test_a_batch_size_in_the_shape_of_an_input_is_named() -> None:
    layers = [{"type": "Conv2D", "filters": 4, "kernel_size": 3}]
    (error,) = jsonnx.validate({"inputs": {"x": {"shape": [32, 28, 28, 1]}}, "layers": layers})
    assert str(error.help).startswith("shapes leave out the batch axis: if the 32 in the shape of 'x' stands for it")
    (error,) = jsonnx.validate({"inputs": {"x": {"shape": [28, 28]}}, "layers": layers})
    assert "batch axis" not in str(error.help)
