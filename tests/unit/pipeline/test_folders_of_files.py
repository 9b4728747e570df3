"""Commands on folders of images and texts: checked, trained on, evaluated and predicted."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from support.commands import jsonnx as command

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    photos("train", "dark", "light")
    return tmp_path


def photos(folder: str, *classes: str) -> None:
    """Writes two images of each class, whose names are numbers."""
    for kind in classes:
        Path(folder, kind).mkdir(parents=True)
        for number in range(2):
            color = {"dark": 20, "light": 230}.get(kind, 128) + number
            Image.new("L", (4, 4), color).save(Path(folder, kind, f"{number}.png"))


def spec(labels: list[str] | None = None, loss: str = "sparse_categorical_crossentropy", **data: Any) -> None:
    document = {
        "inputs": {"photo": {"shape": [4, 4, 1]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}],
        **({"labels": labels} if labels else {}),
        "training": {"loss": loss, "data": {"train": "train"} | data},
    }
    Path("spec.json").write_text(json.dumps(document))


def found() -> list[tuple[str, str, str]]:
    return [(item.code, item.path, item.message) for item in jsonnx.validate("spec.json", data=True)]


@pytest.mark.parametrize("labels", [None, ["light", "dark"]])
def test_a_folder_is_checked_trained_on_evaluated_and_predicted(labels: list[str] | None) -> None:
    spec(labels, test="train")
    shown = command("validate", "spec.json", "--data").stdout
    assert [line.split() for line in shown.splitlines()[1:4]] == [
        ["samples", "4", "4"], *(["kind", name, "2", "2"] for name in labels or ["dark", "light"])]  # fmt: skip
    command("validate", "--data", "train", "spec.json")
    command("train", "spec.json", "-o", "run", "--quiet")
    command("evaluate", "run")
    command("evaluate", "run", "--data", "train")
    command("predict", "run", "--data", "train", "--id", "file", "-o", "out.csv")
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["dark/0.png", "dark/1.png", "light/0.png", "light/1.png"]
    assert {row["kind"] for row in rows} <= {"dark", "light"}
    assert command("predict", "run", "--data", "train/dark").stdout.count("\n") == 3


def test_folders_of_other_parts_have_the_same_classes() -> None:
    photos("test", "dark", "medium")
    spec(test="test")
    ((code, _, message),) = found()
    assert code == "bad-value"
    assert "the target of 'kind' is 'medium', which is none of the labels" in message
    assert message in command("train", "spec.json", "-o", "run", status=1).stderr
    spec(validation="test")
    with pytest.raises(jsonnx.CompileError, match="'medium', which is none of the labels"):
        jsonnx.Trainer("spec.json").fit()


def test_a_loss_of_probabilities_takes_no_folders() -> None:
    spec(loss="categorical_crossentropy")
    (error,) = jsonnx.validate("spec.json", data=True)
    assert error.help == "for names or indices of classes the loss is sparse_categorical_crossentropy"


@pytest.mark.parametrize("path", ["../train", "/etc", "link", "train/link", "~/train"])
def test_a_folder_outside_is_refused(work_folder: Path, path: str) -> None:
    os.symlink("train", "link")
    os.symlink("dark", "train/link")
    spec(train=path)
    assert [(code, path) for code, path, _ in found()] == [("unsafe-path", "$.training.data.train")]


def test_the_help_of_a_link_in_a_folder_names_what_helps() -> None:
    spec()
    os.rename("train/dark/0.png", "other.png")
    os.symlink("../../other.png", "train/dark/0.png")
    (error,) = jsonnx.validate("spec.json", data=True, data_roots=["."])
    assert error.code == "unsafe-path"
    assert "also with --data-root" in (error.help or "")
    shutil.copytree("train", "copy")
    spec(train="copy")
    assert not jsonnx.validate("spec.json", data=True)


def test_a_folder_beneath_a_data_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    os.chdir("specs")
    for name in (str(tmp_path / "train"), "train"):
        spec(train=name)
        assert not jsonnx.validate("spec.json", data=True, data_roots=[tmp_path])
        assert jsonnx.validate("spec.json", data=True)


def test_links_that_match_a_pattern_of_the_user_are_an_error() -> None:
    spec()
    command("train", "spec.json", "-o", "run", "--quiet")
    os.symlink("/etc/passwd", "link-1.csv")
    assert "symbolic link" in command("predict", "run", "--data", "link-*", status=2).stderr
    spec(train="link-*")
    assert "also with --data-root" in command("validate", "spec.json", status=1).stderr
    assert "no file matches" in command("predict", "run", "--data", "none-*", status=2).stderr


def test_patterns_of_pictures_leave_out_what_folders_leave_out() -> None:
    spec()
    command("train", "spec.json", "-o", "run", "--quiet")
    for name in ("train/dark/Thumbs.db", "train/light/.DS_Store", "train/light/labels.csv"):
        Path(name).touch()
    whole = command("predict", "run", "--data", "train").stdout
    assert command("predict", "run", "--data", "train/*/*").stdout == whole
    assert command("predict", "run", "--data", "train/light/.*", status=1).stdout == ""
    Path("train/light/2.gif").touch()
    result = command("predict", "run", "--data", "train/*/*", status=1)
    assert "file 'light/2.gif' is in a format that is not read" in result.stderr
