"""What goes back through a large Dense layer of few samples: that it is the same, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_same_fit, assert_same_run
from jsonnx.pipeline.trainer import Trainer

WIDE = 640


def spec(units: int = WIDE) -> dict[str, Any]:
    layers = [{"type": "Dense", "units": units, "activation": "tanh"}, {"type": "Dense", "units": units, "name": "b"}]
    return {
        "inputs": {"x": {"shape": [7]}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.01}},
    }


def batches(*sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [(rng.normal(size=(n, 7)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)) for n in sizes]


def test_steps_of_any_size_are_the_same() -> None:
    assert_same_run(spec(), batches(8, 3, 1, 200, 8))
    assert_same_run(spec(), batches(200, 8))


@pytest.mark.parametrize(("before", "batch_size"), [(100, 8), (8, 96)])
def test_a_fit_is_the_same_whatever_came_before(before: int, batch_size: int) -> None:
    x, y = (np.concatenate(arrays) for arrays in zip(*batches(96, 96), strict=True))
    assert_same_fit(spec(), x, y, batch_size, before, threads=1)  # of two, each has rows of its own besides


@pytest.mark.parametrize(("units", "samples", "turned"), [(WIDE, 8, 1), (WIDE, 64, 1), (WIDE, 65, 0), (300, 8, 0)])
def test_of_few_rows_and_large_weights_alone(units: int, samples: int, turned: int) -> None:
    engine = Trainer(spec(units))._engine
    nodes = engine.loader.optimize(engine.execution.step_graph, samples).nodes
    weight = engine.execution.step_graph.parameters["b/kernel"]
    first = [node for node in nodes if node.op == "FusedMatMul" and node.inputs[0] is weight]
    assert len(first) == turned
    assert all(node.attribute("transB") and not node.attribute("transA") for node in first)
