"""Frames of pandas and polars train, evaluate and predict as the files do that they were written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pandas as pd
import polars as pl
import pytest
from jsonnx.data.samples.data_errors import FeedError

COUNT = 80
SPEC: dict[str, Any] = {
    "inputs": {
        "numbers": {"shape": [3]},
        "city": {"shape": [], "dtype": "string"},
        "joined": {"shape": [], "dtype": "string"},
    },
    "layers": [
        {"type": "Imputation", "name": "known", "from": "numbers", "strategy": "mean"},
        {
            "type": "StringLookup",
            "name": "place",
            "from": "city",
            "vocabulary": ["a", "b", "c"],
            "output_mode": "one_hot",
        },
        {"type": "DateFeatures", "name": "day", "from": "joined", "features": ["month", "weekday"]},
        {"type": "Imputation", "name": "date", "from": "day", "strategy": "mean"},
        {"type": "Concatenate", "from": ["known", "place", "date"]},
        {"type": "Dense", "name": "answer", "units": 1, "activation": "sigmoid"},
    ],
    "training": {
        "data": {
            "train": "data.parquet",
            "x": {"numbers": ["age", "income", "member"]},
            "sample_weight": "weight",
            "split": {"validation": 0.2, "key": "weight"},
        },
        "loss": "binary_crossentropy",
        "optimizer": "adam",
        "epochs": 2,
        "seed": 0,
    },
}
FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "index": lambda frame: frame.set_index(pd.Index(range(COUNT, 0, -1), name="number")),
    "numpy types": lambda frame: frame.astype({"age": "float64", "member": "object", "city": "object"}),
    "arrow types": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.from_pandas,
    "polars categories": lambda frame: pl.from_pandas(frame).with_columns(pl.col("city").cast(pl.Categorical)),
    "records": lambda frame: frame.to_dict("records"),
    "polars rows": lambda frame: pl.from_pandas(frame).to_dicts(),
}


@pytest.fixture
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": pd.array(rng.integers(1, 90, COUNT), "Int64"),
            "city": pd.Categorical(rng.choice(["a", "b", "c"], COUNT)),
            "joined": pd.date_range("2026-01-01", periods=COUNT),
            "member": pd.array(rng.random(COUNT) > 0.5, "boolean"),
            "income": rng.normal(size=COUNT),
            "weight": rng.random(COUNT),
            "answer": rng.choice(["no", "yes"], COUNT),
        }
    )
    for row, (name, missing) in enumerate([("age", pd.NA), ("member", pd.NA), ("income", np.nan), ("joined", pd.NaT)]):
        frame.loc[2 * row + 3, name] = missing
    frame.to_parquet("data.parquet", index=False)
    frame.to_csv("data.csv", index=False)
    return frame


def trained(*arguments: Any, train: str = "data.parquet") -> tuple[jsonnx.Trainer, dict[str, list[float]]]:
    training = SPEC["training"]
    trainer = jsonnx.Trainer({**SPEC, "training": {**training, "data": {**training["data"], "train": train}}})
    return trainer, trainer.fit(*arguments, verbose=0).history


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("train", ["data.parquet", "data.csv"])
def test_a_frame_is_its_file(frame: pd.DataFrame, kind: str, train: str) -> None:
    expected, history = trained(train=train)
    trainer, own_history = trained(FRAMES[kind](frame))
    assert own_history == history
    for weight, other in zip(trainer.weights().values(), expected.weights().values(), strict=True):
        np.testing.assert_array_equal(weight, other)
    assert trainer.evaluate(FRAMES[kind](frame)) == trainer.evaluate(frame)
    inputs = FRAMES[kind](frame.drop(columns=["answer", "weight"]))
    predicted = trainer.predict(inputs)
    np.testing.assert_array_equal(predicted, trainer.predict(frame))
    session = jsonnx.Session(trainer.model())
    np.testing.assert_allclose(session.run(inputs)["answer"], predicted, rtol=1e-5)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_series_are_targets(frame: pd.DataFrame, library: str) -> None:
    x, y = frame[["income", "weight"]].dropna(), frame["weight"].dropna().iloc[: COUNT - 1]
    document = {
        "inputs": {"features": {"shape": [2]}},
        "layers": [{"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "epochs": 1, "seed": 0},
    }
    expected = jsonnx.Trainer(document)
    expected.fit(x.to_numpy(), y.to_numpy(), verbose=0)
    arguments = (x, y) if library == "pandas" else (pl.from_pandas(x), pl.from_pandas(y))
    trainer = jsonnx.Trainer(document)
    trainer.fit(*arguments, verbose=0)
    np.testing.assert_array_equal(trainer.weights()["y/kernel"], expected.weights()["y/kernel"])


def test_errors(frame: pd.DataFrame) -> None:
    trainer, _ = trained(frame)
    mixed = frame.astype({"income": "object"})
    mixed.loc[4, "income"] = "much"
    mixed["unused"] = [object()] * COUNT
    for table, text in [
        (mixed, "row 5, column 'income': 'income' holds 'much', not a number"),
        (frame.rename(columns={"income": "incomes"}), "write 'income' in place of 'incomes'"),
        (pl.from_pandas(frame).lazy(), "pass x.collect()"),
        (frame.iloc[:0], "the table has no rows"),
    ]:
        with pytest.raises(FeedError) as error:
            trainer.predict(table)
        assert text in str(error.value)
    assert trainer.predict(frame.assign(unused=[object()] * COUNT)).shape == (COUNT, 1)


def test_a_column_of_labels_has_texts_and_lists() -> None:
    document = {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "tags", "units": 2, "activation": "sigmoid"}],
        "labels": ["p", "q"],
        "training": {"loss": "binary_crossentropy", "data": {"train": "data.csv", "label_separator": ";"}},
    }
    histories = []
    for tags in ([["p"], "q;p", None, ["q"]], ["p", "q;p", "", "q"]):
        trainer = jsonnx.Trainer({**document, "training": {**document["training"], "epochs": 1, "seed": 0}})
        frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "tags": pd.Series(tags, dtype="object")})
        histories.append(trainer.fit(frame, verbose=0).history)
    assert histories[0] == histories[1]
