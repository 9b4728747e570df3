"""`jsonnx data`: statistics of columns, classes, equal samples, leaks and the first batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.data.describe.column_statistics import column_statistics
from jsonnx.data.describe.data_leaks import find_duplicates, find_leaks
from jsonnx.data.describe.raw_columns import recognised
from jsonnx.data.samples.sequences import Sequences
from support.commands import jsonnx

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_spec(*layers: dict[str, Any], data: dict[str, Any] | None = None, **keys: Any) -> None:
    document = {
        "inputs": {"x": {"shape": [2]}},
        "layers": list(layers) or [{"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "data": {"train": "train.csv", "x": ["a", "b"]} | (data or {}), "batch_size": 4},
        **keys,
    }
    Path("spec.json").write_text(json.dumps(document))


def write_rows(file: str, *rows: tuple[object, ...], header: str = "a,b,y") -> None:
    Path(file).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def described(status: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(jsonnx("data", "spec.json", "--format", "json", status=status).stdout)
    return document


def test_a_description_has_columns_classes_and_a_batch() -> None:
    document = json.loads(jsonnx("data", str(SAMPLES / "penguins.json"), "--format", "json").stdout)
    assert document["samples"] == {"train": 260, "test": 82}
    assert document["classes"]["species"]["train"] == {"Adelie": 115, "Chinstrap": 52, "Gentoo": 93}
    columns = {column["name"]: column for column in document["files"]["train"]["columns"]}
    assert columns["sex"]["used_as"] == ["input sex"]
    assert (columns["sex"]["type"], columns["sex"]["missing"], columns["sex"]["distinct"]) == ("text", 8, 2)
    mass = columns["body_mass_g"]
    assert (mass["type"], mass["min"], mass["max"]) == ("integer", 2850, 6300)
    assert document["diagnostics"] == document["leaks"] == []
    batch = {array["name"]: array for array in document["batch"]}
    assert batch["measurements"]["shape"] == [32, 4]
    assert batch["measurements"]["dtype"] == "float32"
    assert batch["island"]["first_values"][0] in ("Biscoe", "Dream", "Torgersen")


def test_the_text_names_equal_samples_and_leaks() -> None:
    rows = [(index, 3 * index * index, 2.0 * index + 1) for index in range(40)]
    write_rows("train.csv", *rows, rows[5])
    write_rows("test.csv", (100, 1, 2), rows[7])
    write_spec(data={"test": "test.csv"})
    result = jsonnx("data", "spec.json")
    assert "in train: 1 sample is equal to an earlier one" in result.stdout
    assert "in test: 1 sample is in train, too: sample 2 equals sample 8 of train" in result.stdout
    assert "a has a correlation of 1.0000 with y" in result.stdout
    assert "a is 0 to 39 in train, 7 to 100 in test" in result.stdout


def test_data_that_training_refuses_are_described_nevertheless() -> None:
    write_rows("train.csv", (1, 2, 3), ("", 2, 4), ("n/a", 5, 5))
    write_spec()
    result = jsonnx("data", "spec.json", status=1)
    assert "column 'a' has no number in 2 of 3 rows, in lines 3, 4" in result.stderr
    document = described(status=1)
    column = document["files"]["train"]["columns"][0]
    assert (column["name"], column["count"], column["missing"], column["min"]) == ("a", 1, 2, 1)
    assert document["samples"] == {}
    assert document["batch"] == []
    assert [item["code"] for item in document["diagnostics"]] == ["bad-value"]
    assert document["duplicates"]["within"] == {"train": 0}


def test_a_file_that_does_not_exist_has_exit_status_2() -> None:
    write_spec()
    assert "train.csv" in jsonnx("data", "spec.json", status=2).stderr
    write_rows("other.csv", *[(index, 1, 2) for index in range(5)])
    assert "samples      5" in jsonnx("data", "spec.json", "--data", "other.csv").stdout


def test_split_validation_data_are_compared_with_the_rest() -> None:
    write_rows("train.csv", *[(index % 8, 1, index) for index in range(10)])
    write_spec(data={"validation_split": 0.2})
    document = described()
    assert document["samples"] == {"train": 8, "validation": 2}
    assert document["duplicates"]["in_train"] == {"validation": 2}
    assert document["duplicates"]["first"] == {"validation": {"sample": 1, "train_sample": 1}}


def test_windows_of_series_are_not_compared() -> None:
    write_rows("train.csv", *[(index, 1, index) for index in range(40)])
    windows = {"windows": {"length": 4, "horizon": 1}, "split": {"validation": 0.2}}
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}]
    write_spec(*layers, data=windows, inputs={"x": {"shape": [4, 2]}})
    document = described()
    assert document["duplicates"] is None
    assert document["batch"][0]["shape"] == [4, 4, 2]


def test_a_spec_without_training_describes_the_inputs_of_a_file() -> None:
    Path("spec.json").write_text(json.dumps({"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Softmax"}]}))
    np.savez("new.npz", x=np.arange(6.0).reshape(3, 2))
    document = json.loads(jsonnx("data", "spec.json", "--data", "new.npz", "--format", "json").stdout)
    assert document["samples"] == {"data": 3}
    assert document["files"]["data"]["columns"][0]["shape"] == [2]


@pytest.mark.parametrize(
    ("values", "dtype", "missing"),
    [
        (["1", "2", " 3"], "int64", 0),
        (["1", "", "3"], "float64", 1),
        (["1.5", "?", "NaN"], "float64", 2),
        (["1_000", "2"], "object", 0),
        (["red", "", "n/a", "none"], "object", 2),
        (["", ""], "object", 2),
        ([True, False], "bool", 0),
        ([True, 2], "int64", 0),
        ([1, None, 2.5], "float64", 1),
        ([1 << 70, 1], "float64", 0),
        ([10**400, 1], "float64", 0),
        (["a", 3], "object", 0),
    ],
)
def test_types_of_columns_are_recognised(values: list[Any], dtype: str, missing: int) -> None:
    column = recognised(values)
    assert column.dtype == dtype
    assert column_statistics("x", column).missing == missing


def test_decimal_commas_are_read_if_the_spec_says_so() -> None:
    assert recognised(["1,5", "2"], ",").tolist() == [1.5, 2.0]
    assert recognised(["1.5", "2"], ",").dtype == object


def test_statistics_leave_out_missing_and_infinite_numbers() -> None:
    item = column_statistics("x", np.array([1.0, 3.0, np.nan, np.inf, 3.0]))
    assert (item.count, item.missing, item.infinite, item.distinct) == (4, 1, 1, 3)
    assert (item.min, item.max, item.most_frequent[0]) == (1.0, 3.0, (3.0, 2))
    assert item.mean == pytest.approx(7 / 3)


RANDOM = np.random.default_rng(0)
CLASSES = np.array([f"class {number}" for number in RANDOM.integers(0, 3, 400)], object)


@pytest.mark.parametrize(
    ("column", "leaks"),
    [
        (np.array([text.upper() for text in CLASSES], object), True),  # another spelling of the class
        (np.array([float(text[-1]) for text in CLASSES]) + RANDOM.uniform(0, 0.5, 400), True),  # an interval a class
        (np.arange(400), False),  # an identifier
        (np.array([f"row {index}" for index in range(400)], object), False),
        (RANDOM.normal(size=400), False),
        (np.array([float(text[-1]) for text in CLASSES]) + RANDOM.normal(0, 0.4, 400), False),  # a good predictor
    ],
)
def test_columns_that_give_a_class_away_are_found(column: np.ndarray, leaks: bool) -> None:
    found = find_leaks({"x": column}, "y", CLASSES, has_classes=True)
    assert [leak.measure for leak in found] == ["accuracy"] * leaks


def test_columns_that_give_a_number_away_are_found() -> None:
    target = RANDOM.normal(size=300)
    columns = {"scaled": 3 * target + 1, "exponential": np.exp(5 * target), "noisy": target + RANDOM.normal(size=300)}
    assert {leak.column for leak in find_leaks(columns, "y", target, False)} == {"scaled", "exponential"}
    matrix = np.stack([RANDOM.normal(size=300), -target], 1)
    assert [leak.column for leak in find_leaks({"m": matrix}, "y", target, False)] == ["m[1]"]


def test_equal_samples_have_equal_inputs_in_any_element_type() -> None:
    train = {"x": np.array([[1, 2], [3, 4], [1, 2]]), "s": np.array(["a", "b", "a"], object)}
    test = {"x": np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.5]]), "s": np.array(["a", "b", "b"], object)}
    duplicates = find_duplicates({"train": train, "test": test})
    assert duplicates.within == {"train": 1, "test": 0}
    assert duplicates.in_train == {"test": 1}
    assert duplicates.first == {"test": (1, 1)}


def test_equal_sequences_are_duplicates_of_any_padding() -> None:
    steps = np.array([[1.0], [2.0], [1.0], [2.0], [1.0]], np.float32)
    sequences = Sequences.of(steps, np.array([2, 2, 1]), 0.0)
    assert find_duplicates({"train": {"x": sequences}}).within == {"train": 1}


# -- columns in use ----------------------------------------------------------------------------------------------------


def roles(document: dict[str, Any]) -> dict[str, list[str]]:
    return {column["name"]: column["used_as"] for column in document["files"]["train"]["columns"]}


def test_columns_that_order_divide_and_weigh_rows_are_in_use() -> None:
    rows = [(index, 2 * index, index % 2, 1.0, "n", index // 2, f"2026-01-{index + 1:02}") for index in range(24)]
    write_rows("train.csv", *rows, header="a,b,y,w,shop,kind,day")
    split = {"validation": 0.25, "test": 0.25, "group": "kind"}
    write_spec(data={"x": ["a", "b"], "y": "y", "sample_weight": "w", "split": split})
    document = described()
    assert roles(document) == {
        "a": ["input x"],
        "b": ["input x"],
        "y": ["target y"],
        "w": ["sample weight of y"],
        "kind": ["split.group"],
    }
    assert document["files"]["train"]["unused"] == ["shop", "day"]
    assert "not used: shop, day" in jsonnx("data", "spec.json").stdout
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}]
    windows = {"length": 2, "by": "shop", "time": "day"}
    write_spec(*layers, data={"windows": windows}, inputs={"x": {"shape": [2, 2]}})
    assert (roles(described())["shop"], roles(described())["day"]) == (["windows.by"], ["windows.time"])


def test_patterns_name_columns_in_use() -> None:
    write_rows("train.csv", *[(index, 2 * index, index % 2, "n") for index in range(24)], header="a,b,y,id")
    write_spec(data={"x": ["*", "!id"]})
    assert roles(described()) == {"a": ["input x"], "b": ["input x"], "y": ["target y"]}


def test_columns_that_are_not_used_are_not_read() -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    count = 20_000
    texts = pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), ["x" * 1_000_000])  # 20 GB in all rows
    numbers = {name: np.arange(count) for name in ("a", "b", "y")}
    parquet.write_table(pa.table({**numbers, "text": texts}), "train.parquet")
    write_spec(data={"train": "train.parquet"})
    assert described()["files"]["train"]["unused"] == ["text"]
