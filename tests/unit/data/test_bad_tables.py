"""Errors of tables: each message has the place, the value, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as command

SPEC: dict[str, Any] = {
    "inputs": {"a": {"shape": [2]}, "b": {"shape": [], "dtype": "string"}},
    "layers": [
        {"type": "StringLookup", "name": "code", "from": "b", "vocabulary": ["x", "y"], "output_mode": "one_hot"},
        {"type": "Concatenate", "from": ["a", "code"]},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
    ],
    "training": {
        "data": {"train": "t.csv", "x": {"a": ["p", "q"], "b": "w"}, "y": "k"},
        "loss": "sparse_categorical_crossentropy",
    },
}
Rows = list[list[str]]


def table() -> Rows:
    return [["p", "q", "w", "k"], *([f"{row / 10}", f"{row}", "xy"[row % 2], f"{row % 3}"] for row in range(12))]


def with_value(row: int, column: int, value: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "message", "place", "help"),
    [
        (with_value(7, 1, "seven"), "column 'q': 'q' holds 'seven', not a number", "t.csv:8:5", "without a unit"),
        (with_value(7, 0, "12%"), "'p' holds '12%', not a number", "t.csv:8:1", "without a unit"),
        (with_value(7, 1, "inf"), "column 'q': input 'a' is inf", "t.csv:8:5", "numbers are finite"),
        (with_value(5, 0, "1e999"), "column 'p': input 'a' is inf", "t.csv:6:1", "numbers are finite"),
        (with_value(9, 3, "7"), "the target of 'kind' is 7; valid are 0 to 2", "t.csv:10:9", "as many units"),
        (with_value(9, 3, "1.5"), "the target of 'kind' is 1.5, not a whole number", "t.csv:10:9", "from 0"),
        (lambda rows: rows[5].pop(), "3 values in a row, 4 in the header", "t.csv:6", "',' stands in quotation marks"),
        (with_value(0, 1, "p"), "there is no column 'q'", "t.csv:1", "several columns are called 'p'"),
        (lambda rows: rows.pop(0), "there is no column 'p'", "t.csv:1", "if the first line is a row of values"),
        (lambda rows: rows.__delitem__(slice(1, None)), "no rows below its header", "t.csv:1", "a row for each sample"),
        (lambda rows: rows.clear(), "the file is empty", "t.csv:1", "the names of the columns"),
    ],
)
def test_a_error_of_a_table_has_a_place_and_a_help(
    change: Callable[[Rows], object],
    message: str,
    place: str,
    help: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.json").write_text(json.dumps(SPEC))
    rows = table()
    change(rows)
    Path("t.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    shown = command("train", "spec.json", "-o", "run", status=1).stderr
    assert message in shown
    assert f"--> {place}\n" in shown
    assert help in shown[shown.index("help:") :]
    assert not Path("run").exists()


@pytest.mark.parametrize("format", ["npz", "json"])
def test_a_column_of_texts_among_numbers_gets_an_input_of_its_own(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = {"p": [0.5, 1.0], "w": ["x", "y"], "k": [0, 1]}
    Path("t.json").write_text(json.dumps(columns))
    np.savez("t.npz", **{name: np.array(values) for name, values in columns.items()})
    data = {"train": f"t.{format}", "x": {"a": ["p", "w"]}, "y": "k"}
    layer = {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}
    training = {**SPEC["training"], "data": data}
    Path("spec.json").write_text(json.dumps({"inputs": {"a": {"shape": [2]}}, "layers": [layer], "training": training}))
    shown = command("train", "spec.json", "-o", "run", status=1).stderr
    assert "input 'a' stacks the column 'w', which holds texts, with columns of numbers" in shown
    assert "give the column an input of its own" in shown


def test_errors_of_lists_and_of_arrays_have_a_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layer = {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}
    training = {**SPEC["training"], "data": {"train": "t.json", "y": "k"}}
    document = {"inputs": {"a": {"shape": [2]}}, "layers": [layer], "training": training}
    Path("t.json").write_text(json.dumps([{"a": [1, 2], "k": 0}, {"a": [1, None], "k": 1}]))
    (error,) = jsonnx.validate(document, data=True)
    assert "row 2, column 'a': 'a' holds null, not a number" in error.message
    assert "Imputation" in str(error.help)
    np.savez("t.npz", a=np.zeros((3, 2)), k=np.zeros(2, int))
    training["data"]["train"] = "t.npz"
    (error,) = jsonnx.validate(document, data=True)
    assert "the numbers of samples differ: input 'a' has 3" in error.message
    assert "one entry for each sample" in str(error.help)
