"""Forecasts: their series and times, the end of each series, and columns that are known in advance."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.check.data_spec import data_spec_of
from jsonnx.pipeline.train.run_data import SPEC_FILES, read_part, read_split
from support.commands import jsonnx as command

LENGTH, HORIZON = 4, 2
Row = tuple[Any, ...]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(rows: Sequence[Row], file: str = "series.csv", header: Row = ("store", "day", "promo", "sales")) -> None:
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def days(start: date, count: int, step: int = 1) -> list[str]:
    return [(start + timedelta(days=step * number)).isoformat() for number in range(count)]


def history(store: str, count: int, future: int = 0, start: date = date(2026, 1, 1)) -> list[Row]:
    """Known rows whose `sales` are 10, 11, ..., and rows of the future; `promo` is 100 times the number of the row."""
    return [
        (store, day, 100 * number, 10 + number if number < count else "")
        for number, day in enumerate(days(start, count + future))
    ]


def write_spec(units: int = HORIZON, future: bool = False, windows: dict[str, Any] | None = None) -> str:
    """A network whose predictions are weighted sums of its inputs."""
    inputs = {"past": {"shape": [LENGTH, 1]}} | ({"plans": {"shape": [HORIZON, 1]}} if future else {})
    flat = [{"type": "Flatten", "name": f"flat_{name}", "from": name} for name in inputs]
    joined = [{"type": "Concatenate", "from": [layer["name"] for layer in flat]}] if future else []
    document = {
        "inputs": inputs,
        "layers": [*flat, *joined, {"type": "Dense", "name": "sales", "units": units}],
        "training": {
            "loss": "mse",
            "data": {
                "train": "series.csv",
                "x": {"past": "sales"} | ({"plans": "promo"} if future else {}),
                "windows": {"length": LENGTH, "horizon": HORIZON, "by": "store", "time": "day"}
                | ({"future": "plans"} if future else {})
                | (windows or {}),
            },
            "optimizer": {"type": "sgd", "learning_rate": 1e-12},
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def train(**arguments: Any) -> None:
    command("train", write_spec(**arguments), "-o", "run", "--quiet", "--force")


def predicted(*options: str, file: str = "series.csv") -> list[dict[str, str]]:
    command("predict", "run", "--data", file, "-o", "out.csv", *options)
    with open("out.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_prediction_tells_its_series_and_the_time_of_its_first_value() -> None:
    write([*history("a", 8), *history("b", 6)])
    train()
    rows = predicted()
    assert list(rows[0]) == ["last_row", "store", "forecast_day", "sales_0", "sales_1"]
    assert [(row["store"], row["forecast_day"]) for row in rows] == [
        *(("a", day) for day in days(date(2026, 1, 5), 5)),
        *(("b", day) for day in days(date(2026, 1, 5), 3)),
    ]


def test_a_single_value_has_the_time_of_the_horizon() -> None:
    write(history("a", 8))
    train(units=1)
    assert [row["forecast_day"] for row in predicted()] == days(date(2026, 1, 6), 5)
    assert [(row["day"], row["step"]) for row in predicted("--last")] == [("2026-01-10", "2")]


def test_a_long_forecast_has_a_row_for_each_step_with_the_same_values() -> None:
    write([*history("a", 8), *history("b", 6)])
    train()
    wide, long = predicted("--id", "day"), predicted("--long", "--id", "day")
    assert list(long[0]) == ["last_row", "data: day", "store", "day", "step", "sales"]
    values = [row[f"sales_{step}"] for row in wide for step in range(HORIZON)]
    assert [row["sales"] for row in long] == values
    assert [row["step"] for row in long[:4]] == ["1", "2", "1", "2"]
    assert [row["day"] for row in long[:4]] == ["2026-01-05", "2026-01-06", "2026-01-06", "2026-01-07"]


def test_the_last_window_of_each_series_is_predicted_and_short_series_are_named() -> None:
    write([*history("a", 8), *history("short", 3), *history("b", 4)])
    train()
    result = command("predict", "run", "--data", "series.csv", "--last")
    lines = [line.split(",")[:4] for line in result.stdout.splitlines()]
    assert lines == [
        ["last_row", "store", "day", "step"],
        ["7", "a", "2026-01-09", "1"],
        ["7", "a", "2026-01-10", "2"],
        ["14", "b", "2026-01-05", "1"],
        ["14", "b", "2026-01-06", "2"],
    ]
    assert "series have no window of 4 rows: 1 of 3 ('short' has 3 rows)" in result.stderr


@pytest.mark.parametrize(("suffix", "shape"), [("json", (HORIZON, 1)), ("npz", (HORIZON, 1))])
def test_forecasts_of_steps_are_written_in_other_formats(suffix: str, shape: tuple[int, ...]) -> None:
    write(history("a", 8))
    train()
    command("predict", "run", "--data", "series.csv", "--last", "-o", f"out.{suffix}")
    if suffix == "json":
        document = json.loads(Path("out.json").read_text())
        assert np.shape(document["outputs"]["sales"]) == shape
        assert document["columns"]["day"] == ["2026-01-09", "2026-01-10"]
    else:
        with np.load("out.npz") as file:
            assert file["sales"].shape == shape
            assert file["day"].tolist() == ["2026-01-09", "2026-01-10"]


MONTHS = [date(2025, month, 1).isoformat() for month in range(1, 13)]
HOURS = [f"2026-01-01T{hour:02}:00" for hour in range(12)]
QUARTERS = [f"2026-01-01 {number // 4:02}:{number % 4 * 15:02}:00" for number in range(12)]


@pytest.mark.parametrize(
    ("training", "times", "expected"),
    [
        (MONTHS, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"], ["2026-05-31", "2026-06-30"]),
        (MONTHS, ["2026-01-30", "2026-02-28", "2026-03-30", "2026-04-30"], ["2026-05-30", "2026-06-30"]),
        (MONTHS, ["2025-10-15", "2025-11-15", "2025-12-15", "2026-01-15"], ["2026-02-15", "2026-03-15"]),
        (HOURS, ["2026-01-01T21:00", "2026-01-01T22:00", "2026-01-01T23:00", "2026-01-02"], ["2026-01-02T01:00:00"]),
        (HOURS, [f"2026-01-01T2{hour}:00+01:00" for hour in range(4)], ["2026-01-02T00:00:00+01:00"]),
        (QUARTERS, [f"2026-01-01 23:{minute}:00" for minute in ("00", 15, 30, 45)], ["2026-01-02 00:00:00"]),
        ([number / 2 for number in range(12)], ["1.5", "2", "2.5", "3"], ["3.5", "4"]),
        (range(12), ["7", "8", "9", "10"], ["11", "12"]),
    ],
)
def test_times_go_on_in_the_steps_of_the_series(
    training: Sequence[Any], times: Sequence[str], expected: Sequence[str]
) -> None:
    write([("a", time, 0, number) for number, time in enumerate(training)])
    train()
    write([("a", time, 0, number) for number, time in enumerate(times)])
    assert [row["day"] for row in predicted("--last")][: len(expected)] == expected


def test_rows_that_are_steps_whatever_their_times_go_on_from_monday_to_friday() -> None:
    weekdays = [day for day in days(date(2026, 1, 5), 28) if date.fromisoformat(day).weekday() < 5]
    write([("a", day, 0, number) for number, day in enumerate(weekdays[:10])])
    train(windows={"gaps": "ignore"})
    assert [row["day"] for row in predicted("--long")] == [
        day for start in range(4, 11) for day in weekdays[start : start + 2]
    ]


def test_unknown_times_are_empty_and_a_note_tells_it() -> None:
    write([("a", day, 0, number) for number, day in enumerate(days(date(2026, 1, 1), 10, step=3))])
    train(windows={"gaps": "ignore"})
    result = command("predict", "run", "--data", "series.csv", "--last")
    assert [line.split(",")[2] for line in result.stdout.splitlines()[1:]] == ["", ""]
    assert "forecasts lack times, since they are after the last row" in result.stderr
    assert predicted()[0]["forecast_day"] == days(date(2026, 1, 1), 10, step=3)[LENGTH]


def test_only_models_of_windows_forecast() -> None:
    write(history("a", 8))
    document = {
        "inputs": {"promo": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "sales", "units": 1}],
        "training": {"loss": "mse", "data": {"train": "series.csv"}},
    }
    Path("spec.json").write_text(json.dumps(document))
    command("train", "spec.json", "-o", "run", "--quiet")
    for option in ("--last", "--long"):
        result = command("predict", "run", "--data", "series.csv", option, status=2)
        assert f"{option} is for forecasts of time series" in result.stderr


# -- columns that are known in advance ---------------------------------------------------------------------------------


def read(**data: Any) -> dict[str, Any]:
    path = write_spec(future=True)
    document = json.loads(Path(path).read_text())
    document["training"]["data"] |= data
    Path(path).write_text(json.dumps(document))
    checked = check_spec(path)
    assert checked.objective is not None
    section = checked.network.training.data  # type: ignore[union-attr]
    values = section, SPEC_FILES, data_spec_of(checked.require(), checked.objective), SpecSource(path, checked.locate)
    return read_split(*values) or {"train": read_part("train", *values)}


def test_future_inputs_have_the_rows_of_the_horizon() -> None:
    write([*history("a", 8, future=2), *history("b", 7)])
    samples = read()["train"]
    assert len(samples) == 3 + 2  # no window has a target in the rows of the future
    batch = samples.take(slice(None))
    for past, plans, target in zip(batch["past"], batch["plans"], batch["sales/target"], strict=True):
        first = int(past[0, 0]) - 10
        assert past[:, 0].tolist() == [10 + first + step for step in range(LENGTH)]
        assert plans[:, 0].tolist() == [100 * (first + LENGTH + step) for step in range(HORIZON)]
        assert target.tolist() == [10 + first + LENGTH + step for step in range(HORIZON)]


def test_rows_of_the_future_are_in_no_part() -> None:
    write(history("a", 40, future=20))
    parts = read(split={"test": 0.25})
    assert {part: len(samples) for part, samples in parts.items()} == {"train": 30 - 5, "test": 10 - 5}


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_the_last_window_meets_the_rows_of_the_future(memory: str) -> None:
    write([*history("a", 8, future=2), *history("b", 9, future=3), *history("late", 9, future=1)])
    train(future=True)
    spec = json.loads(Path("spec.json").read_text())
    spec["training"]["data"]["memory"] = memory
    Path("spec.json").write_text(json.dumps(spec))
    command("train", "spec.json", "-o", "run", "--quiet", "--force")
    result = command("predict", "run", "--data", "series.csv", "--last", "-o", "out.csv")
    assert "series have no 2 rows of the future: 1 of 3 ('late' has 1 row)" in result.stderr
    with open("out.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["store"], row["day"]) for row in rows] == [
        *(("a", day) for day in days(date(2026, 1, 9), 2)),
        *(("b", day) for day in days(date(2026, 1, 10), 2)),
    ]
    session = jsonnx.Session("run/model.onnx")
    known = {"past": [[[14], [15], [16], [17]], [[15], [16], [17], [18]]], "plans": [[[800], [900]], [[900], [1000]]]}
    expected = session.run({name: np.array(array, np.float32) for name, array in known.items()})["sales"]
    np.testing.assert_allclose([float(row["sales"]) for row in rows], expected.ravel(), rtol=1e-5)


def test_an_imputation_of_the_past_leaves_the_rows_of_the_future_what_they_are() -> None:
    rows = history("a", 8, future=2)
    rows[2] = (*rows[2][:3], "")
    write(rows)
    spec = json.loads(Path(write_spec(future=True)).read_text())
    spec["training"]["data"]["missing"] = "drop"
    spec["layers"][0]["from"] = "filled"
    spec["layers"].insert(0, {"type": "Imputation", "name": "filled", "from": "past", "strategy": "mean"})
    Path("spec.json").write_text(json.dumps(spec))
    command("train", "spec.json", "-o", "run", "--quiet")
    assert [row["day"] for row in predicted("--last")] == days(date(2026, 1, 9), 2)


def test_all_windows_with_known_plans_are_predicted() -> None:
    write(history("a", 8, future=2))
    train(future=True)
    assert [row["forecast_day"] for row in predicted()] == days(date(2026, 1, 5), 5)


def test_windows_that_end_in_rows_of_the_future_are_not_left_out() -> None:
    write(history("a", 8, future=4))
    command("train", write_spec(future=True), "-o", "run", "--quiet", "--set", "training.data.missing=drop")
    result = command("predict", "run", "--data", "series.csv", "-o", "out.csv")
    assert "left out" not in result.stderr
    rows = history("a", 8, future=4)
    rows[2] = (*rows[2][:3], "")
    write(rows, "lacking.csv")
    result = command("predict", "run", "--data", "lacking.csv", "-o", "out.csv")
    assert "windows are left out: 3 of 5 (3 with missing values: 1 row without" in result.stderr


def test_a_file_without_rows_of_the_future_is_an_error() -> None:
    write(history("a", 8, future=2))
    train(future=True)
    write(history("a", 8), "known.csv")
    result = command("predict", "run", "--data", "known.csv", "--last", status=1)
    assert "needs 2 rows of the future, after the last known one; the series has 0\n" in result.stderr
    assert "add rows with the next times" in result.stderr
    write([*history("a", 8), *history("b", 8, future=1), *history("c", 8)], "known.csv")
    result = command("predict", "run", "--data", "known.csv", "--last", status=1)
    assert "the series 'a' has 0, and 2 other series have too few, too" in result.stderr


def test_known_rows_and_plans_may_not_be_empty() -> None:
    rows = history("a", 8, future=2)
    rows[3] = (*rows[3][:3], "")
    write(rows)
    result = command("train", write_spec(future=True), "-o", "run", status=1)
    assert "line 5, column 'sales': a number in 'sales' is missing" in result.stderr
    assert '`"missing": "drop"` in `training.data` leaves out the windows' in result.stderr
    assert "only the rows of the future" in result.stderr
    rows = history("a", 8, future=2)
    rows[9] = (*rows[9][:2], "", "")
    write(rows)
    result = command("train", write_spec(future=True), "-o", "run", status=1)
    assert "column 'promo': a number in 'promo' is missing" in result.stderr
    assert "known in advance" in result.stderr


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"future": "plan"}, "there is no input 'plan'"),
        ({"future": ["plans", "past"]}, "all inputs are in `future`"),
        ({"horizon": 0}, "`future` is about the rows of the horizon, which is 0"),
        ({"horizon": 3}, "the horizon has 3 steps, but the input 'plans' is"),
    ],
)
def test_wrong_future_inputs_are_errors(windows: dict[str, Any], message: str) -> None:
    result = command("validate", write_spec(future=True, windows=windows), status=1)
    assert message in result.stdout + result.stderr
