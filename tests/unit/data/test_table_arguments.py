"""Tables in Python as data: tables of Arrow and lists of rows. `tests/environments/frames` has pandas and polars."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.data.samples.array_arguments import is_batch_iterable, is_table
from jsonnx.data.samples.data_errors import FeedError

COUNT = 40
TABLES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "rows": lambda rows: rows,
    "table": pa.Table.from_pylist,
    "batch": lambda rows: pa.RecordBatch.from_pylist(rows),
    "reader": lambda rows: pa.Table.from_pylist(rows).to_reader(max_chunksize=7),
    "stream": lambda rows: Stream(pa.Table.from_pylist(rows)),
}


ONE_NUMBER: dict[str, Any] = {
    "inputs": {"a": {"shape": [1]}},
    "layers": [{"type": "Imputation", "strategy": "mean"}, {"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse", "epochs": 1, "seed": 0},
}


class Stream:
    """A frame of another library, which has columns and Arrow's protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table, self.columns = table, table.schema.names

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def rows(**changes: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    made = [
        {
            "age": int(rng.integers(1, 90)),
            "income": float(rng.normal()),
            "member": bool(rng.integers(2)),
            "city": ["Bonn", "Kiel"][rng.integers(2)],
            "joined": date(2026, 1, 1 + number % 28),
            "weight": float(rng.random()),
            "answer": ["no", "yes"][number % 2],
        }
        for number in range(COUNT)
    ]
    made[3] |= {"age": None, "income": None, "member": None}
    for key, value in changes.items():
        made[5][key] = value
    return made


def spec(**data: Any) -> dict[str, Any]:
    return {
        "inputs": {
            "numbers": {"shape": [3]},
            "city": {"shape": [], "dtype": "string"},
            "joined": {"shape": [], "dtype": "string"},
        },
        "layers": [
            {"type": "Imputation", "name": "known", "from": "numbers", "strategy": "mean"},
            {"type": "StringLookup", "name": "place", "from": "city", "vocabulary": ["Bonn", "Kiel"],
             "output_mode": "one_hot"},
            {"type": "DateFeatures", "name": "day", "from": "joined", "features": ["day"]},
            {"type": "Concatenate", "from": ["known", "place", "day"]},
            {"type": "Dense", "name": "answer", "units": 1, "activation": "sigmoid"},
        ],
        "training": {
            "data": {
                "train": "data.parquet",
                "x": {"numbers": ["age", "income", "member"]},
                "sample_weight": "weight",
                **data,
            },
            "loss": "binary_crossentropy",
            "optimizer": "adam",
            "epochs": 2,
            "seed": 0,
        },
    }  # fmt: skip


def fitted(document: dict[str, Any], *arguments: Any, **options: Any) -> tuple[jsonnx.Trainer, dict[str, list[float]]]:
    trainer = jsonnx.Trainer(document)
    return trainer, trainer.fit(*arguments, verbose=0, **options).history


def assert_equal_weights(trainer: jsonnx.Trainer, other: jsonnx.Trainer) -> None:
    for weight, expected in zip(trainer.weights().values(), other.weights().values(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("data", [{}, {"split": {"validation": 0.25, "key": "weight"}}, {"validation_split": 0.25}])
def test_a_table_trains_as_its_file_does(kind: str, data: dict[str, Any]) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), "data.parquet")
    expected, history = fitted(spec(**data))
    trainer, own_history = fitted(spec(**data), TABLES[kind](rows()))
    assert own_history == history
    assert_equal_weights(trainer, expected)
    assert trainer.evaluate(TABLES[kind](rows())) == expected.evaluate(TABLES["table"](rows()))
    inputs = [{key: row[key] for key in ("age", "income", "member", "city", "joined")} for row in rows()]
    predicted = trainer.predict(TABLES[kind](inputs))
    np.testing.assert_array_equal(predicted, trainer.predict(rows()))
    session = jsonnx.Session(trainer.model())
    np.testing.assert_allclose(session.run(TABLES[kind](inputs))["answer"], predicted, rtol=1e-5)


@pytest.mark.parametrize("data", [{}, {"split": {"validation": 0.25, "key": "weight"}}, {"validation_split": 0.25}])
def test_a_fit_on_a_table_does_not_read_the_training_file(data: dict[str, Any]) -> None:
    """What the guide says of the key `train`, which may name any file."""
    _, history = fitted(spec(train="unused.csv", **data), rows())
    assert ("val_loss" in history) == bool(data)


def test_a_table_trains_as_a_csv_file_does() -> None:
    with open("data.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, [*rows()[0]])
        writer.writeheader()
        writer.writerows(rows())
    expected, history = fitted(spec(train="data.csv"))
    trainer, own_history = fitted(spec(train="data.csv"), rows())
    assert own_history == history
    assert_equal_weights(trainer, expected)


@pytest.mark.parametrize("kind", ["rows", "table"])
def test_windows_and_sequences(kind: str) -> None:
    make = TABLES[kind]
    series = [{"time": number, "value": float(np.sin(number)), "other": float(number)} for number in range(30)]
    document = {
        "inputs": {"x": {"shape": [5, 2]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "next", "units": 1}],
        "training": {
            "data": {"train": "data.jsonl", "x": ["value", "other"], "y": "value",
                     "windows": {"length": 5, "time": "time"}},
            "loss": "mse", "epochs": 1, "seed": 0,
        },
    }  # fmt: skip
    lists = [{"steps": [1] * (number + 1), "b": 0.5, "y": float(number)} for number in range(4)]
    sequences = {
        "inputs": {"steps": {"shape": ["n"], "dtype": "int64"}, "b": {"shape": [1]}},
        "layers": [
            {"type": "Embedding", "from": "steps", "input_dim": 9, "output_dim": 4, "mask_zero": True},
            {"type": "GlobalAveragePooling1D", "name": "mean"},
            {"type": "Concatenate", "from": ["mean", "b"]},
            {"type": "Dense", "name": "y", "units": 1},
        ],
        "training": {"data": {"train": "data.jsonl", "sequences": {}}, "loss": "mse", "epochs": 1, "seed": 0},
    }
    for own, table in ((document, series), (sequences, lists)):
        Path("data.jsonl").write_text("\n".join(map(json.dumps, table)))
        expected, _ = fitted(own)
        trainer, _ = fitted(own, make(table))
        assert_equal_weights(trainer, expected)
        outputs = jsonnx.Session(trainer.model()).run(make(table))
        np.testing.assert_allclose(next(iter(outputs.values())), trainer.predict(make(table)), rtol=1e-5)
    assert trainer.predict(make(lists)).shape == (4, 1)


def test_targets_and_weights_of_their_own() -> None:
    expected, _ = fitted(spec(sample_weight=None), rows())
    answers = [row["answer"] for row in rows()]
    inputs = [{key: value for key, value in row.items() if key != "answer"} for row in rows()]
    for y in (np.array(answers), pa.table({"answer": answers}), [{"answer": answer} for answer in answers]):
        trainer, _ = fitted(spec(sample_weight=None), inputs, y)
        assert_equal_weights(trainer, expected)
    weights = np.array([row["weight"] for row in rows()])
    by_column, _ = fitted(spec(), rows())
    trainer, _ = fitted(spec(), rows(), sample_weight=weights)
    assert_equal_weights(trainer, by_column)
    _, history = fitted(spec(), rows(), validation_data=rows())
    assert len(history["val_loss"]) == 2
    assert trainer.step(rows())["loss"] > 0
    assert trainer.gradients(pa.Table.from_pylist(rows()))


def test_the_only_input_takes_all_columns_that_the_spec_does_not_name() -> None:
    document = {
        "inputs": {"features": {"shape": [2]}},
        "layers": [{"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "epochs": 1, "seed": 0},
    }
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    expected, _ = fitted(document, x, y)
    table = pa.table({"a": x[:, 0], "b": x[:, 1]})
    for arguments in [(table, y), (table, pa.table({"any": y})), (table.append_column("y", [y]),)]:
        trainer, _ = fitted(document, *arguments)
        assert_equal_weights(trainer, expected)
    np.testing.assert_array_equal(trainer.predict(table), expected.predict(x))
    assert jsonnx.Session(trainer.model()).run(table)["y"].shape == (6, 1)


@pytest.mark.parametrize("kind", ["rows", "table"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"city": None}, "row 6, column 'city'"),
        ({"joined": "2026-13-01"}, "row 6, column 'joined': input 'joined' is '2026-13-01', which is not a date"),
        ({"income": float("inf")}, "row 6, column 'income'"),
    ],
)
def test_errors_have_row_and_column(kind: str, changes: dict[str, Any], text: str) -> None:
    trainer = jsonnx.Trainer(spec())
    made = [{**row, "joined": str(row["joined"])} for row in rows(**changes)]
    with pytest.raises(FeedError) as error:
        trainer.fit(TABLES[kind](made))
    assert text in str(error.value), str(error.value)
    assert all(item.file is None for item in error.value.diagnostics)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ([{"incme": 1.0}], "there is no column 'income' for input 'numbers' (write 'income' in place of 'incme')"),
        (
            [{**row, "age": "3", "income": "1", "member": "0"} for row in rows()],
            'the texts are numbers: convert them, such as by `astype("float32")` of an array or a column',
        ),
        (rows(income="much"), "row 6, column 'income': 'income' holds \"much\", not a number"),
        ([{**rows()[0], "income": object()}], "holds a value of the type object, which is not read"),
        ([rows()[0], 3], "row 2 is an object of type int, not a dict"),
        (pa.Table.from_pylist(rows())[:0], "the table has no rows"),
    ],
)
def test_errors_of_tables(table: Any, text: str) -> None:
    with pytest.raises(FeedError) as error:
        jsonnx.Trainer(spec()).predict(table)
    assert text in str(error.value)


def test_values_of_other_types_are_read() -> None:
    trainer, _ = fitted(spec(), rows())
    plain = rows(age=30, income=0.5, member=True, joined="2026-01-06")
    other = rows(age=np.int64(30), income=Decimal("0.5"), member=np.bool_(True), joined=np.datetime64("2026-01-06"))
    np.testing.assert_array_equal(trainer.predict(other), trainer.predict(plain))


def test_texts_for_numbers_are_read_as_the_cells_of_a_csv_file() -> None:
    texts = [" 1 ", "-", "4", "NA", "5e0", None]
    numbers = pa.table({"a": [1.0, None, 4.0, None, 5.0, None], "y": [2, 3, 5, 1, 6, 3]})
    histories = []
    for table in (numbers, numbers.set_column(0, "a", pa.array(texts))):
        trainer = jsonnx.Trainer(ONE_NUMBER)
        histories.append([trainer.fit(table, verbose=0).history, trainer.predict(table).tolist()])
    assert histories[0] == histories[1]


def test_a_text_that_is_no_number_is_named_with_its_row() -> None:
    with pytest.raises(FeedError) as error:
        jsonnx.Trainer(ONE_NUMBER).fit(pa.table({"a": ["1", "1,5", None, "x"], "y": [1, 2, 3, 4]}))
    assert "row 2, column 'a': 'a' holds '1,5', not a number, and 1 more like it (row 4" in str(error.value)
    assert "pandas.to_numeric" in str(error.value)


def test_other_arguments_are_no_tables() -> None:
    array = pa.array([1.0, 2.0])
    for value in (array, pa.chunked_array([array]), np.ones(3), [], [1.0], {"x": np.ones(3)}, (np.ones(3), np.ones(3))):
        assert not is_table(value)
    batches = [{"x": np.ones((2, 3))}, {"x": np.ones((2, 3))}]
    assert is_batch_iterable(batches)
    assert not is_table(batches)
    assert is_table([{"a": np.float32(1), "b": "text", "c": [1, 2], "d": None}])


def test_a_frame_needs_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = jsonnx.Trainer(spec())
    monkeypatch.setattr("jsonnx.data.tables.python_tables.require_package", _missing)
    with pytest.raises(UsageError, match=r"reading a Stream needs"):
        trainer.predict(TABLES["stream"](rows()))


def _missing(module: str, extra: str, purpose: str) -> None:
    raise UsageError("missing-package", f"{purpose} needs the package {module}", extra)


def test_a_session_checks_the_spec_of_its_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from jsonnx.pipeline.predict import session as module

    spec = {"inputs": {"x": {"shape": [1]}}, "layers": [{"type": "Dense", "name": "y", "units": 1}]}
    session, checks = jsonnx.Session(jsonnx.compile(spec)), []
    check = module.checked_spec_of
    monkeypatch.setattr(module, "checked_spec_of", lambda *given: checks.append(given) or check(*given))
    results = [session.run([{"x": value}])["y"] for value in (1.0, 2.0, 1.0)]
    np.testing.assert_array_equal(results[0], results[2])
    assert len(checks) == 1
