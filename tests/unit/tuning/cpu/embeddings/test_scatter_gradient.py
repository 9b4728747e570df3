"""Gradients of large tables by ScatterND: the same numbers, and which tables have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.tuning.cpu.embeddings.scatter_gradient import scatter_embedding_gradients
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_steps

ROWS, WIDTH, LENGTH = 40_000, 32, 6


def spec(rows: int = ROWS, width: int = WIDTH, optimizer: str = "adam") -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [LENGTH], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "name": "table", "input_dim": rows, "output_dim": width},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": 3},
        ],
        # The table is not updated lazily for such a large batch.
        "training": {"loss": "mse", "optimizer": {"type": optimizer, "learning_rate": 0.05}, "batch_size": 1 << 13},
    }


def is_scattered(document: dict[str, Any]) -> bool:
    nodes = scatter_embedding_gradients(plan_training(check_spec(document)).train, Target()).nodes
    return any(node.op == "ScatterND" for node in nodes)


RNG = np.random.default_rng(3)
READ = {
    "once": RNG.permutation(ROWS)[: 16 * LENGTH].reshape(16, LENGTH),
    "some-again": RNG.integers(60, size=(16, LENGTH)),
    "all-the-same": np.full((16, LENGTH), ROWS - 1),
    "in-turn": np.arange(16 * LENGTH).reshape(16, LENGTH) % 2 * (ROWS - 1),
    "one-sample": np.array([[0, 0, 1, ROWS - 1, 1, 0]]),
}


@pytest.mark.costly(6)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", READ)
def test_steps_compute_the_same(name: str, optimizer: str) -> None:
    x = READ[name].astype(np.int32)
    document = spec(optimizer=optimizer)
    assert is_scattered(document)
    assert_same_steps(document, x, np.random.default_rng(1).standard_normal((len(x), 3), np.float32))


def test_steps_with_several_lookups_of_one_table_compute_the_same() -> None:
    """The gradient is the sum of both. SGD, since Adam would amplify rounding errors of sums that nearly cancel."""
    document = spec(optimizer="sgd")
    document["inputs"]["z"] = {"shape": [2], "dtype": "int32"}
    document["layers"] = [
        {"type": "Embedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH, "from": "x"},
        {"type": "Flatten", "name": "first"},
        {"use": "table", "from": "z", "name": "read_again"},
        {"type": "Flatten", "name": "second"},
        {"type": "Concatenate", "from": ["first", "second"]},
        {"type": "Dense", "units": 3},
    ]
    nodes = scatter_embedding_gradients(plan_training(check_spec(document)).train, Target()).nodes
    assert [node.op for node in nodes].count("ScatterND") == 2
    x = {"x": READ["in-turn"].astype(np.int32), "z": READ["some-again"][:, :2].astype(np.int32)}
    assert_same_steps(document, x, np.random.default_rng(1).standard_normal((16, 3), np.float32))


def test_results_are_deterministic() -> None:
    x, y = READ["some-again"].astype(np.int32), np.random.default_rng(1).standard_normal((16, 3), np.float32)
    tables = []
    for _ in range(3):
        trainer = Trainer(spec(), seed=1)
        trainer.step(x, y)
        tables.append(trainer.weights()["table/embeddings"].tobytes())
    assert len(set(tables)) == 1


@pytest.mark.parametrize(
    ("expected", "rows", "width"),
    [
        (True, ROWS, WIDTH),
        (False, 1_000, WIDTH),  # small enough for the cache
        (False, 10 * ROWS, 8),  # short rows
    ],
)
def test_only_large_tables_with_long_rows_are_scattered(expected: bool, rows: int, width: int) -> None:
    assert is_scattered(spec(rows, width)) == expected
