"""Options about data: `validate --data`, and files and folders in place of those that the spec names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "name": "kinds",
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}],
    "labels": ["no", "yes"],
    "training": {
        "data": {"train": "train.csv", "x": ["a", "b"]},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    },
}


def table(path: str, *kinds: str, offset: int = 0) -> None:
    rows = "".join(f"{row + offset},{-row},{kind}\n" for row, kind in enumerate(kinds))
    Path(path).write_text("a,b,kind\n" + rows)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("spec.json").write_text(json.dumps(SPEC, indent=2))
    table("train.csv", "yes", "no", "yes", "no")
    table("bad.csv", "yes", "no", "maybe")
    return folder


def change_spec(**data: Any) -> None:
    training = SPEC["training"] | {"data": SPEC["training"]["data"] | data}
    Path("spec.json").write_text(json.dumps(SPEC | {"training": training}))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "spec.json"],
        ["spec.json", "--data"],
        ["--data", "--format", "text", "spec.json"],
        ["--data", "--", "spec.json"],
    ],
)
def test_data_alone_checks_the_data_of_the_spec(arguments: list[str]) -> None:
    assert jsonnx("validate", *arguments).stdout == (
        "          train\nsamples       4\nkind no       2\nkind yes      2\n1 file is fine\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "bad.csv", "spec.json"],
        ["--data=bad.csv", "spec.json"],
        ["spec.json", "--data", "bad.csv"],
        ["spec.json", "--data", "BAD.CSV"],
    ],
)
def test_data_with_a_file_checks_that_file(arguments: list[str]) -> None:
    Path("BAD.CSV").write_text(Path("bad.csv").read_text())
    result = jsonnx("validate", *arguments, status=1)
    assert "the target of 'kind' is 'maybe', which is none of the labels" in result.stderr
    assert arguments[-1 if "BAD" in arguments[-1] else 0].removeprefix("--data=").split(".")[-1]
    assert result.stdout == ""


def test_a_value_after_an_equals_sign_is_a_file_whatever_its_suffix() -> None:
    errors = jsonnx("validate", "--data=spec.json", "spec.json", status=1).stderr
    assert "error[bad-data-file]: 'name' is \"kinds\", not a list" in errors
    assert "error[bad-option]: --data= has no value" in jsonnx("validate", "--data=", "spec.json", status=2).stderr
    assert jsonnx("validate", "--data", status=2).stderr  # the spec is missing


def test_the_table_of_classes_counts_columns_of_the_terminal() -> None:
    Path("spec.json").write_text(json.dumps(SPEC | {"labels": ["no", "\u732b"]}))  # a character of two columns
    table("train.csv", "\u732b", "no")
    lines = jsonnx("validate", "spec.json", "--data").stdout.splitlines()
    assert lines[2:4] == ["kind no      1", "kind \u732b      1"]


def test_errors_of_a_data_file_are_told_once_for_all_specs() -> None:
    shutil.copy("spec.json", "copy.json")
    errors = jsonnx("validate", "spec.json", "copy.json", "--data", "missing.csv", status=2).stderr
    assert errors.count("error[unreadable-file]") == 1
    assert errors.endswith("\n\n1 error\n")
    errors = jsonnx("validate", "spec.json", "copy.json", "--data", "bad.csv", status=1).stderr
    assert errors.count("error[bad-value]") == 1
    assert errors.endswith("\n\n1 error in 1 of 3 files\n")


@pytest.mark.parametrize("format_", ["text", "json", "github", "sarif", "junit"])
def test_errors_of_data_are_diagnostics_in_every_format(format_: str) -> None:
    result = jsonnx("validate", "--data", "bad.csv", "spec.json", "--format", format_, status=1)
    text = result.stderr if format_ == "text" else result.stdout
    assert "bad-value" in text
    assert "bad.csv" in text
    if format_ == "json":
        (error,) = json.loads(text)
        assert (error["file"], error["line"], error["column"]) == ("bad.csv", 4, 6)


def test_missing_data_are_a_warning_and_an_error_with_data() -> None:
    change_spec(train="none.csv")
    assert "1 warning in 1 file" in jsonnx("validate", "spec.json").stderr
    errors = jsonnx("validate", "spec.json", "--data", status=2).stderr
    assert "error[unreadable-file]" in errors
    assert "did you mean" not in errors
    assert "bad.csv" not in errors
    assert jsonnx("train", "spec.json", "-o", "run", status=2).stderr == errors


def test_several_specs_get_a_table_each() -> None:
    Path("copy.json").write_text(Path("spec.json").read_text())
    output = jsonnx("validate", "spec.json", "copy.json", "--data").stdout
    assert output.startswith("spec.json\n          train\n")
    assert "\n\ncopy.json\n" in output
    assert output.endswith("2 files are fine\n")


def test_many_classes_are_summed_up() -> None:
    layers = [{"type": "Dense", "name": "kind", "units": 100, "activation": "softmax"}]
    document = {key: value for key, value in SPEC.items() if key != "labels"} | {"layers": layers}
    Path("spec.json").write_text(json.dumps(document))
    table("train.csv", *(str(row % 30) for row in range(60)))
    output = jsonnx("validate", "spec.json", "--data").stdout
    assert "\nkind 19                    2\nkind: 10 more classes     20\n" in output


# -- files and folders in place of the spec's --------------------------------------------------------------------------


def test_a_run_on_other_files_says_so_and_resumes_with_the_same_contents_only() -> None:
    table("other.csv", "no", "yes", "no", "yes", offset=5)
    table("held_out.csv", "no", "yes")
    change_spec(train="none.csv")
    options = ["--data", "other.csv", "--validation-data", "held_out.csv"]
    jsonnx("train", "spec.json", "-o", "run", *options)
    assert json.loads(Path("run/execution.json").read_text())["data_files"] == {
        "train": "../other.csv", "validation": "../held_out.csv"}  # fmt: skip
    assert "val_loss" in Path("run/metrics.jsonl").read_text()
    again = ["train", "spec.json", "-o", "run", "--resume", "--set", "training.epochs=2"]
    assert "the training data have changed" in jsonnx(*again, "--data", "train.csv", *options[2:], status=1).stderr
    assert "the validation data are missing" in jsonnx(*again, *options[:2], status=1).stderr
    Path("copy.csv").write_text(Path("other.csv").read_text())
    jsonnx(*again, "--data", "copy.csv", *options[2:])
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 2


def test_a_spec_that_names_no_data_trains_on_a_file() -> None:
    training = {key: value for key, value in SPEC["training"].items() if key != "data"}
    training |= {"early_stopping": {"monitor": "val_loss"}}
    document = SPEC | {"training": training, "inputs": {"a": {"shape": [1]}}}
    Path("spec.json").write_text(json.dumps(document))
    assert "error[no-data]" in jsonnx("train", "spec.json", "-o", "run", status=2).stderr
    result = jsonnx("train", "spec.json", "-o", "run", "--data", "train.csv", "--validation-data", "train.csv")
    assert "warning" not in result.stderr


def test_validation_data_replace_the_split_and_its_warning() -> None:
    change_spec(validation_split=0.0)
    document = json.loads(Path("spec.json").read_text())
    document["training"]["early_stopping"] = {"monitor": "val_loss"}
    Path("spec.json").write_text(json.dumps(document))
    assert "warning[unknown-figure]" in jsonnx("train", "spec.json", "-o", "run", status=1).stderr
    assert "warning" not in jsonnx("train", "spec.json", "-o", "run", "--validation-data", "train.csv").stderr


def test_a_run_does_not_overwrite_its_data() -> None:
    Path("run").mkdir()
    Path("run/metrics.jsonl").write_text("")
    Path("train.csv").rename("run/model.onnx")
    Path("train.csv").symlink_to("run/model.onnx")
    assert "is-an-input" in jsonnx(
        "train", "spec.json", "-o", "run", "--force", "--data", "train.csv", status=2).stderr  # fmt: skip


def test_a_data_root_is_an_existing_folder() -> None:
    errors = jsonnx("validate", "spec.json", "--data-root", "missing", status=2).stderr
    assert "'missing' does not exist" in errors
    errors = jsonnx("train", "spec.json", "--data-root", "train.csv", status=2).stderr
    assert "'train.csv' is a file" in errors


def test_data_roots_hold_for_every_command_that_reads_the_specs_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("train.csv", "test.csv"):
        table(str(tmp_path / "data" / name), "yes", "no", "yes")
    change_spec(train=str(tmp_path / "data" / "train.csv"), test="test.csv")
    root = ["--data-root", "../data"]
    refusal = jsonnx("validate", "spec.json", "--data", status=2).stderr
    assert "allow the folder of the data with --data-root" in refusal
    jsonnx("validate", "spec.json", "--data", *root)
    assert "unsafe-path" in jsonnx("train", "spec.json", "-o", "run", status=1).stderr
    jsonnx("train", "spec.json", "-o", "run", *root)
    assert "unreadable-file" in jsonnx("evaluate", "run", status=2).stderr
    assert "accuracy" in jsonnx("evaluate", "run", *root).stdout


def test_a_run_warns_about_its_data_once() -> None:
    change_spec(validation_split=0.25)
    table("train.csv", *["no"] * 6, *["yes"] * 2)
    assert jsonnx("train", "spec.json", "-o", "run").stderr.count("warning[validation-classes]") == 1
    assert "warning" not in jsonnx("train", "spec.json", "-o", "run", "--resume").stderr
