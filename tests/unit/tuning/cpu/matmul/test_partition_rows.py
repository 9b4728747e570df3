"""Products partitioned by the threads' rows of a weight: the same numbers, and which products are partitioned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.tuning.cpu.matmul.partition_rows import MAX_SAMPLES, partition_rows
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_run

OPTIMIZERS: list[Any] = ["sgd", {"type": "sgd", "learning_rate": 0.01, "momentum": 0.9}]


def spec(units: int, inputs: int = 60, optimizer: Any = "sgd") -> dict[str, Any]:
    layers = [{"type": "Dense", "units": units, "activation": "tanh"}, {"type": "Dense", "units": inputs, "name": "b"}]
    return {
        "inputs": {"x": {"shape": [inputs]}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def batches(*sizes: int, inputs: int = 60) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [
        (rng.normal(size=(n, inputs)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)) for n in sizes
    ]


def products(spec: dict[str, Any], samples: int | None, threads: int) -> list[tuple[bool, tuple[Any, ...]]]:
    """For each partitioned product of a step: whether it is a gradient, and the shape of its result."""
    step = plan_training(check_spec(spec)).train
    nodes = partition_rows(step, Target(threads=threads, expected_batch=samples)).nodes
    return [
        (bool(node.attribute("transA")), node.outputs[0].shape) for node in nodes if node.attribute("transBatchA", 0)
    ]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 3, 40, 1), (40, 1, 2)])
def test_steps_of_any_batch_size_compute_the_same(optimizer: Any, sizes: tuple[int, ...]) -> None:
    assert_same_run(spec(700, optimizer=optimizer), batches(*sizes))


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_any_number_of_threads_computes_the_same(threads: int) -> None:
    (x, y), *_ = batches(2)
    weights = []
    for count in (1, threads):
        trainer = Trainer(spec(700), seed=1, threads=count)
        assert bool(products(spec(700), 2, count)) == (count > 1)
        for _ in range(3):
            trainer.step(x, y)
        weights.append(trainer.weights())
    for name, array in weights[0].items():
        np.testing.assert_allclose(weights[1][name], array, rtol=1e-5, atol=1e-6)


def test_gradients_of_weights_with_more_columns_than_rows_are_partitioned() -> None:
    assert products(spec(700), 100, 2) == [(True, (2, 30, 700))]
    assert products(spec(700), None, 2) == [(True, (2, 30, 700))]
    assert products(spec(700), 100, 1) == []
    assert products(spec(700, inputs=61), 100, 2) == []  # the rows cannot be divided by the threads
    assert products(spec(500), 100, 2) == []  # the weight is small


def test_gradients_of_sequences_are_partitioned() -> None:
    sequences = spec(700)
    sequences["inputs"]["x"]["shape"] = [5, 60]
    assert products(sequences, 100, 2) == [(True, (2, 30, 700))]
    rng = np.random.default_rng(3)
    arrays = [(rng.normal(size=(n, 5, 60)), rng.normal(size=(n, 5, 3))) for n in (1, 4, 1)]
    assert_same_run(sequences, [(x.astype(np.float32), y.astype(np.float32)) for x, y in arrays])


def test_products_of_few_samples_with_an_updated_weight_are_sums_over_threads() -> None:
    few = [(False, (2, "batch", 700)), (False, (2, "batch", 60)), (True, (2, 30, 700))]
    for samples, expected in ((1, few), (MAX_SAMPLES, few), (MAX_SAMPLES + 1, few[2:])):
        partitioned = [
            (is_gradient, tuple(d if isinstance(d, int) else str(d) for d in shape))
            for is_gradient, shape in products(spec(700), samples, 2)
        ]
        assert sorted(partitioned, key=str) == sorted(expected, key=str)


def test_products_of_other_tensors_than_the_batch_are_not_partitioned() -> None:
    """The power iteration multiplies a state by the weight."""
    normalized = spec(700)
    normalized["layers"][0] = {"type": "SpectralNormalization", "layer": normalized["layers"][0]}
    partitioned = products(normalized, 1, 2)
    assert (False, (2, 1, 700)) not in partitioned
    assert len(partitioned) == 3


def test_products_with_a_frozen_weight_are_not_partitioned() -> None:
    frozen = spec(700)
    frozen["layers"][0]["trainable"] = False
    assert [(is_gradient, shape[2]) for is_gradient, shape in products(frozen, 1, 2)] == [(False, 60)]
