"""Predictions on Ray that are refused before there is a cluster, and the number of workers that a cluster feeds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonnx import UsageError, compile
from jsonnx.ray import scoring
from jsonnx.ray.cluster import Node
from support.commands import jsonnx


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec: dict[str, Any] = {"inputs": {"x": {"shape": [1]}}, "layers": [{"type": "Dense", "units": 1}]}
    compile(spec).save("m.onnx")
    Path("d.csv").write_text("x\n1\n")
    Path("d.json").write_text('[{"x": 1}]')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "d.csv"], "are written as .csv, .jsonl or .parquet, or to a folder"),
        (["--data", "d.csv", "-o", "p.json"], "are written as .csv, .jsonl or .parquet, or to a folder"),
        (["--data", "-", "-o", "p.csv"], "cannot share standard input"),
        (["--data", "d.json", "-o", "p.csv"], "cannot share 'd.json', which is not a table that is read by rows"),
    ],
)
def test_what_workers_cannot_share_is_refused(options: list[str], message: str) -> None:
    result = jsonnx("predict", "m.onnx", *options, "--distributed", "ray", status=2, stdin="x\n1\n")
    assert message in result.stderr


def test_options_of_a_cluster_need_one() -> None:
    result = jsonnx("predict", "m.onnx", "--data", "d.csv", "--workers", "2", status=2)
    assert "--workers is for a prediction on a cluster" in result.stderr


@pytest.mark.parametrize(
    ("workers", "cpus", "nodes", "help"),
    [
        (2, 1, [3], None),
        (3, 1, [3], "choose --workers 2"),
        (1, 1, [1], "leave out --distributed, or start a cluster with more CPUs"),
        (3, 2, [4, 4], None),
        (4, 2, [4, 4], "choose --workers 3, or fewer --cpus-per-worker"),
        (2, 3, [4, 4], None),
        (3, 3, [4, 5], "choose --workers 2, or fewer --cpus-per-worker"),
        (1, 8, [4, 4], "no node has 8 CPUs for a worker: choose fewer --cpus-per-worker"),
        (1, 4, [4], "the workers may take 3 CPUs: choose fewer --cpus-per-worker"),
    ],
)
def test_one_cpu_of_the_cluster_stays_free(workers: int, cpus: int, nodes: list[int], help: str | None) -> None:
    cluster: Any = SimpleNamespace(nodes=[Node(str(number), "10.0.0.1", count) for number, count in enumerate(nodes)])
    if help is None:
        scoring._require_cpus(cluster, scoring.ScoringWorkers(workers, cpus))
        return
    with pytest.raises(UsageError) as error:
        scoring._require_cpus(cluster, scoring.ScoringWorkers(workers, cpus))
    assert (error.value.diagnostic.code, error.value.diagnostic.help) == ("ray-cpus", help)
    assert f"the cluster has {sum(nodes)}" in error.value.diagnostic.message
