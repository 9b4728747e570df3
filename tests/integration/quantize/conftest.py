"""Runs of samples, trained once for all tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.quantize.wide_ranges import train_with_wide_ranges
from support.commands import jsonnx

REPOSITORY = Path(__file__).parents[3]
SAMPLES = REPOSITORY / "samples"


def train_sample(name: str, folder: Path, *changes: str) -> Path:
    options = [option for change in changes for option in ("--set", change)]
    jsonnx("train", str(SAMPLES / f"{name}.json"), "-o", str(folder / name), "--quiet", *options)
    return folder / name


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quantize")


@pytest.fixture(scope="session")
def digits(folder: Path) -> Path:
    """A network of convolutions with residual connections; with a variant."""
    variants = {
        "phone": {"calibration": {"samples": 64, "method": "percentile"}, "layers": {"stem": None}},
        "strict": {"tolerance": {"max_difference": 1e-9}},
        "tensor": {"per_channel": False, "tolerance": {"accuracy": 0.05}},
    }
    spec = json.loads((SAMPLES / "digits_residual.json").read_text()) | {"quantization": variants}
    (folder / "digits.json").write_text(json.dumps(spec))
    (folder / "data").mkdir(exist_ok=True)
    for part in ("train", "test"):
        (folder / "data" / f"digits_{part}.npz").write_bytes((SAMPLES / "data" / f"digits_{part}.npz").read_bytes())
    jsonnx("train", str(folder / "digits.json"), "-o", str(folder / "digits"), "--quiet", "--set", "training.epochs=3")
    return folder / "digits"


@pytest.fixture(scope="session")
def trained_with_rounding(folder: Path, digits: Path) -> Path:
    """A run of quantization-aware training."""
    options = ("--set", "training.epochs=2", "--set", "training.quantize=int8", "--quiet")
    jsonnx("train", str(folder / "digits.json"), "-o", str(folder / "rounded"), *options)
    return folder / "rounded"


@pytest.fixture(scope="session")
def penguins(folder: Path) -> Path:
    """A table with texts, missing values and normalization."""
    return train_sample("penguins", folder)


@pytest.fixture(scope="session")
def vowels(folder: Path) -> Path:
    """Sequences, with an LSTM."""
    return train_sample("vowels_lstm", folder, "training.epochs=6")


@pytest.fixture(scope="session")
def mnist(folder: Path) -> Path:
    return train_sample("mnist_cnn", folder, "training.epochs=1")


@pytest.fixture(scope="session")
def two_outputs(folder: Path) -> Path:
    """A class and a number, from the same features, with validation data alone."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 6)).astype(np.float32)
    arrays = {"x": x, "kind": (x[:, 0] + x[:, 1] > 0).astype(np.int32), "size": x[:, 2:3] * 2 + x[:, 3:4]}
    np.savez(folder / "two.npz", **arrays)
    spec: dict[str, Any] = {
        "inputs": {"x": {"shape": [6]}},
        "layers": [
            {"type": "Dense", "name": "hidden", "units": 64, "activation": "relu"},
            {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax", "from": "hidden"},
            {"type": "Dense", "name": "size", "units": 1, "from": "hidden"},
        ],
        "outputs": ["kind", "size"],
        "training": {
            "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"},
            "metrics": {"kind": ["accuracy"], "size": ["mae"]},
            "epochs": 5,
            "data": {"train": "two.npz", "validation_split": 0.25},
        },
    }
    (folder / "two.json").write_text(json.dumps(spec))
    jsonnx("train", str(folder / "two.json"), "-o", str(folder / "two"), "--quiet")
    return folder / "two"


@pytest.fixture(scope="session")
def wide_ranges(folder: Path) -> Path:
    return train_with_wide_ranges(folder, quantization={"phone": {"per_channel": False}})


@pytest.fixture(autouse=True)
def in_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
