"""The counts of a server's inputs, and their drift."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.data.drift.drift_counts import FeatureDrift
from jsonnx.data.drift.features import Feature
from jsonnx.data.drift.input_features import described_feature
from jsonnx.data.drift.statistics import DataStatistics
from jsonnx.runtime.session.session import Session
from jsonnx.server.monitoring import input_monitor
from jsonnx.server.monitoring.input_monitor import InputMonitor
from jsonnx.server.monitoring.server_metrics import ServerMetrics
from support.commands import SOURCE
from support.commands import jsonnx as command

SAMPLES = Path(__file__).parents[4] / "samples"
COLUMN = Feature("place", "p"), Feature("size", "x", index=1)
CLASSES = Feature("y", "y", "class", labels=("no", "yes"), cut=0.5)


def texts(*values: str) -> np.ndarray:
    return np.array(values, object)


def feeds(places: int = 1, size: float = 5, place: str = "a") -> dict[str, np.ndarray]:
    return {"p": texts(*[place] * places), "x": np.full((places, 2), size, np.float32)}


def outputs(rows: int = 1, score: float = 0.7) -> dict[str, np.ndarray]:
    return {"y": np.full((rows, 1), score, np.float32)}


def all_drifts(monitor: InputMonitor) -> list[FeatureDrift]:
    columns, predictions = monitor.drifts()
    return [*columns, *predictions]


@pytest.fixture
def monitor() -> InputMonitor:
    """Of a model that was trained on 100 rows: two places, and sizes from 0 to 9."""
    train = {"p": texts(*["a", "b"] * 50), "x": np.repeat(np.arange(10.0), 20).reshape(100, 2)}
    columns = tuple(described_feature(feature, [feature.values(train[feature.source])]) for feature in COLUMN)
    scores = np.linspace(0, 1, 100)[:, None]
    predicted = described_feature(CLASSES, [CLASSES.values(scores)])
    return InputMonitor(DataStatistics(100, 100, columns, "train", 100, (predicted,)))


def test_values_are_counted_by_column(monitor: InputMonitor) -> None:
    monitor.predicted(feeds(), outputs())
    monitor.predicted(feeds(2, -1, "z"), outputs(2, 0.2))
    monitor.predicted(feeds(1, float("nan"), ""), outputs())
    (place, size), (classes,) = monitor.drifts()
    assert (place.rows, place.missing, place.unknown, place.out_of_range) == (4, 1, 2, None)
    assert (size.rows, size.missing, size.unknown, size.out_of_range) == (4, 1, None, 2)
    assert (classes.rows, classes.meaning) == (4, "few rows")


def test_drift_is_that_of_the_last_rows(monitor: InputMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_monitor, "MIN_WINDOW_ROWS", 200)
    for number in range(200):
        monitor.predicted(feeds(1, number % 10, "ab"[number % 2]), outputs(1, number % 2))
        monitor.drifts()
    meanings = [drift.meaning for drift in all_drifts(monitor)]
    assert meanings == ["none", "none", "none"]
    for _ in range(4):
        monitor.predicted(feeds(100, 9, "a"), outputs(100))
        monitor.drifts()
    (place, size), (classes,) = monitor.drifts()
    assert [drift.meaning for drift in (place, size, classes)] == ["large", "large", "large"]
    assert place.rows == 600
    only_a = place.psi
    for _ in range(4):
        monitor.predicted(feeds(100, 9, "a"), outputs(100))
        monitor.drifts()
    place = monitor.drifts()[0][0]
    assert only_a is not None
    assert place.psi == pytest.approx(only_a, rel=0.2)  # the first 200 rows are forgotten


def test_rows_of_several_threads_are_all_counted(monitor: InputMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_monitor, "MAX_BACKLOG", 10_000)

    def send() -> None:
        for _ in range(500):
            monitor.predicted(feeds(3), outputs(3))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [drift.rows for drift in all_drifts(monitor)] == [6000] * 3
    assert monitor.skipped_rows == 0


def test_rows_that_come_too_fast_are_left_out(monitor: InputMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    may_count = threading.Event()
    monitor._thread.submit(may_count.wait)
    for _ in range(20):
        monitor.predicted(feeds(256), outputs(256))
    assert monitor.skipped_rows == (20 - input_monitor.MAX_BACKLOG) * 256
    may_count.set()
    assert monitor.drifts()[0][0].rows == input_monitor.MAX_BACKLOG * 256
    assert monitor.document()["skipped_rows"] == monitor.skipped_rows


def test_large_rows_do_not_wait(monitor: InputMonitor) -> None:
    monitor.predicted({"p": texts("a" * 2_000_000), "x": np.zeros((1, 2), np.float32)}, outputs())
    assert monitor._pending == []


def test_figures_for_prometheus(monitor: InputMonitor) -> None:
    metrics = ServerMetrics({})
    metrics.model("m", "1").inputs = monitor
    metrics.model("bare", "1")
    monitor.predicted(feeds(60, 50), outputs(60))
    text = metrics.render()[0].decode()
    assert 'jsonnx_column_out_of_range_total{column="size",model="m",version="1"} 60.0' in text
    assert 'jsonnx_column_rows_total{column="place",model="m",version="1"} 60.0' in text
    index = re.search(r'jsonnx_column_psi\{column="size",model="m",version="1"\} ([\d.]+)', text)
    assert index is not None
    assert float(index[1]) > 1
    assert 'jsonnx_output_psi{model="m",output="y",version="1"}' in text
    assert 'jsonnx_column_rows_total{column="place",model="bare"' not in text


def test_a_model_without_statistics_says_why(tmp_path: Path) -> None:
    command("train", str(SAMPLES / "penguins.json"), "-o", str(tmp_path / "run"), "--quiet",
            "--set", "training.epochs=1", "--set", "training.data.statistics=false")  # fmt: skip
    monitor = InputMonitor.open(tmp_path / "run", Session(tmp_path / "run"))
    monitor.predicted(feeds(), outputs())
    document = monitor.document()
    assert document["columns"] == []
    assert document["reason"].startswith("the model has no data_statistics.json")
    assert str(tmp_path) not in document["reason"]
    (tmp_path / "run/data_statistics.json").write_text("{}")
    document = InputMonitor.open(tmp_path / "run/model.onnx", Session(tmp_path / "run")).document()
    assert document["reason"] == "its data_statistics.json is of no use: the file has statistics of version None, not 1"
    assert list(monitor.samples()) == []


def test_a_server_tells_the_drift_of_its_requests(tmp_path: Path) -> None:
    run = tmp_path / "penguins"
    command("train", str(SAMPLES / "penguins.json"), "-o", str(run), "--quiet")
    arguments = [sys.executable, "-m", "jsonnx", "serve", str(run), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            url = next(found[0] for line in lines if (found := re.search(r"http://127[\d.:]+", line)))
            rows = (SAMPLES / "data/penguins_test.csv").read_bytes().replace(b"Biscoe", b"Anvers")
            request = urllib.request.Request(f"{url}/predict", rows, {"content-type": "text/csv"})
            assert len(read_json(request)["predictions"]) == 82
            document = read_json(f"{url}/drift/penguins")
            text = urllib.request.urlopen(f"{url}/metrics").read().decode()
        finally:
            process.terminate()
    columns = {column["column"]: column for column in document["columns"]}
    assert columns["island"]["unknown"] == rows.count(b"Anvers")
    assert columns["island"]["meaning"] == "large"
    assert {columns[name]["meaning"] for name in columns if name != "island"} <= {"none", "chance"}
    assert 'jsonnx_column_psi{column="island",model="penguins",version="1"}' in text


def read_json(request: Any) -> Any:
    with urllib.request.urlopen(request) as response:
        return json.load(response)
