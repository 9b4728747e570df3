"""Tests with a server and clients of other projects, which only `run.sh` of this folder runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served_process import ServedProcess

SAMPLES = Path(__file__).parents[3] / "samples"
TRAINED = ("penguins", "reviews", "mnist_cnn")
"""Strings and numbers, text, a convolutional network."""

collect_ignore_glob = [] if "JSONNX_SERVING_TESTS" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the RUN folders of `TRAINED`, each of one epoch."""
    folder = tmp_path_factory.mktemp("runs")
    for name in TRAINED:
        train(name, folder / name)
    return folder


def train(sample: str, run: Path, *options: str) -> None:
    """Trains a sample for one epoch."""
    command = ["train", str(SAMPLES / f"{sample}.json"), "-o", str(run), "--set", "training.epochs=1", *options]
    subprocess.run([sys.executable, "-m", "jsonnx", *command, "--quiet"], check=True, timeout=120)


@pytest.fixture(scope="session")
def versions(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model with the versions 1 and 3, whose weights differ."""
    folder = tmp_path_factory.mktemp("several") / "versioned"
    train("penguins", folder.parent / "other", "--set", "training.seed=2")
    for version, run in {"1": runs / "penguins", "3": folder.parent / "other"}.items():
        (folder / version).mkdir(parents=True)
        shutil.copy(run / "model.onnx", folder / version)
    return folder


@pytest.fixture(scope="session")
def server(runs: Path, versions: Path) -> Iterator[ServedProcess]:
    """A server of all models, for tests that leave it as it is."""
    with ServedProcess([str(runs / name) for name in TRAINED] + [str(versions)], grpc=True) as process:
        yield process
