"""Options and checks of a training on Ray that need no Ray."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError, Diagnostic, Note, UsageError
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.ray import RayTrainer
from jsonnx.ray.monitor import Event
from jsonnx.ray.node_checks import NodeChecks, WorkerPlace, missing_error
from jsonnx.ray.progress import Progress
from jsonnx.runtime.providers.signals import StopOnSignal, request_stop
from support.commands import jsonnx as command

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "train.csv", "x": ["a", "b"], "y": "y"},
        "loss": "mse",
        "optimizer": "sgd",
        "epochs": 2,
        "batch_size": 4,
        "distributed": {"shards": 2},
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [f"{i / 10},{i % 3},{i % 5}" for i in range(10)]
    (tmp_path / "train.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_workers_train_in_this_process(project: Path) -> None:
    command("train", "spec.json", "-o", "ray", "--distributed", "ray", "--workers", "0")
    command("train", "spec.json", "-o", "plain")
    assert (project / "ray/weights.safetensors").read_bytes() == (project / "plain/weights.safetensors").read_bytes()


@pytest.mark.parametrize("option", ["--workers=2", "--address=auto", "--cpus-per-worker=1"])
def test_an_option_of_a_cluster_needs_one(project: Path, option: str) -> None:
    result = command("train", "spec.json", option, status=2)
    assert f"error[bad-option]: {option.partition('=')[0]} is for a training on a cluster" in result.stderr


@pytest.mark.parametrize("workers", ["x", "-1", "4-2", "0-2", "1-", "-", "99999", "1-2-3", ""])
def test_wrong_numbers_of_workers(project: Path, workers: str) -> None:
    result = command("train", "spec.json", "--distributed", "ray", f"--workers={workers}", status=2)
    assert "is neither a number of workers nor a range of them" in result.stderr


def test_a_spec_without_shards(project: Path) -> None:
    arguments = ("--distributed", "ray", "--set", "training.distributed=null")
    result = command("train", "spec.json", *arguments, status=1)
    assert "error[not-distributed]" in result.stderr
    assert '"distributed": {"shards": 8}' in result.stderr


def test_without_ray(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = command("train", "spec.json", "--distributed", "ray", status=2)
    assert "error[missing-package]: distributed training needs the package ray" in result.stderr
    assert "[ray]" in result.stderr
    with pytest.raises(UsageError, match="missing-package"):
        RayTrainer("spec.json")


def test_files_of_a_node(project: Path) -> None:
    version, path = jsonnx.__version__, str(project / "train.csv")
    size = os.path.getsize(path)
    assert NodeChecks(((path, size), (str(project), 0)), version).run() is None
    assert NodeChecks(((path, size + 1),), version).run() == f"its file {path!r} has {size} bytes instead of {size + 1}"
    assert NodeChecks(((path + ".gone", 1),), version).run() == f"it has no file {path + '.gone'!r}"
    assert "it has jsonnx" in (NodeChecks((), "0").run() or "")
    places = [WorkerPlace("10.0.0.1", None, ("", 0)), WorkerPlace("10.0.0.2", "it has no file 'a'", ("", 0))]
    assert missing_error(places[:1]) is None
    error = missing_error(places)
    assert error is not None
    assert error.diagnostic.message == "node 10.0.0.2: it has no file 'a'"


@pytest.mark.parametrize(
    "error",
    [
        CompileError([Diagnostic("a", "b", file="c", notes=(Note("d"),))]),
        FeedError([Diagnostic("a", "b", help="c")]),
        UsageError("a", "b", "c"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_from_workers(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_warnings_are_shown_once() -> None:
    shown: list[Diagnostic] = []
    texts: list[str] = []
    progress = Progress([], shown.extend, texts.append, texts.extend, texts.append, texts.append, 2)
    warning = Diagnostic("a", "b", severity="warning")
    place = WorkerPlace("10.0.0.1", None, ("10.0.0.1", 1))
    for number in (1, 2):
        progress.show(Event("attempt", (number, [place, place])))
        progress.show(Event("warning", [warning]))
        progress.show(Event("begin", ({}, {})))
        assert progress.is_training
        progress.show(Event("lost", {1: "its process has ended"}))
        assert not progress.is_training
    assert [item.code for item in shown] == ["a", "worker-lost", "worker-lost"]
    assert texts == [
        "2 workers on 1 node, 2 threads each",
        "training goes on with 2 workers on 1 node, 2 threads each",
    ]


def test_a_request_to_stop_reaches_contexts_of_other_threads() -> None:
    with StopOnSignal() as first:
        try:
            request_stop(15)
            with StopOnSignal() as second:
                assert (first.signal, second.signal) == (15, 15)
        finally:
            request_stop(None)
    with StopOnSignal() as third:
        assert third.signal is None
