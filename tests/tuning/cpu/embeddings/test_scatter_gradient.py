"""The gradient of a large table with every row written once: where, and that it is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_same_steps
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.pipeline.trainer import Trainer
from jsonnx.tuning.cpu.embeddings.scatter_gradient import scatter_embedding_gradients
from jsonnx.tuning.cpu.target import Target

ROWS, WIDTH, LENGTH = 40_000, 32, 6


def spec(rows: int = ROWS, width: int = WIDTH, optimizer: str = "adam") -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [LENGTH], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "name": "table", "input_dim": rows, "output_dim": width},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": 3},
        ],
        # For so large a batch the table is not renewed by rows.
        "training": {"loss": "mse", "optimizer": {"type": optimizer, "learning_rate": 0.05}, "batch_size": 1 << 13},
    }


def is_taken(document: dict[str, Any]) -> bool:
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


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", READ)
def test_same_steps(name: str, optimizer: str) -> None:
    x = READ[name].astype(np.int32)
    document = spec(optimizer=optimizer)
    assert is_taken(document)
    assert_same_steps(document, x, np.random.default_rng(1).standard_normal((len(x), 3), np.float32))


def test_same_steps_of_several_reads() -> None:
    """A table that is read twice gets the sum of both. Adam would make much of sums that nearly cancel."""
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


def test_bits_are_the_same_every_time() -> None:
    x, y = READ["some-again"].astype(np.int32), np.random.default_rng(1).standard_normal((16, 3), np.float32)
    found = []
    for _ in range(3):
        trainer = Trainer(spec(), seed=1)
        trainer.step(x, y)
        found.append(trainer.weights()["table/embeddings"].tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("taken", "rows", "width"),
    [
        (True, ROWS, WIDTH),
        (False, 1_000, WIDTH),  # stays in a cache
        (False, 10 * ROWS, 8),  # little to copy
    ],
)
def test_where(taken: bool, rows: int, width: int) -> None:
    assert is_taken(spec(rows, width)) == taken
