"""`windows.time`: the step of series, and gaps, which are errors, skipped, filled or ignored."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.time_step import TimeStep
from jsonnx.data.rows.time_spacing import UNEVEN, infer_step, step_counts
from jsonnx.data.samples.dataset import Dataset
from jsonnx.pipeline.first_spec.describe_data import describe_data
from support.commands import jsonnx as command

from .test_windows import read

LENGTH = 3


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def days(*numbers: int) -> list[str]:
    return [(date(2026, 1, 1) + timedelta(number)).isoformat() for number in numbers]


def write(rows: list[tuple[Any, ...]], file: str = "series.csv", header: tuple[str, ...] = ("t", "v")) -> None:
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def spec(gaps: str | None = None, layers: list[Any] | None = None, x: Any = "v", features: int = 1, **keys: Any) -> str:
    windows = {"length": LENGTH, "time": "t"} | ({} if gaps is None else {"gaps": gaps})
    windows |= {name: keys.pop(name) for name in ("step", "by", "horizon", "stride") if name in keys}
    document = {
        "inputs": keys.pop("inputs", {"x": {"shape": [LENGTH, features]}}),
        "layers": layers or [{"type": "Flatten"}, {"type": "Dense", "name": "v", "units": keys.pop("units", 1)}],
        "training": {
            "loss": "mse",
            "data": {"train": "series.csv", "x": x, "windows": windows} | keys,
            "optimizer": {"type": "sgd", "learning_rate": 1e-9},
        },
    }
    Path("spec.json").write_text(json.dumps(document))
    return "spec.json"


def windows_of(dataset: Dataset, name: str = "x") -> list[tuple[list[Any], list[int]]]:
    feeds = dataset.take(slice(None))
    return [
        (x.reshape(-1).tolist(), y.reshape(-1).astype(int).tolist())
        for x, y in zip(feeds[name], feeds["v/target"], strict=True)
    ]


def errors_of(path: str) -> list[Any]:
    return [item for item in jsonnx.validate(path, data=True) if item.severity == "error"]


def notes_of(path: str) -> dict[str, str]:
    return {item.code: item.message for item in jsonnx.validate(path, data=True) if item.severity == "note"}


# -- steps -------------------------------------------------------------------------------------------------------------


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]")


MONTH_ENDS = dates("2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30")


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (np.array([0.0, 0.1, 0.2, 0.30000000000000004, 0.5]), 0.1),
        (np.array([1.0, 2.0, 3.0, 10.0]), 1.0),
        (dates(*days(0, 1, 2, 5, 6)), "1d"),
        (dates(*days(0, 7, 14, 28)), "1w"),
        (dates(*days(0, 28, 56, 84)), "4w"),
        (dates("2026-01-01T00:00", "2026-01-01T00:15", "2026-01-01T00:30", "2026-01-01T01:30"), "15min"),
        (dates(*(f"2026-{month:02}-01" for month in range(1, 13))), "1mo"),
        (MONTH_ENDS, "1mo"),
        (dates(*(f"2026-{month:02}-30" for month in range(3, 13))), "1mo"),
        (dates("2025-01-01", "2025-04-01", "2025-07-01", "2025-10-01", "2026-01-01"), "3mo"),
        (dates("2020-12-31", "2021-12-31", "2022-12-31", "2023-12-31", "2024-12-31"), "1y"),
    ],
)
def test_the_most_frequent_difference_is_the_step(times: np.ndarray, step: str | float) -> None:
    inferred = infer_step(times[:-1], times[1:])
    assert inferred is not None
    assert inferred.written == pytest.approx(step)
    counts = step_counts(times[:-1], times[1:], inferred)
    assert (counts >= 1).all()


def test_equal_times_have_no_step() -> None:
    assert infer_step(np.array([1.0]), np.array([1.0])) is None


@pytest.mark.parametrize(
    ("before", "after", "step", "count"),
    [
        ("2026-01-31", "2026-03-31", "1mo", 2),
        ("2026-01-31", "2026-02-28", "1mo", 1),
        ("2026-01-15", "2026-02-16", "1mo", UNEVEN),
        ("2026-01-01", "2026-03-01", "3mo", UNEVEN),
        ("2026-01-01T00:00", "2026-01-01T01:30", "1h", UNEVEN),
        ("2026-03-28T23:00", "2026-03-29T22:00", "1d", 1),  # midnight in Berlin, before and after the change of clocks
        ("2026-01-01", "2026-01-01", "1d", 0),
        ("2026-01-01T00:00", "2026-01-01T00:20", "1d", UNEVEN),
    ],
)
def test_numbers_of_steps(before: str, after: str, step: str, count: int) -> None:
    parsed = TimeStep.of(step)
    assert parsed is not None
    assert step_counts(dates(before), dates(after), parsed).tolist() == [count]


# -- gaps --------------------------------------------------------------------------------------------------------------


def test_a_gap_is_an_error_that_shows_where_and_what_to_do() -> None:
    write([(day, station, 1) for station in "ab" for day in days(0, 1, 2, 4, 5, 8)], header=("t", "s", "v"))
    (error,) = errors_of(spec(by="s"))
    assert (error.code, error.file, error.line) == ("time-gap", "series.csv", 5)
    assert "1 step of 1d is missing between 2026-01-03 and 2026-01-05 in the series 'a' of 's'" in error.message
    assert "3 more like it in lines 7, 11 and 13" in error.message.replace("11, 13", "11 and 13")
    assert "2 of 2 series" in error.help
    for choice in ("skip", "fill", "ignore"):
        assert f'"{choice}"' in error.help


def test_weekends_are_recognised_in_the_help_for_gaps() -> None:
    write([(day, 1) for day in days(*(number for number in range(30) if number % 7 not in (2, 3)))])  # 1 is a Friday
    (error,) = errors_of(spec())
    assert "4 of these gaps are weekends; " in error.help


def test_digits_of_dates_are_recognised_in_the_help_for_gaps() -> None:
    write([(day.replace("-", ""), 1) for day in days(*range(40))])
    (error,) = errors_of(spec())
    assert error.help.startswith("1 is the most frequent difference; 20261127 counts as a number: write dates like")


@pytest.mark.parametrize(
    ("step", "times"),
    [(1e-30, (0, 1, 2, 3)), (1e30, (0, 1, 2, 3)), (None, (-1.7e308, 0, 1.7e308)), ("1000000y", days(0, 1, 2, 3))],
)
def test_extreme_times_and_steps_are_errors(step: Any, times: tuple[Any, ...]) -> None:
    write([(time, 1) for time in times])
    for gaps in ("error", "fill"):
        errors = errors_of(spec(gaps, step=step))
        assert {error.code for error in errors} <= {"time-gap", "uneven-times", "empty-data"}
        assert errors or gaps == "fill"


def test_windows_that_cross_a_gap_are_skipped() -> None:
    write([(day, number) for number, day in zip((0, 1, 2, 3, 6, 7, 8, 9), days(0, 1, 2, 3, 6, 7, 8, 9), strict=True)])
    dataset = read(spec("skip"))["train"]
    assert windows_of(dataset) == [([0, 1, 2], [3]), ([6, 7, 8], [9])]
    assert notes_of("spec.json")["skipped-windows"] == (
        "windows are left out: 3 of 5 of `train` (3 across 1 gap, which lack 2 steps of 1d)"
    )


def test_filled_rows_repeat_the_row_before_and_are_no_targets() -> None:
    write([(day, number) for number, day in zip((0, 1, 2, 5, 6, 7), days(0, 1, 2, 5, 6, 7), strict=True)])
    assert windows_of(read(spec("fill"))["train"]) == [
        ([2, 2, 2], [5]),
        ([2, 2, 5], [6]),
        ([2, 5, 6], [7]),
    ]
    assert windows_of(read(spec("fill", horizon=2, units=2))["train"]) == [([2, 2, 2], [5, 6]), ([2, 2, 5], [6, 7])]
    assert "2 rows that fill gaps" in notes_of("spec.json")["skipped-windows"]


def test_rows_are_steps_if_gaps_are_ignored() -> None:
    write([(day, number) for number, day in enumerate(days(1, 2, 5, 6, 7, 8, 9, 12))])
    assert [x for x, _ in windows_of(read(spec("ignore"))["train"])] == [[i, i + 1, i + 2] for i in range(5)]


def test_long_gaps_are_filled_as_far_as_windows_with_a_target_reach() -> None:
    write([*((number, number) for number in range(4)), (10**12, 10), (10**12 + 1, 11)])
    dataset = read(spec("fill", step=1))["train"]
    assert windows_of(dataset)[1:] == [([3, 3, 3], [10]), ([3, 3, 10], [11])]
    assert len(dataset.inputs["x"]) == 6 + LENGTH


def test_an_imputation_fills_the_rows_of_gaps() -> None:
    write([(day, number) for number, day in zip((0, 1, 2, 4, 5), days(0, 1, 2, 4, 5), strict=True)])
    layers = [{"type": "Imputation"}, {"type": "Flatten"}, {"type": "Dense", "name": "v", "units": 1}]
    (first, target), *_ = windows_of(read(spec("fill", layers))["train"])
    assert (first[:2], target) == ([1, 2], [4])
    assert np.isnan(first[2])


@pytest.mark.parametrize("memory", ["load", "stream"])
@pytest.mark.parametrize(
    ("times", "added"),
    [
        (days(0, 1, 3, 4), "2026-01-03"),
        (["2026-01-01 10:00", "2026-01-01 11:00", "2026-01-01 13:00"], "2026-01-01 12:00"),
    ],
)
def test_the_time_of_a_filled_row_is_its_own(times: list[str], added: str, memory: str) -> None:
    write([(time, number) for number, time in enumerate(times)])
    inputs = {"t": {"shape": [LENGTH], "dtype": "string"}, "v_": {"shape": [LENGTH]}}
    layers = [
        {"type": "DateFeatures", "features": ["days"], "from": "t"},
        {"type": "Flatten", "name": "d"},
        {"type": "Concatenate", "from": ["d", "v_"]},
        {"type": "Dense", "name": "v", "units": 1},
    ]
    path = spec("fill", layers, {"t": "t", "v_": "v"}, inputs=inputs, memory=memory)
    assert windows_of(read(path)["train"], "t")[0][0] == [*times[:2], added]


def test_numbers_that_are_times_are_filled_too_also_in_a_stream() -> None:
    write([(number, 10 * number) for number in (0, 1, 2, 5, 6)])
    expected = None
    for memory in ("load", "stream"):
        dataset = read(spec("fill", x=["v", "t"], features=2, memory=memory))["train"]
        assert windows_of(dataset)[0] == ([20, 2, 20, 3, 20, 4], [50])
        feeds = dataset.take(np.array([1, 0]))["x"]
        expected = feeds if expected is None else expected
        assert (feeds == expected).all()


def test_series_may_span_several_files_with_a_gap_between_them() -> None:
    write([(day, 1) for day in days(0, 1, 2, 3)], "a.csv")
    write([(day, 1) for day in days(5, 6, 7)], "b.csv")
    (error,) = errors_of(spec(train=["a.csv", "b.csv"]))
    assert (error.code, error.file, error.line) == ("time-gap", "b.csv", 2)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_rows_of_all_formats_are_located(suffix: str) -> None:
    rows = [{"t": day, "v": number} for number, day in enumerate(days(0, 1, 2, 3, 5, 6))]
    if suffix == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), "t.parquet")
    else:
        Path(f"t.{suffix}").write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    (error,) = errors_of(spec(train=f"t.{suffix}"))
    assert error.code == "time-gap"
    assert error.message.startswith("row 5, column 't': ")


def test_uneven_times_are_errors_also_where_gaps_are_filled() -> None:
    write([(number, 1) for number in (0, 1, 2, 3, 4.5, 5.5)])
    for gaps in (None, "fill"):
        (error,) = errors_of(spec(gaps))
        assert (error.code, error.line) == ("uneven-times", 6)
        assert "goes from 3 to 4.5, which is no multiple of 1" in error.message
    assert len(read(spec("skip"))["train"]) == 1


def test_equal_times_are_errors_that_name_the_column_of_the_series() -> None:
    write([(day, station, 1) for station in "ab" for day in days(0, 1, 2, 3, 4)], header=("t", "s", "v"))
    for gaps in (None, "skip", "fill", "ignore"):
        (error,) = errors_of(spec(gaps))
        assert (error.code, error.line) == ("equal-times", 7)
        assert error.help.startswith('"by": "s" in `windows` tells the series apart')
    assert not errors_of(spec(by="s"))


def test_the_step_of_the_spec_counts() -> None:
    write([(day, 1) for day in days(0, 2, 4, 6, 7)])
    assert {error.code for error in errors_of(spec())} == {"uneven-times"}
    (error,) = errors_of(spec(step="1d"))
    assert error.code == "time-gap"
    (error,) = errors_of(spec(step=1))
    assert (error.code, error.path) == ("bad-split", "$.training.data.windows.step")


def test_a_step_of_several_months() -> None:
    write([(f"{year}-{month:02}-01", 1) for year in (2024, 2025) for month in (1, 4, 7, 10)])
    assert not errors_of(spec())
    write([(f"{year}-{month:02}-01", 1) for year in (2024, 2025) for month in (1, 4, 10)])
    (error,) = errors_of(spec(step="3mo"))
    assert "1 step of 3mo is missing between 2024-04-01 and 2024-10-01" in error.message


# -- missing values ----------------------------------------------------------------------------------------------------


def test_windows_with_a_row_without_value_are_dropped_and_rows_are_not() -> None:
    write([(number, "" if number == 5 else number) for number in range(12)])
    path = spec(missing="drop")
    assert [x for x, _ in windows_of(read(path)["train"])] == [
        [0, 1, 2],
        [1, 2, 3],
        *([i, i + 1, i + 2] for i in (6, 7, 8)),
    ]
    assert notes_of(path)["skipped-windows"] == (
        "windows are left out: 4 of 9 of `train` (4 with missing values: 1 row without a number in 'v')"
    )


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_a_missing_target_drops_only_the_windows_whose_target_it_is(memory: str) -> None:
    write([(number, number, "" if number == 5 else number) for number in range(9)], header=("t", "u", "v"))
    dataset = read(spec(x="u", missing="drop", memory=memory))["train"]
    assert [y for _, y in windows_of(dataset)] == [[3], [4], [6], [7], [8]]
    write([(number, "" if number == 5 else number) for number in range(9)])
    layers = [{"type": "Imputation"}, {"type": "Flatten"}, {"type": "Dense", "name": "v", "units": 1}]
    dataset = read(spec(None, layers, missing="drop", memory=memory))["train"]
    assert [y for _, y in windows_of(dataset)] == [[3], [4], [6], [7], [8]]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("gaps", ["skip", "fill"])
def test_training_on_a_stream_equals_training_on_loaded_windows(gaps: str, suffix: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (day, station, int(rng.integers(100)) if rng.random() < 0.95 else None)
        for day in days(*range(80))
        for station in "ab"
        if rng.random() < 0.9
    ]
    if suffix == "csv":
        write([tuple("" if value is None else value for value in row) for row in rows], header=("t", "s", "v"))
    else:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns = dict(zip(("t", "s", "v"), zip(*rows, strict=True), strict=True))
        parquet.write_table(pa.table({n: list(c) for n, c in columns.items()}), "series.parquet", row_group_size=32)
    layers = [{"type": "Imputation"}, {"type": "Flatten"}, {"type": "Dense", "name": "v", "units": 1}]
    keys: dict[str, Any] = {"by": "s", "missing": "drop", "split": {"validation": 0.2}, "train": f"series.{suffix}"}
    weights = []
    for memory in ("load", "stream"):
        trainer = jsonnx.Trainer(spec(gaps, layers, memory=memory, **keys))
        trainer.fit(shuffle=False)
        weights.append(trainer.weights())
    for name, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][name], weight, rtol=1e-6, err_msg=name)


def test_a_prediction_has_a_row_for_each_window_without_a_gap_and_a_missing_value() -> None:
    header = ("t", "s", "v")
    write([(day, "a", number) for number, day in enumerate(days(*range(12)))], header=header)
    command("train", spec("skip", by="s", missing="drop"), "-o", "run", "--quiet")
    trained = json.loads(command("inspect", "run/model.onnx", "--spec", "-").stdout)
    assert trained["training"]["data"]["windows"]["step"] == "1d"
    write(
        [
            *(
                (day, "a", "" if number == 9 else number)
                for number, day in enumerate(days(0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12))
            ),
            *((day, "b", 1) for day in days(0, 1)),
        ],
        "new.csv",
        header,
    )
    result = command("predict", "run", "--data", "new.csv", "--id", "t")
    assert [line.split(",")[:2] for line in result.stdout.splitlines()[1:]] == [
        [str(row), day] for row, day in zip((2, 5, 6, 7, 8), days(2, 7, 8, 9, 10), strict=True)
    ]
    assert (
        "2 across 1 gap, which lack 2 steps of 1d; 2 with missing values: 1 row without a number in 'v'"
        in result.stderr
    )
    assert "series have no window of 3 rows: 1 of 2 ('b' has 2 rows)" in result.stderr


def test_a_long_series_without_a_window_is_named_with_the_cause() -> None:
    header = ("t", "s", "v")
    write([(day, "a", number) for number, day in enumerate(days(*range(12)))], header=header)
    command("train", spec("skip", by="s", missing="drop"), "-o", "run", "--quiet")
    series = {"a": days(0, 1, 2, 3, 4, 5, 7, 8), "b": days(0, 2, 4, 6), "c": days(0, 1, 2, 3, 4)}
    values = [(day, name, "" if (name, day) == ("c", days(4)[0]) else 1) for name in series for day in series[name]]
    write(values, "new.csv", header)
    result = command("predict", "run", "--data", "new.csv", "--last", status=1)
    assert "all of them have gaps or missing values" in result.stderr
    write([*values, *((day, "d", 1) for day in days(0, 1, 2))], "new.csv", header)
    result = command("predict", "run", "--data", "new.csv", "--last")
    assert "3 of 4 ('a' has 8 rows, with a gap in its last 3 rows" in result.stderr
    assert "'c' has 5 rows, with a missing value in its last 3 rows" in result.stderr
    result = command("predict", "run", "--data", "new.csv")
    assert "1 of 4 ('b' has 4 rows, with a gap in each window)" in result.stderr


def test_a_prediction_on_two_rows_uses_the_step_of_the_training() -> None:
    write([(day, number) for number, day in enumerate(days(*range(12)))])
    command("train", spec("error"), "-o", "run", "--quiet")
    write([(day, 1) for day in days(0, 2, 4, 6)], "new.csv")
    result = command("predict", "run", "--data", "new.csv", status=1)
    assert "1 step of 1d is missing between 2026-01-01 and 2026-01-03" in result.stderr


def test_a_filled_row_has_no_prediction() -> None:
    write([(day, number) for number, day in enumerate(days(*range(12)))])
    command("train", spec("fill"), "-o", "run", "--quiet")
    write([(day, 1) for day in days(0, 1, 2, 4, 5)], "new.csv")
    result = command("predict", "run", "--data", "new.csv")
    assert [line.split(",")[0] for line in result.stdout.splitlines()[1:]] == ["2", "3", "4"]


def test_the_description_of_data_counts_windows() -> None:
    write([(day, number) for number, day in enumerate(days(0, 1, 2, 3, 6, 7, 8, 9))])
    counts = describe_data(spec("skip")).window_counts["train"]
    assert counts.step is not None
    assert (counts.step.written, counts.gap_count, counts.missing_steps, counts.across_gaps) == ("1d", 1, 2, 3)
    text = command("data", "spec.json").stdout
    assert "windows of time series" in text
    document = json.loads(command("data", "spec.json", "--format", "json").stdout)
    assert document["windows"]["train"]["left_out"] == {
        "across_gaps": 3,
        "with_missing_values": 0,
        "with_filled_target": 0,
    }


def test_too_many_rows_to_fill_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jsonnx.data.rows.series.MAX_FILLED_ROWS", 3)
    write([(number, 1) for number in (0, 1, 2, 3, 9, 10)])
    (error,) = errors_of(spec("fill", horizon=2))
    assert error.code == "too-large"


def test_dates_of_a_time_zone_are_compared_in_utc() -> None:
    hours = [datetime(2026, 10, 25, hour) for hour in range(6)]
    offsets = ["+02:00", "+02:00", "+02:00", "+01:00", "+01:00", "+01:00"]
    local = [0, 1, 2, 2, 3, 4]
    write([(hours[hour].isoformat() + offset, 1) for hour, offset in zip(local, offsets, strict=True)])
    assert not errors_of(spec())


# -- all together ------------------------------------------------------------------------------------------------------


def expected_windows(
    series: dict[str, dict[int, int | None]], gaps: str, horizon: int, all_steps: bool
) -> list[tuple[list[int], list[int]]]:
    """The windows of series of values by time, None for a missing one, found time by time."""
    windows = []
    for rows in series.values():
        times = sorted(rows) if gaps == "ignore" else range(min(rows), max(rows) + 1)
        values: list[int | None] = []
        is_added: list[bool] = []
        for time in times:
            is_added.append(time not in rows)
            values.append(rows[time] if time in rows else values[-1])
        for start in range(len(values) - LENGTH - horizon + 1):
            targets = range(start + LENGTH if all_steps else start + LENGTH - 1 + horizon, start + LENGTH + horizon)
            span = range(start, start + LENGTH + horizon)
            if gaps == "skip" and any(is_added[step] for step in span):
                continue
            if any(is_added[step] for step in targets) or any(values[step] is None for step in targets):
                continue
            if all(values[step] is not None for step in range(start, start + LENGTH)):
                windows.append((values[start : start + LENGTH], [values[step] for step in targets]))
    return windows  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(12))
def test_windows_of_random_series_are_those_found_time_by_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    series: dict[str, dict[int, int | None]] = {}
    for name in "abc":
        times = [time for time in range(40) if rng.random() < 0.8]
        series[name] = {time: int(rng.integers(100)) if rng.random() < 0.95 else None for time in times}
    rows = [(time, name, "" if value is None else value) for name in series for time, value in series[name].items()]
    write([rows[index] for index in rng.permutation(len(rows))], header=("t", "s", "v"))
    for gaps in ("skip", "fill", "ignore"):
        for horizon, units in ((1, 1), (3, 1), (3, 3), (0, 1)):
            path = spec(gaps, step=1, by="s", missing="drop", horizon=horizon, units=units)
            expected = expected_windows(series, gaps, horizon, units > 1)
            dataset = read(path)["train"]
            assert sorted(windows_of(dataset)) == sorted(expected)
            if gaps == "ignore":
                continue
            counts = dataset.counts
            assert counts is not None
            missing = sum(max(rows) - min(rows) + 1 - len(rows) for rows in series.values())
            assert counts.missing_steps == missing


def test_counts_of_missing_values_are_those_of_a_part() -> None:
    write([(number, "" if number in (3, 4, 29) else number) for number in range(40)])
    notes = notes_of(spec(missing="drop", split={"validation": 0.2, "test": 0.2}))
    assert "of `train` (5 with missing values: 2 rows without a number in 'v')" in notes["skipped-windows"]
    assert "of `validation` (3 with missing values: 1 row without a number in 'v')" in notes["skipped-windows"]
    assert "`test`" not in notes["skipped-windows"]


def test_patterns_of_columns_are_recorded_also_for_windows() -> None:
    write([(number, number, 1) for number in (0, 1, 2, 4, 5, 6, 7)], header=("t", "a", "v"))
    command("train", spec("fill", x=["*"], features=2), "-o", "run", "--quiet")
    data = json.loads(command("inspect", "run/model.onnx", "--spec", "-").stdout)["training"]["data"]
    assert (data["x"], data["windows"]["step"]) == (["t", "a"], 1)
    assert windows_of(read("spec.json")["train"])[0] == ([1, 1, 2, 2, 3, 2], [1])
