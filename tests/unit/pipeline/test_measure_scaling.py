"""`jsonnx profile --workers`: how a distributed training scales."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.core.quantities import parse_bandwidth, parse_seconds
from support.commands import jsonnx

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "units": 5, "activation": "relu"},
        {"type": "Dense", "name": "class", "units": 3, "activation": "softmax"},
    ],
    "training": {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "metrics": ["accuracy"],
        "batch_size": 12,
        "distributed": {"shards": 6},
        "data": {"train": "d.npz", "x": "x", "y": "y"},
    },
}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("d.npz", x=rng.normal(size=(40, 4)).astype(np.float32), y=rng.integers(3, size=40))
    write(SPEC)


def write(document: dict[str, Any]) -> None:
    Path("spec.json").write_text(json.dumps(document))


def scaling(*options: str) -> dict[str, Any]:
    result = jsonnx("profile", "spec.json", "--steps", "2", "--threads", "1", *options, "--format", "json")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_steps_of_all_numbers_of_workers_are_predicted() -> None:
    document = scaling("--workers", "1,2,6,10", "--bandwidth", "1Mbit", "--latency", "1ms")
    measured = document["measured"]
    assert (measured["batch_size"], measured["shard_count"]) == (12, 6)
    assert measured["shard_seconds"].keys() == {"1", "3", "6"}
    assert all(seconds > 0 for seconds in measured["shard_seconds"].values())
    assert measured["vector_elements"] % 16 == 0
    assert measured["vector_elements"] >= 5 * 5 + 6 * 3
    assert 0 < measured["message_seconds"] < 0.01
    assert 0 < measured["busy_share"] < 2
    strong, weak = (document[name]["steps"] for name in ("strong", "weak"))
    assert [step["workers"] for step in strong] == [1, 2, 6, 10]
    assert strong[0]["network_seconds"] == 0
    assert strong[1]["network_seconds"] > 0.002 + strong[1]["traffic"]["sent_bytes"] * 8 / 1e6
    assert [step["batch_size"] for step in weak] == [12, 24, 72, 120]
    assert document["strong"]["fastest_workers"] == 1
    assert document["shards_are_assumed"] is False


def test_conclusions_are_told_in_words() -> None:
    result = jsonnx("profile", "spec.json", "--workers", "1,8", "--steps", "2", "--latency", "1s")
    assert "12 samples in 6 shards" in result.stdout
    assert "10 Gbit/s each way, 1,000,000 us" in result.stdout
    assert "More workers do not pay: one alone trains most samples in a second." in result.stdout
    assert "With 2 workers or more, each trains less than 50% of what it would alone" in result.stdout
    assert "More than 6 workers do not pay: 6 shards give work to no more." in result.stdout


def test_a_number_of_shards_is_assumed_and_stated() -> None:
    document = {**SPEC, "training": {**SPEC["training"]}}
    del document["training"]["distributed"]
    write(document)
    result = jsonnx("profile", "spec.json", "--workers", "2", "--steps", "2")
    assert 'Assumed: "distributed": {"shards": 8} in `training`' in result.stdout


def test_rows_that_metrics_keep_are_computed() -> None:
    write({**SPEC, "training": {**SPEC["training"], "loss": "mse", "metrics": ["pearson_correlation"]}})
    rng = np.random.default_rng(0)
    np.savez("d.npz", x=rng.normal(size=(40, 4)).astype(np.float32), y=rng.normal(size=(40, 3)).astype(np.float32))
    assert scaling("--workers", "3")["strong"]["steps"][0]["shards"] == 2


def test_rows_of_large_tables_are_counted() -> None:
    table = {"type": "Embedding", "input_dim": 100_000, "output_dim": 16}
    head = {"type": "Dense", "name": "class", "units": 3, "activation": "softmax"}
    inputs = {"x": {"shape": [4], "dtype": "int32"}}
    write({"inputs": inputs, "layers": [table, {"type": "Flatten"}, head], "training": SPEC["training"]})
    rng = np.random.default_rng(0)
    np.savez("d.npz", x=rng.integers(100_000, size=(40, 4)).astype(np.int32), y=rng.integers(3, size=40))
    document = scaling("--workers", "4,6")
    row_bytes = 8 + 16 * 4  # an index and its row; before them, their number
    assert document["measured"]["gathered_bytes"] == {"2": 8 + 16 * row_bytes, "1": 8 + 8 * row_bytes}
    assert document["measured"]["vector_elements"] < 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "1,x"), "--workers: expected numbers from 1 to 100,000"),
        (("--workers", "0"), "--workers: expected numbers"),
        (("--workers", "2", "--bandwidth", "fast"), "--bandwidth: expected a bandwidth per second"),
        (("--workers", "2", "--latency", "50"), "--latency: expected a time with a unit"),
        (("--workers", "2", "--trace", "t.json"), "--trace has no effect with --workers"),
    ],
)
def test_wrong_options_are_errors(options: tuple[str, ...], message: str) -> None:
    result = jsonnx("profile", "spec.json", *options, status=2)
    assert message in result.stderr


def test_a_model_cannot_be_scaled() -> None:
    assert "--workers needs a spec" in jsonnx("profile", "m.onnx", "--workers", "2", status=2).stderr


def test_amounts_have_units() -> None:
    assert parse_bandwidth("10Gbit") == 1.25e9
    assert parse_bandwidth("100 Mbit") == 12.5e6
    assert parse_bandwidth("1.25GB") == 1.25e9
    assert parse_seconds("50us") == pytest.approx(5e-5)
    assert parse_seconds("0.1s") == 0.1
    for text in ("", "Gbit", "0Gbit", "1.2.3Gbit", "-1Gbit"):
        with pytest.raises(ValueError, match="expected a bandwidth"):
            parse_bandwidth(text)
