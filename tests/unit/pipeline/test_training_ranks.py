"""RUN folders that several ranks train, as threads of this process."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import CompileError, Run
from jsonnx.collective.local import local_collectives
from jsonnx.collective.protocol import Collective
from jsonnx.core.training_options import TrainingOptions
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.run.lock_file import read_lock, write_lock
from jsonnx.pipeline.run.training_ranks import follow
from jsonnx.pipeline.run.training_run import train

SHARDS = 4
WRITTEN = ("weights.safetensors", "model.onnx", "metrics.jsonl")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, samples in (("train", 90), ("validation", 30)):
        x = rng.normal(size=(samples, 3))
        np.savez(tmp_path / f"{name}.npz", x=x.astype(np.float32), y=x.sum(1, keepdims=True).astype(np.float32))
    document = {
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"type": "Dense", "units": 8},
            {"type": "Dropout", "rate": 0.2},
            {"type": "Dense", "units": 1, "name": "y"},
        ],
        "training": {
            "loss": "mse",
            "optimizer": "adam",
            "epochs": 3,
            "batch_size": 16,
            "data": {"train": "train.npz", "validation": "validation.npz"},
            "distributed": {"shards": SHARDS},
        },
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(document))
    return path


def train_on_ranks(size: int, spec: Path, run: Path, options: TrainingOptions, **hooks: Any) -> None:
    def train_rank(collective: Collective) -> None:
        checked = check_spec(str(spec))
        if collective.rank:
            follow(checked, options, collective)
        else:
            train(checked, run, options, collective=collective, **hooks)

    with ThreadPoolExecutor(size) as executor:
        list(executor.map(train_rank, local_collectives(size, SHARDS, timeout=30)))


def contents(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in WRITTEN}


def test_a_run_of_several_ranks_is_that_of_one(spec: Path, tmp_path: Path) -> None:
    train(check_spec(str(spec)), tmp_path / "one", TrainingOptions())
    train_on_ranks(3, spec, tmp_path / "three", TrainingOptions())
    assert contents(tmp_path / "three") == contents(tmp_path / "one")


def test_other_numbers_of_ranks_resume_a_run(spec: Path, tmp_path: Path) -> None:
    train(check_spec(str(spec)), tmp_path / "whole", TrainingOptions())
    interrupted = tmp_path / "interrupted"

    def limited(options: TrainingOptions) -> None:
        checked = check_spec(str(spec), changes=["training.time_limit.seconds=1e-9"])
        with ThreadPoolExecutor(2) as executor:
            ranks = local_collectives(2, SHARDS, timeout=30)
            following = executor.submit(follow, checked, options, ranks[1])
            assert executor.submit(train, checked, interrupted, options, collective=ranks[0]).result().history.timed_out
            following.result()

    limited(TrainingOptions())
    limited(TrainingOptions(resume=True))
    train_on_ranks(3, spec, interrupted, TrainingOptions(resume=True))
    assert contents(interrupted) == contents(tmp_path / "whole")


def test_all_ranks_of_a_locked_run_have_its_schedule(spec: Path, tmp_path: Path) -> None:
    document = json.loads(spec.read_text())
    rate = {"type": "CosineDecay", "initial_learning_rate": 0.01, "decay_steps": "all"}
    document["training"]["optimizer"] = {"type": "adam", "learning_rate": rate}
    for epochs, options in ((3, TrainingOptions()), (5, TrainingOptions(resume=True))):
        document["training"]["epochs"] = epochs
        spec.write_text(json.dumps(document))
        train(check_spec(str(spec)), tmp_path / "one", options)
    write_lock(Run(tmp_path / "one"))
    lock = read_lock(str(spec))
    train_on_ranks(2, spec, tmp_path / "two", lock.applied_to(TrainingOptions()), lock=lock)
    assert contents(tmp_path / "two")["weights.safetensors"] == contents(tmp_path / "one")["weights.safetensors"]


def test_ranks_with_other_data_are_named(spec: Path, tmp_path: Path) -> None:
    first, second = local_collectives(2, SHARDS, timeout=30)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.glob("*.*"):
        (copy / file.name).write_bytes(file.read_bytes())
    np.savez(copy / "train.npz", x=np.ones((90, 3), np.float32), y=np.ones((90, 1), np.float32))
    with ThreadPoolExecutor(1) as executor:
        following = executor.submit(follow, check_spec(str(copy / "spec.json")), TrainingOptions(), second)
        with pytest.raises(CompileError, match=r"rank 1 on .* reads other training data than rank 0") as raised:
            train(check_spec(str(spec)), tmp_path / "run", TrainingOptions(), collective=first)
        assert raised.value.diagnostics[0].code == "ranks-differ"
        assert isinstance(following.exception(), CompileError)
    assert not (tmp_path / "run").exists()
