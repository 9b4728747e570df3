"""`jsonnx report` and `train --report`: the values of runs, from their files, data and models."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.report.report_run import ReportOptions, run_values
from jsonnx.pipeline.report.write_report import write_report
from support.commands import jsonnx

LABEL = "</script><script>alert(1)</script>"
CLASSIFIER: dict[str, Any] = {
    "name": "colors",
    "inputs": {"x": {"shape": [2]}, "word": {"shape": [], "dtype": "string"}},
    "layers": [
        {"type": "StringLookup", "name": "token", "from": "word", "vocabulary": ["a", LABEL], "output_mode": "one_hot"},
        {"type": "Concatenate", "name": "both", "from": ["x", "token"]},
        {"type": "Dense", "name": "hidden", "units": 4, "activation": "relu"},
        {"type": "Dense", "name": "color", "units": 3, "activation": "softmax"},
    ],
    "labels": ["red", "green", LABEL],
    "training": {
        "data": {"train": "train.csv", "validation": "check.csv", "x": {"x": ["u", "v"]}, "y": "color"},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "optimizer": {"type": "sgd", "learning_rate": 0.5},
        "epochs": 3,
        "batch_size": 8,
        "seed": 1,
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a spec and a run of it."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    for name, count in (("train", 24), ("check", 12)):
        rows = [
            f"{x:.3f},{y:.3f},{'a' if x > 0 else LABEL},{CLASSIFIER['labels'][int(x > 0) + int(y > 0)]}"
            for x, y in rng.normal(size=(count, 2))
        ]
        (folder / f"{name}.csv").write_text("\n".join(["u,v,word,color", *rows]))
    (folder / "spec.json").write_text(json.dumps(CLASSIFIER))
    jsonnx("train", str(folder / "spec.json"), "-o", str(folder / "run"), "--quiet")
    return folder


@pytest.fixture(autouse=True)
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")


def train(spec: dict[str, Any], *options: str, run: str = "run") -> Any:
    Path("spec.json").write_text(json.dumps(spec))
    return jsonnx("train", "spec.json", "-o", run, "--quiet", *options)


def values(**options: Any) -> dict[str, Any]:
    return run_values(Path("run"), ReportOptions(**options))


def test_metrics_are_those_of_the_predictions() -> None:
    jsonnx("predict", "run", "--data", "check.csv", "-o", "predicted.csv")
    texts = (Path(name).read_text().splitlines() for name in ("check.csv", "predicted.csv"))
    true, predicted = (list(csv.DictReader(lines)) for lines in texts)
    shown = values()
    (output,) = shown["outputs"]
    labels = CLASSIFIER["labels"]
    expected = np.zeros((3, 3), int)
    for true_row, predicted_row in zip(true, predicted, strict=True):
        expected[labels.index(true_row["color"]), labels.index(predicted_row["color"])] += 1
    assert output["matrix"]["counts"] == expected.tolist()
    assert output["scores"]["accuracy"] == pytest.approx(np.trace(expected) / 12, rel=1e-5)
    assert output["scores"]["accuracy"] == pytest.approx(shown["history"]["val_accuracy"][-1], rel=1e-5)
    assert shown["evaluated"] == "the validation data"
    assert shown["notes"] == []
    counts = [row["counts"] for row in shown["balance"][0]["classes"]]
    assert sum(count["train"] for count in counts) == 24
    assert [count["validation"] for count in counts] == expected.sum(1).tolist()


def test_examples_have_the_values_of_their_samples() -> None:
    (output,) = values()["outputs"]
    lines = Path("check.csv").read_text().splitlines()[1:]
    worst = output["examples"]["worst"]
    assert [example["error"] for example in worst] == sorted((example["error"] for example in worst), reverse=True)
    for example in worst:
        u, v, word, color = lines[example["sample"] - 1].split(",")
        inputs = {shown["name"]: shown for shown in example["inputs"]}
        assert inputs["word"] == {"name": "word", "text": word}
        assert [float(value) for _, value in inputs["x"]["values"]] == [float(u), float(v)]
        assert [name for name, _ in inputs["x"]["values"]] == ["u", "v"]
        assert example["true"] == color
    assert all(example["right"] for example in output["examples"]["typical"])


def test_norms_are_those_of_one_more_step() -> None:
    layers = values()["layers"]
    assert [row["layer"] for row in layers["norms"]] == ["hidden", "color"]
    for row in layers["norms"]:  # of SGD, without momentum
        assert row["update"] == pytest.approx(0.5 * row["gradient"], rel=1e-4)
        assert row["change"] > 0
    assert layers["step"] == 9


def test_dead_units_are_counted() -> None:
    spec = json.loads(json.dumps(CLASSIFIER))
    spec["layers"][2] |= {"bias_initializer": {"type": "constant", "value": -1000}, "trainable": False}
    spec["layers"].insert(3, {"type": "Activation", "name": "active", "activation": "relu"})
    train(spec, "--force")
    units = {row["layer"]: row for row in values()["layers"]["units"]}
    assert (units["active"]["units"], units["active"]["dead"], units["active"]["zeros"]) == (4, 4, 1.0)


def test_data_that_have_changed_are_not_shown() -> None:
    Path("check.csv").write_text(Path("check.csv").read_text().replace("green", "red"))
    shown = values()
    assert "outputs" not in shown
    assert shown["notes"][0] == "The validation data have changed since the run, so metrics of them are missing."
    assert values(data="check.csv")["outputs"][0]["rows"] == 12
    Path("train.csv").unlink()
    assert "cannot be read" in values()["notes"][0]


def test_numbers_and_several_runs() -> None:
    data = {"train": "train.csv", "x": {"x": ["u", "v"]}, "y": {"v2": "v"}, "validation_split": 0.25}
    training = {"data": data, "loss": "mse", "metrics": ["mae"], "optimizer": "adam"}
    spec = CLASSIFIER | {"training": CLASSIFIER["training"] | training}
    spec["layers"] = [*spec["layers"][:3], {"type": "Dense", "name": "v2", "units": 1}]
    del spec["labels"]
    for number, run in enumerate(("run", "second")):
        train(spec, "--seed", str(number), "--force", run=run)
    shown = values()
    (output,) = shown["outputs"]
    assert output["kind"] == "numbers"
    assert output["scores"]["mean absolute error"] == pytest.approx(shown["history"]["val_mae"][-1], rel=1e-4)
    assert shown["balance"][0]["histograms"].keys() == {"train", "validation"}
    result = jsonnx("report", "run", "second", "-o", "both.html")
    assert "wrote both.html" in result.stderr
    assert "jsonnx report: run, second" in Path("both.html").read_text()


def test_the_same_run_gives_the_same_bytes() -> None:
    result = train(CLASSIFIER, "--report", "--force")
    assert "report.html" in result.output
    first = Path("run/report.html").read_bytes()
    write_report([Path("run")], Path("again.html"))
    assert Path("again.html").read_bytes() == first
    assert LABEL.encode() not in first
    train(CLASSIFIER, "--force")
    assert not Path("run/report.html").exists()


def test_the_lock_of_a_run_is_shown() -> None:
    texts = {file["name"]: file["text"] for file in values()["files"]}
    assert texts["spec.json"] == Path("run/spec.json").read_text()
    assert "weights_sha256" in texts["jsonnx.lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are UTF-8 there")
def test_the_name_of_a_run_need_not_be_utf8() -> None:
    folder = os.fsdecode(b"run-\xff")
    os.rename("run", folder)
    jsonnx("report", folder)
    assert "jsonnx report: run-\\udcff" in Path(folder, "report.html").read_text("utf-8")


@pytest.mark.parametrize("file", ["train.csv", "check.csv", "spec.json", "run/model.onnx", "other.csv"])
def test_what_a_run_was_made_from_is_not_overwritten(file: str) -> None:
    shutil.copy("check.csv", "other.csv")
    content = Path(file).read_bytes()
    result = jsonnx("report", "run", "-o", file, *(["--data", "other.*"] if file == "other.csv" else []), status=2)
    assert f"error[is-an-input]: '{file}' is read by this command" in result.stderr
    assert Path(file).read_bytes() == content


def test_a_run_without_a_model() -> None:
    Path("run/model.onnx").unlink()
    shown = values()
    assert re.match("The run has no model yet", shown["notes"][0])
    assert shown["network"]["totals"]["parameters"] == 39
    result = jsonnx("report", "run")
    assert "note: run: The run has no model yet" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--port", "1"], "--port has no effect without --live"),
        (["run", "--live", "-o", "x.html"], "-o has no effect with --live"),
        (["run", "run", "--live"], "--live follows one run"),
        (["missing"], "is not a RUN folder"),
        (["run", "--data", "missing.csv"], "missing.csv"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = jsonnx("report", *arguments, status=2)
    assert message in result.stderr
