"""Transposed products of few rows with large weights: the same numbers, and which products are transposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.tuning.cpu.matmul.transpose_small import has_transposable_matmuls, transpose_small_matmuls
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_run

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


def test_steps_of_any_batch_size_compute_the_same() -> None:
    assert_same_run(spec(), batches(8, 3, 1, 200, 8))
    assert_same_run(spec(), batches(200, 8))


@pytest.mark.parametrize(
    ("units", "samples", "count"), [(WIDE, 8, 1), (WIDE, 64, 1), (WIDE, 65, 0), (WIDE, None, 0), (300, 8, 0)]
)
def test_only_products_of_few_rows_with_large_weights_are_transposed(
    units: int, samples: int | None, count: int
) -> None:
    step = plan_training(check_spec(spec(units))).train
    assert has_transposable_matmuls(step) == (units == WIDE)
    transposed = transpose_small_matmuls(step, Target(expected_batch=samples))
    weight = step.parameters["b/kernel"]
    products = [node for node in transposed.nodes if node.op == "MatMul" and node.inputs[0] is weight]
    assert len(products) == count
    assert (transposed is step) == (count == 0)
