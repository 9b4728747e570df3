"""`windows`: samples cut out of time series, without copies of the rows that they share."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.data.rows.windows import WindowedDataset
from jsonnx.data.samples.dataset import Dataset
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.check.data_spec import data_spec_of
from jsonnx.pipeline.train.run_data import SPEC_FILES, read_part, read_split
from support.commands import jsonnx as command

LENGTH, STEPS = 4, 40


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*series: range, interleaved: bool = False, file: str = "series.csv") -> None:
    """Series of consecutive numbers, whose `v` tells series and step: 100 for the step 0 of the second one."""
    table = [(name, step, number) for name, numbers in enumerate(series) for step, number in enumerate(numbers)]
    if interleaved:
        table.sort(key=lambda row: (-row[1], row[0]))  # backwards in time, one series after the other
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([("station", "t", "v"), *table])


def spec(windows: dict[str, Any], units: int = 1, x: Any = "v", features: int = 1, **data: Any) -> str:
    document = {
        "inputs": {"x": {"shape": [LENGTH, features]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "v", "units": units}],
        "training": {
            "loss": "mse",
            "data": {"train": "series.csv", "x": x, "windows": {"length": LENGTH} | windows} | data,
            "optimizer": {"type": "sgd", "learning_rate": 1e-9},
            "batch_size": 7,
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def read(path: str) -> dict[str, Dataset]:
    checked = check_spec(path)
    assert checked.objective is not None
    data = checked.network.training.data  # type: ignore[union-attr]
    arguments = data, SPEC_FILES, data_spec_of(checked.require(), checked.objective), SpecSource(path, checked.locate)
    parts = read_split(*arguments)
    train = parts or {"train": read_part("train", *arguments)}
    return {part: samples for part, samples in train.items() if samples is not None}


def samples_of(dataset: Dataset) -> list[tuple[list[int], list[int]]]:
    """The numbers of each window and of its target."""
    feeds = dataset.take(np.arange(len(dataset)))
    return [
        (x.reshape(-1).astype(int).tolist(), y.reshape(-1).astype(int).tolist())
        for x, y in zip(feeds["x"], feeds["v/target"], strict=True)
    ]


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize(("horizon", "units"), [(1, 1), (5, 1), (5, 5), (0, 1)])
def test_a_window_has_the_rows_before_its_target(stride: int, horizon: int, units: int) -> None:
    write(range(STEPS))
    dataset = read(spec({"horizon": horizon, "stride": stride}, units))["train"]
    first_target = horizon if units == 1 else 1
    assert samples_of(dataset) == [
        (
            list(range(start, start + LENGTH)),
            list(range(start + LENGTH - 1 + first_target, start + LENGTH - 1 + first_target + units)),
        )
        for start in range(0, STEPS - LENGTH - horizon + 1, stride)
    ]


@pytest.mark.parametrize("interleaved", [False, True])
def test_windows_stay_in_their_series_and_in_the_order_of_time(interleaved: bool) -> None:
    write(range(20), range(100, 112), interleaved=interleaved)
    samples = samples_of(read(spec({"by": "station", "time": "t"}))["train"])
    assert samples == [
        (list(range(start, start + LENGTH)), [start + LENGTH])
        for start in (*range(20 - LENGTH), *range(100, 112 - LENGTH))
    ]


def test_windows_do_not_cross_the_parts_of_a_split() -> None:
    write(range(50), range(100, 120))
    parts = read(spec({"by": "station", "horizon": 2}, split={"validation": 0.2, "test": 0.3}))
    bounds = {"train": [(0, 25), (100, 110)], "validation": [(25, 35)], "test": [(35, 50), (114, 120)]}
    for part, ranges in bounds.items():
        expected = [start for low, high in ranges for start in range(low, high - LENGTH - 1)]
        assert [window[0] for window, _ in samples_of(parts[part])] == expected


def test_a_group_keeps_whole_series_in_one_part() -> None:
    write(*(range(100 * series, 100 * series + 10) for series in range(30)))
    parts = read(spec({"by": "station"}, split={"test": 0.3, "group": "station"}))
    stations = [{window[0] // 100 for window, _ in samples_of(part)} for part in parts.values()]
    assert all(stations)
    assert not stations[0] & stations[1]
    assert sum(map(len, stations)) == 30


def test_rows_of_several_columns_and_symbolic_lengths() -> None:
    write(range(10))
    path = spec({"horizon": 1}, 2, x=["v", "t"], features=2, y=["v", "t"])
    x, y = samples_of(read(path)["train"])[0]
    assert x == [0, 0, 1, 1, 2, 2, 3, 3]
    assert y == [4, 4]
    document = json.loads(Path(path).read_text())
    document["inputs"]["x"]["shape"] = ["time", 2]
    document["layers"][0] = {"type": "GlobalAveragePooling1D"}
    Path(path).write_text(json.dumps(document))
    assert samples_of(read(path)["train"])[0] == (x, y)


def test_overlapping_windows_share_their_rows() -> None:
    write(range(STEPS))
    dataset = read(spec({}))["train"]
    assert isinstance(dataset, WindowedDataset)
    assert dataset.inputs["x"].size == STEPS
    assert len(dataset) == STEPS - LENGTH
    buffers = {name: np.empty((3, *shape), dtype) for name, (shape, dtype) in dataset.sample_types().items()}
    dataset.copy_into(buffers, np.array([5, 0, 9]))
    assert all((buffers[name] == array).all() for name, array in dataset.take(np.array([5, 0, 9])).items())
    assert dataset.digest != dataset.subset(slice(0, 5)).digest


@pytest.mark.parametrize("drops", [False, True])
def test_training_on_windows_equals_training_on_arrays_of_them(drops: bool) -> None:
    """With Dropout, whether a step is computed by blocks depends on the sizes of a batch."""
    write(range(STEPS))
    dataset = read(spec({"horizon": 3}))["train"]
    feeds = dataset.take(slice(None))
    document = json.loads(Path("spec.json").read_text())
    document["layers"][1:1] = [{"type": "Dropout", "rate": 0.5}] if drops else []
    Path("spec.json").write_text(json.dumps(document))
    trainers = jsonnx.Trainer("spec.json"), jsonnx.Trainer("spec.json")
    losses = [
        trainers[0].fit(epochs=2).history["loss"],
        trainers[1].fit(feeds["x"], feeds["v/target"], epochs=2).history["loss"],
    ]
    assert losses[0] == losses[1]
    weights = [trainer.weights() for trainer in trainers]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


@pytest.mark.parametrize(("horizon", "units"), [(3, 1), (3, 3)])
def test_a_window_has_the_weight_of_the_last_row_of_its_target(horizon: int, units: int) -> None:
    write(range(STEPS))
    dataset = read(spec({"horizon": horizon}, units, sample_weight="t"))["train"]
    feeds = dataset.take(slice(None))
    assert feeds["v/sample_weight"].tolist() == [float(step) for step in range(LENGTH - 1 + horizon, STEPS)]
    jsonnx.Trainer("spec.json").fit(epochs=1)


def test_predictions_name_the_last_row_of_their_window() -> None:
    write(range(12), range(100, 110), interleaved=True)
    command("train", spec({"by": "station", "time": "t"}, split={"test": 0.5}), "-o", "run", "--quiet")
    command("predict", "run", "--data", "series.csv", "--id", "v", "-o", "out.csv")
    with open("out.csv", newline="") as file, open("series.csv", newline="") as table:
        predictions, rows = list(csv.DictReader(file)), list(csv.DictReader(table))
    assert len(predictions) == 12 - LENGTH + 1 + 10 - LENGTH + 1  # the last windows have no target yet
    last_values = [*range(LENGTH - 1, 12), *range(100 + LENGTH - 1, 110)]
    assert [int(rows[int(entry["last_row"])]["v"]) for entry in predictions] == last_values
    header, *lines = command("predict", "run", "--data", "series.csv", "--id", "v").stdout.splitlines()
    assert header.split(",")[:2] == ["last_row", "data: v"]
    assert len(lines) == len(predictions)
    assert "loss" in command("evaluate", "run").stdout


@pytest.mark.parametrize(
    ("windows", "rows", "code", "text"),
    [
        ({"horizon": 9}, 12, "empty-data", "no window of 4 and 9 more fits"),
        ({"by": "stations"}, 12, "missing-column", "did you mean 'station'"),
    ],
)
def test_series_that_have_no_windows_are_an_error(windows: dict[str, Any], rows: int, code: str, text: str) -> None:
    write(range(rows))
    (error,) = jsonnx.validate(spec(windows), data=True)
    assert (error.severity, error.code) == ("error", code)
    assert text in error.message + str(error.help)
