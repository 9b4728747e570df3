"""Specs with an embedding that is updated lazily, and batches that read some of its rows often and others rarely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from jsonnx.training.optimizers import skipped_steps
from jsonnx.tuning.cpu.embeddings import lazy_updates

ROWS, WIDTH, LENGTH, BATCH = 300, 16, 5, 4

OPTIMIZERS: dict[str, Any] = {
    "adam": {"type": "adam", "learning_rate": 0.02},
    "adam, large epsilon": {"type": "adam", "learning_rate": 0.02, "epsilon": 1e-3},
    "adam, weight decay": {"type": "adam", "weight_decay": 0.5, "learning_rate": 0.05, "epsilon": 1e-4},
    "adamw": {"type": "adamw", "learning_rate": 0.02},
    "rmsprop": {"type": "rmsprop", "learning_rate": 0.01},
    "rmsprop, momentum": {"type": "rmsprop", "momentum": 0.8, "centered": True},
    "sgd": {"type": "sgd", "learning_rate": 0.5},
    "sgd, momentum": {"type": "sgd", "momentum": 0.9, "learning_rate": 0.2},
    "sgd, nesterov": {"type": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.2},
    "adagrad": {"type": "adagrad", "learning_rate": 0.1},
}
"""Optimizers with lazy updates; "large epsilon": about as large as the roots that it is added to."""


def update_small_tables_lazily(monkeypatch: pytest.MonkeyPatch, max_age: int = 7) -> None:
    """Lowers the limits of lazy updates. Rows of the maximum age are brought up to date by the next step."""
    monkeypatch.setattr(lazy_updates, "MIN_TABLE_ELEMENTS", 1 << 10)
    for module in (skipped_steps, lazy_updates):
        monkeypatch.setattr(module, "MAX_AGE", max_age)


def embedding_spec(optimizer: Any = "adam", **embedding: Any) -> dict[str, Any]:
    table = {"type": "Embedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH, **embedding}
    return {
        "inputs": {"x": {"shape": [LENGTH], "dtype": "int32"}},
        "layers": [table, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": optimizer, "batch_size": BATCH, "epochs": 3},
    }


def draw_samples(count: int = 25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples that read a third of the rows often."""
    rng = np.random.default_rng(seed)
    x = (ROWS * rng.random((count, LENGTH)) ** 3).astype(np.int32)
    return x, rng.normal(size=(count, 3)).astype(np.float32)


def draw_batches(steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of 1 to `BATCH` samples."""
    for seed in range(steps):
        yield draw_samples(1 + seed % BATCH, seed)


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 2e-6) -> None:
    """Asserts that variables are equal up to rounding, but for one element in a hundred, which may be off by more.

    Adam's update depends on the sign of a gradient whose terms nearly cancel: if all weights differ by one unit in the
    last place at first, a few soon differ by 1e-4.
    """
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        error = np.abs(actual[name] - array) / (np.abs(array).max() + 1e-9)
        assert np.quantile(error, 0.99) <= tolerance, name
        assert error.max() <= 50 * tolerance, name
