"""Optimizer slots that a step updates in place: the same numbers, and their state after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.fit.trainer import Diverged
from jsonnx.tuning.cpu.matmul.partition_rows import MAX_SAMPLES
from jsonnx.tuning.cpu.memory.inplace_slots import MIN_SLOT_ELEMENTS, inplace_slots
from support.harness import assert_same_run
from support.optimizer_names import OPTIMIZER_NAMES

INPUTS = 40
UNITS = MIN_SLOT_ELEMENTS // INPUTS + 8
KERNEL = "wide/kernel"


def spec(optimizer: Any, **layer: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [INPUTS]}},
        "layers": [{"type": "Dense", "units": UNITS, "name": "wide", **layer}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches that are too large for `tuning.cpu.matmul.partition_rows`, which rounds sums differently.

    Some optimizers make a full step for a gradient that is only rounding error.
    """
    rng = np.random.default_rng(7)
    samples = MAX_SAMPLES + 4
    return [
        (rng.normal(size=(samples, INPUTS)).astype(np.float32), rng.normal(size=(samples, 2)).astype(np.float32))
        for _ in range(count)
    ]


def optimizer_slots(trainer: Trainer) -> dict[str, np.ndarray]:
    """Copies of the optimizer's slots and step count."""
    return {
        name: array for name, array in trainer.plan_trainer.engine.variables().items() if name.startswith("optimizer/")
    }


def assert_same_variables(trainer: Trainer, expected: dict[str, np.ndarray]) -> None:
    variables = trainer.plan_trainer.engine.variables()
    assert all(np.array_equal(variables[name], array) for name, array in expected.items())


@pytest.mark.costly(2)
@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_steps_of_every_optimizer_compute_the_same(optimizer: str) -> None:
    assert_same_run(spec({"type": optimizer, "learning_rate": 1e-3}), batches(4))


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_slots_that_are_updated_in_place_have_one_copy(optimizer: str) -> None:
    engine = Trainer(spec({"type": optimizer, "learning_rate": 1e-3})).plan_trainer.engine
    assert engine.execution.inplace_slots == inplace_slots(engine.execution.step_graph)
    assert inplace_slots(engine.loader.optimize(engine.execution.step_graph, 5)) >= engine.execution.inplace_slots
    sets = engine._variables.sets
    for name in sets[0]:
        if name.startswith(f"optimizer/{KERNEL}/") or name == KERNEL:
            addresses = {variables[name].data_ptr() for variables in sets}
            assert len(addresses) == (1 if name in engine.execution.inplace_slots else 3), name


@pytest.mark.parametrize(
    "optimizer",
    [
        {"type": "sgd", "momentum": 0.9, "nesterov": True},
        {"type": "adam", "amsgrad": True, "clipnorm": 0.5},
        {"type": "rmsprop", "centered": True, "momentum": 0.5},
        {"type": "adamw", "weight_decay": 0.01},
    ],
    ids=["nesterov", "amsgrad", "centered", "weight-decay"],
)
def test_steps_with_options_of_optimizers_and_constraints_compute_the_same(optimizer: Any) -> None:
    document = spec({**optimizer, "learning_rate": 1e-3}, kernel_constraint="max_norm")
    assert_same_run(document, batches(4))
    assert Trainer(document).plan_trainer.engine.execution.inplace_slots


def test_slots_are_updated_in_place_with_rewrites_alone() -> None:
    assert not Trainer(spec("adam"), fast=False).plan_trainer.engine.execution.inplace_slots
    document = spec("adam")
    document["training"]["remat"] = "full"
    assert Trainer(document).plan_trainer.engine.execution.inplace_slots


def test_reading_weights_between_steps_changes_nothing() -> None:
    observed, unobserved = Trainer(spec("adam"), seed=1), Trainer(spec("adam"), seed=1)
    for x, y in batches(4):
        assert observed.step(x, y) == unobserved.step(x, y)
        observed.evaluate(x, y)
        observed.predict(x)
        observed.weights()
    assert_same_variables(observed, unobserved.plan_trainer.engine.variables())


def test_an_interrupted_step_resets_the_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some slots may be newer than the weights."""
    trainer, step_batches = Trainer(spec("adam"), seed=1), batches(3)
    for x, y in step_batches:
        trainer.step(x, y)
    weights, runner = trainer.weights(), trainer.plan_trainer.engine.step_runners.runner
    assert runner is not None
    run = runner._run_bound

    def run_interrupted(binding: Any) -> None:
        run(binding)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_run_bound", run_interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.step(*step_batches[0])
    assert all(np.array_equal(array, weights[name]) for name, array in trainer.weights().items())
    slots = optimizer_slots(trainer)
    assert len(slots) > 4
    assert not any(array.any() for array in slots.values())
    monkeypatch.undo()
    assert np.isfinite(trainer.step(*step_batches[0])["loss"])


def test_a_first_step_that_diverges_changes_nothing() -> None:
    trainer = Trainer(spec({"type": "sgd", "momentum": 0.9}))
    (x, y), *_ = batches(1)
    initial_variables = trainer.plan_trainer.engine.variables()
    with pytest.raises(Diverged, match="step 1"):
        trainer.step(x, np.full_like(y, 1e30))
    assert_same_variables(trainer, initial_variables)
    assert trainer.steps == 0


def test_a_resumed_run_has_the_same_bits(tmp_path: Path) -> None:
    uninterrupted, saved, resumed = (Trainer(spec("adam"), seed=1) for _ in range(3))
    step_batches = batches(6)
    for x, y in step_batches[:3]:
        uninterrupted.step(x, y)
        saved.step(x, y)
    saved.save_checkpoint(tmp_path / "c")
    resumed.load_checkpoint(tmp_path / "c")
    for x, y in step_batches[3:]:
        assert uninterrupted.step(x, y) == resumed.step(x, y)
    assert_same_variables(resumed, uninterrupted.plan_trainer.engine.variables())


def test_after_a_divergence_the_weights_are_the_last_good_ones_and_the_slots_are_reset() -> None:
    trainer = Trainer(spec({"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}))
    weights_before: list[dict[str, np.ndarray]] = []
    (x, y), *_ = batches(1)

    def run_steps() -> None:
        for _ in range(60):
            weights_before.append(trainer.weights())
            trainer.step(x, y)

    with pytest.raises(Diverged):
        run_steps()
    assert len(weights_before) > 3
    assert trainer.steps == len(weights_before) - 2
    assert all(np.array_equal(array, weights_before[-2][name]) for name, array in trainer.weights().items())
    slots = optimizer_slots(trainer)
    assert any(name.startswith(f"optimizer/{KERNEL}/") for name in slots)
    assert not any(array.any() for array in slots.values())
    fresh = Trainer(spec({"type": "sgd", "learning_rate": 1e-6, "momentum": 0.9}))
    fresh.set_weights(trainer.weights())
    assert np.isfinite(fresh.step(x, y)["loss"])
