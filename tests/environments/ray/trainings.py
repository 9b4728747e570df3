"""A training as a user starts it, on one machine and on Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.commands import SOURCE

START_SECONDS = 180.0
"""How long a cluster and its workers may take to start on a busy machine."""

SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [6]}},
    "layers": [
        {"type": "Dense", "units": 16, "activation": "tanh"},
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "name": "y", "units": 1},
    ],
    "training": {
        "data": {"train": "train.csv", "validation_split": 0.25, "x": [f"x{i}" for i in range(6)], "y": "y"},
        "loss": "mse",
        "optimizer": {"type": "adam", "learning_rate": 1e-2},
        "epochs": 4,
        "batch_size": 24,
        "seed": 3,
        "distributed": {"shards": 4},
    },
}
LONG = ["--set", "training.epochs=200", "--set", 'training.checkpoint={"every_epochs": 20}']


def write_project(folder: Path) -> None:
    """A spec and its data."""
    samples = np.random.default_rng(0).normal(size=(201, 6)).astype(np.float32)
    rows = [",".join(map(str, [*row, np.sin(row).sum()])) for row in samples]
    (folder / "train.csv").write_text("\n".join([",".join([*(f"x{i}" for i in range(6)), "y"]), *rows]) + "\n")
    (folder / "spec.json").write_text(json.dumps(SPEC))


def start(folder: Path, *options: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """`jsonnx train` in a session of its own, as a terminal starts it; `prefix` is a command that starts it."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "JSONNX_DEBUG": "1"}
    command = [*prefix, sys.executable, "-m", "jsonnx", "train", "spec.json", *options]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    output, _ = process.communicate(timeout=START_SECONDS)
    assert process.returncode == status, output
    return output


def on_ray(address: str, workers: str = "2") -> list[str]:
    return ["--distributed", "ray", "--workers", workers, "--address", address]


def run_files(folder: Path) -> dict[str, bytes]:
    """What a run has learned, by file."""
    names = ("weights.safetensors", "model.onnx", "metrics.jsonl")
    return {name: (folder / name).read_bytes() for name in names}


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not happen; status {process.poll()}: {process.communicate(timeout=10)[0]}")


def epochs_of(folder: Path) -> int:
    try:
        return (folder / "metrics.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def worker_processes(started_after: float) -> list[int]:
    """The processes of workers of Ray Train that have started since a time."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_worker = entry.name.isdecimal() and b"RayTrainWorker" in (entry / "cmdline").read_bytes()
            if is_worker and entry.stat().st_mtime >= started_after:
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)
