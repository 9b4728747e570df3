"""The engine: steps that are rewritten for this machine compute the same, for every batch size and after a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution.step_runners import MAX_OVERSIZED_STEPS
from support.harness import SaveAt, assert_same_fit, assert_same_run
from support.nchwc_graphs import BLOCK, needs_nchwc_kernels

CONV = {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same"}
CONVOLUTIONS = [CONV, {"type": "ReLU"}, CONV, {"type": "GlobalAveragePooling2D"}]
IMAGE = (12, 10, 16)


def spec(layers: list[dict[str, Any]], shape: tuple[int, ...], optimizer: Any = "sgd") -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def batch(shape: tuple[int, ...], samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    return rng.standard_normal((samples, *shape), np.float32), rng.standard_normal((samples, 3), np.float32)


NETWORKS: dict[str, tuple[list[dict[str, Any]], tuple[int, ...]]] = {
    "dense": ([{"type": "Dense", "units": 50, "activation": "relu"}] * 4, (40,)),
    "residual": (
        [
            {**CONV, "name": "a", "activation": "relu"},
            {**CONV, "name": "b"},
            {"type": "BatchNormalization", "name": "n"},
            {"type": "Add", "from": ["n", "a"]},
            {"type": "ReLU"},
            {"type": "Flatten"},
        ],
        (8, 8, 3),
    ),
    "recurrent": ([{"type": "LSTM", "units": 8, "return_sequences": True}, {"type": "GRU", "units": 6}], (12, 5)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_rewritten_steps_compute_the_same(name: str) -> None:
    layers, shape = NETWORKS[name]
    assert_same_run(spec(layers, shape), [batch(shape, 4), batch(shape, 4)])


def test_rewritten_steps_with_a_global_gradient_norm_compute_the_same() -> None:
    layers, shape = NETWORKS["dense"]
    document = spec(layers, shape, {"type": "adam", "global_clipnorm": 0.1})
    assert_same_run(document, [batch(shape, 4), batch(shape, 4)])


# -- code for one batch size -----------------------------------------------------------------------------------------


@needs_nchwc_kernels
def test_a_larger_batch_that_repeats_gets_specialised_code() -> None:
    document = spec(CONVOLUTIONS, IMAGE)
    small, large = batch(IMAGE, 3), batch(IMAGE, 2 * BLOCK)
    trainer, plain_trainer = Trainer(document, seed=2), Trainer(document, seed=2, fast=False)
    batch_sizes = []
    for samples in [
        small,
        *[large] * MAX_OVERSIZED_STEPS,
        small,
        *[large] * (MAX_OVERSIZED_STEPS + 1),
        *[small] * (MAX_OVERSIZED_STEPS + 1),
    ]:
        assert trainer.step(*samples)["loss"] == pytest.approx(plain_trainer.step(*samples)["loss"], rel=1e-5)
        batch_sizes.append(trainer.plan_trainer.engine.step_runners.state.batch_size)
    assert batch_sizes == [3] * (2 + 2 * MAX_OVERSIZED_STEPS) + [2 * BLOCK] * (MAX_OVERSIZED_STEPS + 2)


def test_a_session_without_specialised_code_is_kept() -> None:
    trainer = Trainer(spec(CONVOLUTIONS, IMAGE), seed=2, fast=False)
    trainer.step(*batch(IMAGE, 3))
    initial_runner = trainer.plan_trainer.engine.step_runners.runner
    for _ in range(MAX_OVERSIZED_STEPS + 1):
        trainer.step(*batch(IMAGE, BLOCK))
    trainer.fit(*batch(IMAGE, 2 * BLOCK), batch_size=BLOCK, epochs=1)
    assert trainer.plan_trainer.engine.step_runners.runner is initial_runner


@needs_nchwc_kernels
def test_a_fit_gets_code_for_its_batch_size() -> None:
    trainer = Trainer(spec(CONVOLUTIONS, IMAGE), seed=2)
    trainer.step(*batch(IMAGE, 3))
    trainer.fit(*batch(IMAGE, 3 * BLOCK), batch_size=BLOCK, epochs=1)
    assert trainer.plan_trainer.engine.step_runners.state.batch_size == BLOCK


@pytest.mark.parametrize(("threads", "inputs", "session_count"), [(2, 60, 2), (1, 60, 1), (2, 61, 1)])
def test_a_session_is_created_for_another_batch_size_only_if_its_graph_depends_on_it(
    threads: int, inputs: int, session_count: int
) -> None:
    """Two threads share the rows of a weight in small batches, if their number is even."""
    layers = [{"type": "Dense", "units": 700, "activation": "tanh"}, {"type": "Dense", "units": 3}]
    trainer = Trainer(spec(layers, (inputs,)), threads=threads)
    sessions = []
    for x, y in (batch((inputs,), 8), batch((inputs,), 100)):
        trainer.fit(x, y, epochs=1, batch_size=len(x))
        if trainer.plan_trainer.engine.step_runners.runner not in sessions:
            sessions.append(trainer.plan_trainer.engine.step_runners.runner)
    assert len(sessions) == session_count


@pytest.mark.parametrize(("samples_before", "batch_size"), [(100, 8), (1, 100)])
def test_a_fit_with_partitioned_rows_is_independent_of_earlier_batch_sizes(
    samples_before: int, batch_size: int
) -> None:
    layers = [{"type": "Dense", "units": 700, "activation": "tanh"}, {"type": "Dense", "units": 60}]
    assert_same_fit(spec(layers, (60,)), *batch((60,), 200), batch_size, samples_before, threads=2)


@pytest.mark.parametrize(("samples_before", "batch_size"), [(100, 8), (8, 96)])
def test_a_fit_with_transposed_matmuls_is_independent_of_earlier_batch_sizes(
    samples_before: int, batch_size: int
) -> None:
    layers = [{"type": "Dense", "units": 640, "activation": "tanh"}, {"type": "Dense", "units": 640}]
    document = spec(layers, (7,), {"type": "sgd", "learning_rate": 0.01})
    assert_same_fit(document, *batch((7,), 192), batch_size, samples_before, threads=1)


@needs_nchwc_kernels
@pytest.mark.parametrize("preprocessing", [[], [{"type": "RandomFlip", "seed": 3}]], ids=["plain", "augmented"])
def test_a_fit_resumed_before_an_epochs_last_batch_has_the_same_bits(
    preprocessing: list[dict[str, Any]], tmp_path: Path
) -> None:
    document = spec([*preprocessing, *CONVOLUTIONS], IMAGE)
    data, settings = batch(IMAGE, 2 * BLOCK + 5), {"batch_size": BLOCK, "epochs": 3}
    uninterrupted, stopped, resumed = (Trainer(document, seed=4) for _ in range(3))
    uninterrupted.fit(*data, **settings)
    path = tmp_path / "c.safetensors"
    stopped.fit(*data, **settings, callbacks=[SaveAt(stopped, path, 5)])
    resumed.step(*data)
    resumed.load_checkpoint(path)
    resumed.fit(*data, **settings)
    assert resumed.steps == uninterrupted.steps == 9
    for name, expected in uninterrupted.weights().items():
        assert (resumed.weights()[name] == expected).all(), name
