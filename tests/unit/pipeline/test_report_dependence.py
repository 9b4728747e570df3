"""What predictions depend on, in a report: columns and pixels."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.pipeline.report import report_importance
from jsonnx.pipeline.report.report_importance import effort
from jsonnx.pipeline.report.report_run import ReportOptions, run_values
from support.commands import jsonnx

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table_spec(**training: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [3]}, "word": {"shape": [], "dtype": "string"}},
        "layers": [
            {"type": "StringLookup", "from": "word", "vocabulary": ["a", "b"], "output_mode": "one_hot"},
            {"type": "Concatenate", "from": ["x", "string_lookup"]},
            {"type": "Dense", "name": "y", "units": 1},
        ],
        "training": {
            "data": {"train": "data.csv", "validation_split": 0.5, "x": {"x": ["strong", "weak", "none"]}},
            "loss": "mse",
            "optimizer": {"type": "adam", "learning_rate": 0.05},
            "epochs": 40,
            **training,
        },
    }


def train_on_table(**training: Any) -> None:
    """A run in which y = 3 strong + 0.5 weak + 1 for the word a."""
    x, words = RANDOM.normal(size=(200, 3)), RANDOM.choice(["a", "b"], 200)
    y = 3 * x[:, 0] + 0.5 * x[:, 1] + (words == "a")
    rows = [f"{a},{b},{c},{word},{target}" for (a, b, c), word, target in zip(x, words, y, strict=True)]
    Path("data.csv").write_text("\n".join(["strong,weak,none,word,y", *rows]))
    Path("spec.json").write_text(json.dumps(table_spec(**training)))
    jsonnx("train", "spec.json", "-o", "run", "--quiet", status=0)


def test_importance_of_columns_and_its_interval() -> None:
    train_on_table(metrics=["mae", "r2_score"])
    importance = run_values(Path("run"), ReportOptions())["importance"]
    assert (importance["metric"], importance["samples"], importance["repeats"]) == ("mae", 100, 20)
    rows = {row["name"]: row for row in importance["columns"]}
    assert [importance["columns"][index]["name"] for index in (0, -1)] == ["strong", "none"]
    assert len(rows) == 4
    assert all(row["low"] <= row["importance"] <= row["high"] for row in rows.values())
    assert rows["weak"]["low"] > 0
    assert rows["none"]["low"] <= 0 <= rows["none"]["high"] or rows["none"]["importance"] < 0.05
    # Two values of a normal number with deviation 3 differ by 3 * 2 / sqrt(pi) on average.
    assert rows["strong"]["importance"] == pytest.approx(3 * 2 / np.sqrt(np.pi), rel=0.25)


def test_importance_by_a_metric_that_is_better_if_it_is_higher() -> None:
    train_on_table(metrics=["r2_score"])
    shown = run_values(Path("run"), ReportOptions())["importance"]
    assert shown["metric"] == "r2_score"
    assert shown["columns"][0]["name"] == "strong"
    assert shown["columns"][0]["importance"] > 1
    assert shown == run_values(Path("run"), ReportOptions())["importance"]


def test_importance_is_of_the_loss_without_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    train_on_table()
    monkeypatch.setattr(report_importance, "MAX_SAMPLES", 30)
    monkeypatch.setattr(report_importance, "MAX_COLUMNS", 3)
    importance = run_values(Path("run"), ReportOptions())["importance"]
    shown = {key: importance[key] for key in ("metric", "samples", "repeats", "omitted")}
    assert shown == {"metric": "loss", "samples": 30, "repeats": 20, "omitted": 1}


def test_importance_of_large_networks_takes_less_or_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert effort(5000, 10, 1000) == (1000, 20)
    assert effort(5000, 10, 5_000_000) == (200, 5)
    assert effort(50, 100, 1000) == (50, 20)
    assert effort(5000, 10, 10**9) is None
    train_on_table()
    monkeypatch.setattr(report_importance, "MAX_MULTIPLY_ADDS", 1)
    values = run_values(Path("run"), ReportOptions())
    assert values["importance"] is None
    assert any("importance of columns is not measured" in note for note in values["notes"])


def test_values_as_json() -> None:
    train_on_table(metrics=["mae"])
    jsonnx("report", "run", "-o", "report.json", status=0)
    (run,) = json.loads(Path("report.json").read_text())["runs"]
    assert run["importance"]["columns"][0]["name"] == "strong"
    assert run["outputs"][0]["name"] == "y"
    jsonnx("report", "run", status=0)
    assert "Importance of columns" in Path("run/report.html").read_text()


def decoded(url: str) -> np.ndarray:
    """The gray pixels of a PNG file as a data URL."""
    content = b64decode(url.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", content[16:24])
    start = content.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompressobj().decompress(content[start:]), np.uint8).reshape(height, -1)
    assert rows.shape[1] == width + 1
    return rows[:, 1:]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("classes", [2, 3])
def test_saliency_shows_the_pixels_that_matter(dtype: str, classes: int) -> None:
    numbers = RANDOM.integers(0, classes, 90)
    images = RANDOM.integers(0, 255, (90, 8, 8, 1))
    images[:, 2, 5, 0] = numbers * (255 // (classes - 1))
    np.savez("data.npz", image=images.astype(dtype), y=numbers)
    binary = classes == 2
    spec = {
        "inputs": {"image": {"shape": [8, 8, 1], "dtype": dtype}},
        "layers": [
            {"type": "Rescaling", "scale": 1 / 255},
            {"type": "Flatten"},
            {"type": "Dense", "units": 16, "activation": "tanh", "kernel_regularizer": {"type": "l1", "l1": 0.01}},
            {
                "type": "Dense",
                "name": "y",
                "units": 1 if binary else classes,
                "activation": "sigmoid" if binary else "softmax",
            },
        ],
        "training": {
            "loss": "binary_crossentropy" if binary else "sparse_categorical_crossentropy",
            "data": {"train": "data.npz", "validation_split": 0.3},
            "optimizer": {"type": "adam", "learning_rate": 0.02},
            "epochs": 60,
        },
    }
    Trainer(spec).fit(run="run")
    (output,) = run_values(Path("run"), ReportOptions())["outputs"]
    shown = [example["inputs"][0] for key in ("worst", "typical") for example in output["examples"][key]]
    brightest = [np.unravel_index(decoded(input["saliency"]).argmax(), (8, 8)) for input in shown]
    assert sum(position == (2, 5) for position in brightest) > 0.5 * len(shown)  # one of 64 pixels
