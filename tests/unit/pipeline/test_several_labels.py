"""A target with several labels in a row, from its column to what a server answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx as package
import numpy as np
import pytest
from jsonnx.pipeline.compile.output_classes import ClassKind, OutputClasses
from jsonnx.pipeline.predict.prediction_files import Predictions, to_csv
from jsonnx.server.rows.row_answers import row_answers
from support.commands import jsonnx

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(60, 2)).round(3)
TAGS = [["b", "a"], [], ["c"], ["a", "c"], ["a"], ["b"]] * 10
TRAINING = {
    "data": {"train": "d.csv", "x": ["n", "m"], "label_separator": ";", "split": {"validation": 0.3}},
    "loss": "binary_crossentropy",
    "optimizer": "adam",
    "metrics": [{"type": "f1_score", "threshold": 0.5, "average": "macro"}],
    "epochs": 2,
    "threshold": {"maximize": "f1", "by_label": True},
}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{n},{m},{';'.join(tags)}" for (n, m), tags in zip(NUMBERS.tolist(), TAGS, strict=True)]
    Path("d.csv").write_text("\n".join(["n,m,tags", *lines]) + "\n")
    rows = [{"n": n, "m": m, "tags": tags} for (n, m), tags in zip(NUMBERS.tolist(), TAGS, strict=True)]
    Path("d.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    write_spec()


def write_spec(**data: Any) -> None:
    training = TRAINING | {"data": TRAINING["data"] | data}  # type: ignore[operator]
    layer = {"type": "Dense", "name": "tags", "units": 3, "activation": "sigmoid"}
    Path("s.json").write_text(json.dumps({"inputs": {"x": {"shape": [2]}}, "layers": [layer], "training": training}))


def test_labels_are_counted() -> None:
    lines = jsonnx("validate", "s.json", "--data").stdout.splitlines()
    counts = {tuple(line.split()[:2]): [*map(int, line.split()[2:])] for line in lines if line.startswith("tags ")}
    assert {label: sum(parts) for label, parts in counts.items()} == {
        ("tags", "a"): 30,
        ("tags", "b"): 20,
        ("tags", "c"): 20,
    }


def test_a_column_of_lists_is_described() -> None:
    write_spec(train="d.jsonl", label_separator=None)
    description = json.loads(jsonnx("data", "s.json", "--format", "json").stdout)
    (column,) = (item for item in description["files"]["train"]["columns"] if item["name"] == "tags")
    assert (column["type"], column["used_as"], column["distinct"]) == ("list", ["target tags"], 6)
    assert description["classes"]["tags"]["train"].keys() == {"a", "b", "c"}


def test_a_run_has_thresholds_and_its_predictions_are_targets() -> None:
    result = jsonnx("train", "s.json", "-o", "run", "--quiet")
    assert "threshold  tags a 0." in result.stderr + result.stdout
    assert len(json.loads(Path("run/model.labels.json").read_text())["tags"]["threshold"]) == 3
    inspected = json.loads(jsonnx("inspect", "run/model.onnx", "--format", "json").stdout)
    assert inspected["thresholds"]["tags"].keys() == {"a", "b", "c"}
    jsonnx("predict", "run", "--data", "d.csv", "-o", "p.csv", "--id", "n", "--id", "m")
    metrics = json.loads(jsonnx("evaluate", "run", "--data", "p.csv", "--format", "json").stdout)
    assert metrics["f1_score"] == 1.0
    jsonnx("report", "run")


def test_thresholds_of_labels_with_line_ends_are_on_one_line() -> None:
    Path("d.jsonl").write_text(Path("d.jsonl").read_text().replace('"a"', '"a\\nb"'))
    write_spec(train="d.jsonl", label_separator=None)
    result = jsonnx("train", "s.json", "-o", "run", "--quiet")
    assert "threshold  tags a\\nb 0." in result.stderr + result.stdout
    assert "a\\nb 0." in jsonnx("inspect", "run/model.onnx").stdout


def test_a_label_that_a_part_lacks_is_a_warning() -> None:
    Path("d.csv").write_text(Path("d.csv").read_text().replace("c", "a").replace(";a\n", ";a;c\n", 1))
    (warning,) = package.validate("s.json", data=True)
    assert (warning.code, "labels of 'tags' are missing" in warning.message) == ("split-classes", True)


def test_answers_have_the_thresholds_by_label() -> None:
    classes = OutputClasses(("a", "b"), ClassKind.MULTI_LABEL, (0.25, 0.75), (0.25, 0.75))
    (answer,) = row_answers(Predictions({"tags": np.array([[0.5, 0.5]])}, {"tags": classes}))
    expected = {"labels": ["a"], "probabilities": {"a": 0.5, "b": 0.5}, "threshold": {"a": 0.25, "b": 0.75}}
    assert answer == {"tags": expected}


@pytest.mark.parametrize(
    ("labels", "separator", "text"),
    [
        (("a", "b"), ";", "a;b"),
        (("a", "b"), ", ", '"a, b"'),
        (("a", "b;c"), ";", '"[""a"", ""b;c""]"'),
        (("a", "b"), None, '"[""a"", ""b""]"'),
    ],
)
def test_csv_files_have_the_form_of_the_training_data(
    labels: tuple[str, ...], separator: str | None, text: str
) -> None:
    classes = OutputClasses(labels, ClassKind.MULTI_LABEL, label_separator=separator)
    content = to_csv(Predictions({"tags": np.ones((1, 2))}, {"tags": classes})).decode()
    assert content.splitlines()[1] == f"{text},1.0,1.0"


def test_a_column_of_parquet_may_be_input_and_kept() -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"n": NUMBERS[:, 0], "m": NUMBERS[:, 1], "tags": TAGS}), "d.parquet")
    write_spec(train="d.parquet", label_separator=None)
    jsonnx("train", "s.json", "-o", "run", "--quiet")
    jsonnx("predict", "run", "--data", "d.parquet", "-o", "p.parquet", "--id", "n", "--id", "m", "--threshold", "0.999")
    table = parquet.read_table("p.parquet")
    assert table["n"].to_pylist() == NUMBERS[:, 0].tolist()
    assert str(table.schema.field("tags").type).startswith("list<")
    jsonnx("evaluate", "run", "--data", "p.parquet")


def test_a_part_of_a_network_keeps_the_thresholds_of_its_labels() -> None:
    layers = [
        {"type": "Dense", "name": name, "from": "x", "units": 2, "activation": "sigmoid"} for name in ("one", "two")
    ]
    document = {"inputs": {"x": {"shape": [2]}}, "layers": layers, "outputs": ["one", "two"]}
    document |= {"labels": {"one": ["a", "b"], "two": ["c", "d"]}}
    document["training"] = {"loss": "binary_crossentropy", "optimizer": "adam", "threshold": {"a": 0.25, "d": 0.75}}
    Path("s.json").write_text(json.dumps(document))
    jsonnx("compile", "s.json", "--outputs", "two", "-o", "two.onnx")
    assert json.loads(Path("two.labels.json").read_text())["two"]["threshold"] == [0.5, 0.75]
