"""`jsonnx predict`: classes of sigmoid outputs, thresholds, kept columns, standard input and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import compile
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.output_classes import ClassKind, output_classes
from support.commands import jsonnx


def spec(units: int, activation: str | None, labels: list[str] | None = None, loss: Any = None) -> dict[str, Any]:
    layer = {"type": "Dense", "name": "late", "units": units, "activation": activation, "kernel_initializer": "ones"}
    training = {"training": {"data": {"train": "d.csv", "x": ["a", "b"]}, "loss": loss}} if loss else {}
    return {
        "inputs": {"x": {"shape": [2]}},
        "layers": [layer],
        **({"labels": labels} if labels else {}),
        "training": {"data": {"train": "d.csv", "x": ["a", "b"]}, "loss": "mse"},
        **training,
    }


DATA = "key,a,b,late\nr1,-2,1,0\nr2,1,1,1\nr3,0.5,-0.25,0\n"
"""The sigmoids of the sums are 0.27, 0.88 and 0.56."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text(DATA)
    compile(spec(1, "sigmoid", ["on time", "late"])).save("m.onnx")


def predict(*options: str, stdin: str | None = None) -> list[str]:
    return jsonnx("predict", "m.onnx", *options, stdin=stdin).stdout.splitlines()


def first_columns(lines: list[str], count: int = 1) -> list[str]:
    return [",".join(line.split(",")[:count]) for line in lines]


# -- classes -----------------------------------------------------------------------------------------------------------


def test_a_sigmoid_of_one_unit_predicts_one_of_two_labels() -> None:
    lines = predict("--data", "d.csv")
    assert lines[0] == "late,late: late"
    assert first_columns(lines[1:]) == ["on time", "late", "late"]
    assert float(lines[2].split(",")[1]) == pytest.approx(0.8808, abs=1e-4)
    assert first_columns(predict("--data", "d.csv", "--threshold", "0.6")[1:]) == ["on time", "late", "on time"]
    jsonnx("predict", "m.onnx", "--data", "d.csv", "-o", "p.json")
    assert json.loads(Path("p.json").read_text())["labels"] == {"late": ["on time", "late", "late"]}


def test_several_labels_of_a_sigmoid_may_hold_together() -> None:
    document = spec(2, "sigmoid", ["windy", "wet"], "binary_crossentropy")
    compile(document).save("m.onnx")
    assert predict("--data", "d.csv")[2].startswith('"[""windy"", ""wet""]",')
    document["training"]["data"]["label_separator"] = ";"
    compile(document).save("m.onnx")
    lines = predict("--data", "d.csv")
    assert lines[0] == "late,late: windy,late: wet"
    assert first_columns(lines[1:]) == ["", "windy;wet", "windy;wet"]
    jsonnx("predict", "m.onnx", "--data", "d.csv", "-o", "p.jsonl")
    rows = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert [row["late"] for row in rows] == [[], ["windy", "wet"], ["windy", "wet"]]
    assert [*rows[0]] == ["late", "late: windy", "late: wet"]


@pytest.mark.parametrize(
    ("units", "activation", "loss", "kind", "cut"),
    [
        (1, "sigmoid", None, ClassKind.BINARY, 0.5),
        (1, None, {"type": "binary_crossentropy", "from_logits": True}, ClassKind.BINARY, 0.0),
        (2, "sigmoid", "categorical_crossentropy", ClassKind.ONE_OF_MANY, 0.5),
        (2, "softmax", None, ClassKind.ONE_OF_MANY, 0.5),
        (2, "sigmoid", None, ClassKind.MULTI_LABEL, 0.5),
        (1, None, None, None, None),
    ],
)
def test_the_kind_of_classes_follows_from_the_activation_and_the_loss(
    units: int, activation: str | None, loss: Any, kind: ClassKind | None, cut: float | None
) -> None:
    classes = output_classes(check_spec(spec(units, activation, ["a", "b"], loss))).get("late")
    assert (classes and classes.kind, classes and classes.cut) == (kind, cut)


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"type": "Dropout", "rate": 0.1}, ClassKind.BINARY),
        ({"type": "ops.sigmoid"}, ClassKind.BINARY),
        ({"type": "Rescaling", "scale": 10}, None),
    ],
)
def test_the_kind_of_classes_takes_the_layers_after_the_activation_into_account(last: Any, kind: Any) -> None:
    document = spec(1, None if last["type"] == "ops.sigmoid" else "sigmoid", ["no", "yes"])
    document["layers"][0]["name"] = "logit"
    document["layers"].append({**last, "name": "late"})
    classes = output_classes(check_spec(document))
    assert (classes["late"].kind if classes else None) == kind


def test_a_threshold_names_the_classes_of_an_output_without_labels() -> None:
    compile(spec(1, "sigmoid")).save("m.onnx")
    assert predict("--data", "d.csv")[0] == "late"
    assert predict("--data", "d.csv", "--threshold", "0.5")[0] == "late,late: 1"
    compile(spec(2, "softmax", ["a", "b"])).save("m.onnx")
    errors = jsonnx("predict", "m.onnx", "--data", "d.csv", "--threshold", "0.5", status=2).stderr
    assert "--threshold has no effect" in errors
    jsonnx("predict", "m.onnx", "--data", "d.csv", "--threshold", "1.5", status=2)


# -- kept columns ------------------------------------------------------------------------------------------------------


def test_columns_of_the_data_are_kept_beside_the_results() -> None:
    lines = predict("--data", "d.csv", "--id", "key", "--id", "b")
    assert lines[0] == "key,b,late,late: late"
    assert first_columns(lines[1:], 3) == ["r1,1,on time", "r2,1,late", "r3,-0.25,late"]


def test_all_columns_are_kept_and_a_target_gets_another_name() -> None:
    lines = predict("--data", "d.csv", "--with-inputs")
    assert lines[0] == "key,a,b,data: late,late,late: late"
    assert first_columns(lines[1:], 5)[0] == "r1,-2,1,0,on time"


def test_kept_columns_are_in_every_format() -> None:
    predict("--data", "d.csv", "--id", "key", "-o", "p.json")
    assert json.loads(Path("p.json").read_text())["columns"] == {"key": ["r1", "r2", "r3"]}
    predict("--data", "d.csv", "--id", "key", "-o", "p.npz")
    with np.load("p.npz") as arrays:
        assert arrays["key"].tolist() == ["r1", "r2", "r3"]
        assert arrays["late"].shape == (3, 1)


def test_arrays_with_several_values_in_a_row_are_not_kept() -> None:
    np.savez("d.npz", x=np.zeros((3, 2)), key=np.arange(3), short=np.arange(2))
    compile({**spec(1, "sigmoid"), "training": None}).save("m.onnx")
    assert predict("--data", "d.npz", "--with-inputs")[0] == "key,late"
    for name, reason in (("x", "several values"), ("short", "2 values for 3 samples"), ("kye", "did you mean 'key'")):
        assert reason in jsonnx("predict", "m.onnx", "--data", "d.npz", "--id", name, status=1).stderr


def test_id_and_with_inputs_exclude_each_other() -> None:
    jsonnx("predict", "m.onnx", "--data", "d.csv", "--id", "key", "--with-inputs", status=2)


# -- formats -----------------------------------------------------------------------------------------------------------

ROWS = [{"a": -2, "b": 1, "key": "r1"}, {"a": 1, "b": 1, "key": "r2"}, {"a": 0.5, "b": -0.25, "key": "r3"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def test_all_formats_give_the_same_results() -> None:
    expected = predict("--data", "d.csv", "--id", "key")
    Path("d.json").write_text(json.dumps(ROWS))
    Path("e.json").write_text(json.dumps({name: [row[name] for row in ROWS] for name in ("key", "b", "a")}))
    Path("d.jsonl").write_text(LINES)
    for name in ("d.json", "e.json", "d.jsonl"):
        assert predict("--data", name, "--id", "key") == expected
    assert predict("--data", "-", "--id", "key", stdin=DATA) == expected
    assert predict("--data", "-", "--id", "key", "--input-format", "jsonl", stdin=LINES) == expected
    assert predict("--data", "-", "--id", "key", "--input-format", "json", stdin=json.dumps(ROWS)) == expected


def test_json_on_standard_input_needs_its_format() -> None:
    errors = jsonnx("predict", "m.onnx", "--data", "-", stdin=LINES, status=2).stderr
    assert "standard input is JSON, not csv" in errors
    assert "--input-format jsonl" in errors


def test_a_error_on_standard_input_has_its_line() -> None:
    errors = jsonnx("predict", "m.onnx", "--data", "-", stdin="a,b\n1,2\n1,x\n", status=1).stderr
    assert "<stdin>:3:3" in errors


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_json_files_are_training_data(ending: str) -> None:
    rows = [row | {"late": target} for row, target in zip(ROWS, (0, 1, 0), strict=True)]
    Path("t.json").write_text(json.dumps(rows))
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    document = spec(1, "sigmoid", None, "binary_crossentropy")
    document["training"]["data"]["train"] = f"t.{ending}"
    Path("s.json").write_text(json.dumps(document))
    jsonnx("train", "s.json", "-o", "run", "--quiet")
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 1
