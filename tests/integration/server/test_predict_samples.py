"""`POST /predict` says of the rows of every sample what `jsonnx predict` says."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.predict.predict import Reports, predict
from jsonnx.pipeline.predict.predictor import PredictOptions
from jsonnx.pipeline.run.trained_model import TrainedModel
from support.serving import RunningServer, running_server

SAMPLES = Path(__file__).parents[3] / "samples"
ROW_COUNT = 6

SPECS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(SAMPLES.glob("*.json"))}
WITH_DATA = [name for name, spec in SPECS.items() if "data" in spec.get("training", {})]
PICTURES = {"textures": "image", "nuclei": "image"}
"""Samples whose data are image files, and their input."""


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.costly(3)) for name in WITH_DATA])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The name of a sample, its model after some training, and a server of it."""
    name = request.param
    if name in PICTURES:
        pytest.importorskip("PIL.Image")
    trainer = jsonnx.Trainer(str(SAMPLES / f"{name}.json"))
    trainer.fit(epochs=1)
    model = tmp_path_factory.mktemp(name) / "model.onnx"
    trainer.model().save(model)
    for tokens in trainer.plan.tokenizations:
        (model.parent / tokens.file_name).parent.mkdir(exist_ok=True)
        shutil.copy(SAMPLES / tokens.file_name, model.parent / tokens.file_name)
    with running_server({name: model}) as server:
        yield name, model, server


def rows_of(name: str) -> list[dict[str, Any]]:
    """The first rows of the test data, or else of the training data, as JSON has them: of series, those of some
    windows."""
    data = SPECS[name]["training"]["data"]
    count = data.get("windows", {"length": 0})["length"] + ROW_COUNT
    path = SAMPLES / data.get("test", data["train"])
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            first = islice(csv.DictReader(file), count)
            rows = [{column: number(text) for column, text in row.items()} for row in first]
        return [{column: json_value(value, column, rows) for column, value in row.items()} for row in rows]
    with np.load(path) as arrays:
        return [{column: arrays[column][row].tolist() for column in arrays} for row in range(count)]


def number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def json_value(value: Any, column: str, rows: list[dict[str, Any]]) -> Any:
    """A value of a csv file as JSON has it: a missing number is null, a missing text is empty."""
    is_number = any(isinstance(row[column], float) for row in rows)
    return None if value == "" and is_number else value


def predicted(model: Path, data: Path) -> list[dict[str, Any]]:
    """What the command writes of the rows of a file."""
    output = data.with_name("predicted.jsonl")
    predict(TrainedModel.open(model), str(data), str(output), PredictOptions(), Reports(print))
    return [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def rows_in(document: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer of the server as the rows that the command writes."""
    columns = document.get("columns", {})
    return [
        {name: values[index] for name, values in columns.items()} | as_row(answer)
        for index, answer in enumerate(document.get("predictions") or [document["prediction"]])
    ]


def as_row(answer: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for output, item in answer.items():
        if "value" in item:
            values = np.ravel(item["value"])
            names = [output] if len(values) == 1 else [f"{output}_{index}" for index in range(len(values))]
            row |= zip(names, values.tolist(), strict=True)
        else:
            row[output] = item["labels"] if "labels" in item else item["label"]
            row |= {f"{output}: {label}": value for label, value in item["probabilities"].items()}
    return row


def assert_same_rows(document: dict[str, Any], expected: list[dict[str, Any]], server: RunningServer) -> None:
    """Texts are equal, and numbers to the last bit of a float32, unless the number of rows of a run affects that: the
    server adds rows then, the command does not."""
    rows, batching = rows_in(document), server.service.repository.model(document["model"]).served.batching
    tolerance = 2e-6 if batching.row_multiple > 1 or batching.min_rows > 1 else 0.0
    assert [list(row) for row in rows] == [list(row) for row in expected]
    for row, other in zip(rows, expected, strict=True):
        for name, value in row.items():
            is_number = isinstance(value, float)
            if is_number:
                value = pytest.approx(np.float32(value), rel=tolerance, abs=tolerance)
            assert value == (np.float32(other[name]) if is_number else other[name]), name


def test_json_rows_and_csv_rows(sample: Any, tmp_path: Path) -> None:
    name, model, server = sample
    if name in PICTURES:
        pytest.skip("its data are pictures")
    rows = rows_of(name)
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows))
    expected = predicted(model, data)
    assert_same_rows(server.post("/predict", rows).json, expected, server)
    by_name = server.post(f"/predict/{name}/versions/1", rows).json
    assert (by_name["model"], by_name["version"]) == (name, "1")
    if "windows" not in SPECS[name]["training"]["data"]:
        data.write_text(json.dumps(rows[:1]))
        assert_same_rows(server.post("/predict", rows[0]).json, predicted(model, data), server)
    if not isinstance(next(iter(rows[0].values())), list):
        text = tmp_path / "rows.csv"
        with text.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        answer = server.post("/predict", text.read_bytes(), {"Content-Type": "text/csv"})
        assert_same_rows(answer.json, predicted(model, text), server)


def test_pictures(sample: Any, tmp_path: Path) -> None:
    name, model, server = sample
    if name not in PICTURES:
        pytest.skip("its data are tables or arrays")
    data = SPECS[name]["training"]["data"]
    folder = SAMPLES / data["test"]
    folder = folder if folder.is_dir() else folder.parent / name
    picture = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))[0]
    types = {".png": "image/png", ".jpg": "image/jpeg"}
    shutil.copy(picture, tmp_path / picture.name)
    expected = predicted(model, tmp_path / picture.name)
    content, type = picture.read_bytes(), types[picture.suffix]
    assert_same_rows(server.post("/predict", content, {"Content-Type": type}).json, expected, server)
    assert_same_rows(server.post("/predict", content).json, expected, server)
    url = f"data:{type};base64,{base64.b64encode(content).decode()}"
    answer = server.post("/predict", [{PICTURES[name]: url}, {PICTURES[name]: url}])
    assert_same_rows(answer.json, expected * 2, server)


def test_a_picture_for_a_model_without_pictures(sample: Any) -> None:
    name, _, server = sample
    if name not in ("penguins", "reviews"):
        pytest.skip("its inputs could be pictures, or its columns are numbers")
    answer = server.post("/predict", b"\x89PNG\r\n", {"Content-Type": "image/png"})
    assert (answer.status, answer.json["code"]) == (415, "unsupported-media-type")
    assert "send its columns as JSON or csv" in answer.json["error"]


def test_the_names_of_files_are_not_those_of_the_servers_folders(sample: Any) -> None:
    name, _, server = sample
    if name not in PICTURES:
        pytest.skip("its rows name no files")
    answer = server.post("/predict", {PICTURES[name]: str(Path(__file__).with_name("picture.png"))})
    assert answer.status == 400
    assert "data:image/png;base64" in answer.body.decode()
