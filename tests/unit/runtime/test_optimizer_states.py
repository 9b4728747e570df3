"""Schedules, moving averages and accumulated gradients in runs of a trainer: resumed, sharded and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.core.callback import Callback
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.pipeline.train.training_export import manifest

BATCH = 8
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype(np.float32)
WARM_UP = {
    "type": "CosineDecay",
    "initial_learning_rate": 0.0,
    "decay_steps": 20,
    "warmup_target": 0.1,
    "warmup_steps": 4,
}


def spec(optimizer: Any, **training: Any) -> dict[str, Any]:
    layer = {"type": "Dense", "name": "line", "units": 1}
    section = {"loss": "mse", "optimizer": optimizer, "batch_size": BATCH, "shuffle": False, **training}
    return {"inputs": {"x": {"shape": [3]}}, "layers": [layer], "training": section}


def test_the_learning_rate_of_the_next_step_follows_a_schedule_and_cannot_be_set() -> None:
    trainer = Trainer(spec({"type": "adam", "learning_rate": WARM_UP}))
    assert trainer.learning_rate == 0.0
    trainer.fit(X, Y, epochs=1)
    assert trainer.learning_rate == pytest.approx(0.1 * (1 + np.cos(np.pi * 2 / 20)) / 2)
    with pytest.raises(TypeError, match="schedule of the spec"):
        trainer.learning_rate = 0.1


def test_a_run_with_every_kind_of_optimizer_state_resumes_bit_for_bit(tmp_path: Path) -> None:
    optimizer = {
        "type": "Muon",
        "learning_rate": WARM_UP,
        "use_ema": True,
        "ema_overwrite_frequency": 5,
        "gradient_accumulation_steps": 4,
    }
    whole = Trainer(spec(optimizer))
    whole.fit(X, Y, epochs=3)
    first = Trainer(spec(optimizer))

    class StopAfterFirstEpoch(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            first.save_checkpoint(tmp_path / "checkpoint")
            first.stop()

    first.fit(X, Y, epochs=3, callbacks=[StopAfterFirstEpoch()])
    resumed = Trainer(spec(optimizer))
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(X, Y, epochs=3)
    for name, array in whole.weights().items():
        assert np.array_equal(resumed.weights()[name], array), name


def test_the_moving_average_replaces_the_weights_after_a_fit() -> None:
    optimizer = {"type": "sgd", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.7}
    stepwise, fitted = Trainer(spec(optimizer)), Trainer(spec(optimizer))
    average = None
    for start in range(0, len(X), BATCH):
        stepwise.step(X[start : start + BATCH], Y[start : start + BATCH])
        kernel = stepwise.weights()["line/kernel"]
        average = kernel if average is None else 0.7 * average + 0.3 * kernel
    last_loss = stepwise.evaluate(X, Y)["loss"]
    history = fitted.fit(X, Y, epochs=1, validation_data=(X, Y)).history
    assert history["val_loss"] == [pytest.approx(last_loss)], "validation uses the weights themselves"
    np.testing.assert_allclose(fitted.weights()["line/kernel"], average, rtol=1e-5)


def test_a_fit_without_steps_keeps_the_weights() -> None:
    trainer = Trainer(spec({"type": "sgd", "use_ema": True}))
    start = trainer.weights()["line/kernel"]
    trainer.fit(X, Y, epochs=0)
    assert np.array_equal(trainer.weights()["line/kernel"], start)


def test_accumulated_gradients_equal_those_of_one_large_batch() -> None:
    accumulated = Trainer(spec({"type": "sgd", "momentum": 0.9, "gradient_accumulation_steps": 3}))
    at_once = Trainer(spec({"type": "sgd", "momentum": 0.9}))
    accumulated.fit(X, Y, epochs=2, batch_size=BATCH)
    at_once.fit(X, Y, epochs=2, batch_size=3 * BATCH)
    for name, array in at_once.weights().items():
        np.testing.assert_allclose(accumulated.weights()[name], array, rtol=1e-5, atol=1e-6)


def test_an_exported_step_computes_its_schedule() -> None:
    checked = check_spec(spec({"type": "sgd", "learning_rate": WARM_UP}))
    entries = manifest(checked, plan_training(checked))
    assert entries["scalars"] == {}
    assert entries["variables"]["optimizer/iterations"]["next"] == "next/optimizer/iterations"


@pytest.mark.parametrize("pattern", ["bias", "line/bias", "*/bias"])
def test_excluded_weights_do_not_decay(pattern: str) -> None:
    optimizer = {"type": "sgd", "learning_rate": 0.1, "weight_decay": 0.5, "exclude_from_weight_decay": [pattern]}
    trainer = Trainer(spec(optimizer))
    ones = {name: np.ones_like(array) for name, array in trainer.weights().items()}
    trainer.set_weights(ones)
    trainer.step(np.zeros((1, 3), np.float32), np.ones((1, 1), np.float32))
    assert trainer.weights()["line/bias"] == [1.0]
    np.testing.assert_allclose(trainer.weights()["line/kernel"], 0.95)


def test_a_pattern_that_excludes_no_weight_from_decay_is_an_error() -> None:
    optimizer = {"type": "adamw", "exclude_from_weight_decay": ["bais"]}
    with pytest.raises(jsonnx.CompileError, match="'bais' matches the name of no weight"):
        Trainer(spec(optimizer))


@pytest.mark.parametrize(
    ("patterns", "message"),
    [(["bais"], "'bais' matches the name of no weight"), (["line", "bias"], "'bias' has no effect: earlier patterns")],
)
def test_a_pattern_of_a_multi_optimizer_without_weights_is_an_error(patterns: list[str], message: str) -> None:
    optimizer = {"type": "MultiOptimizer", "default_optimizer": "adam", "optimizer_map": dict.fromkeys(patterns, "sgd")}
    with pytest.raises(jsonnx.CompileError, match=message):
        Trainer(spec(optimizer))


def test_a_changed_rate_changes_those_of_all_optimizers_in_proportion() -> None:
    def bias_and_kernel(factor: float) -> np.ndarray:
        parts = {"bias": {"type": "sgd", "learning_rate": 0.3}}
        default = {"type": "sgd", "learning_rate": 0.1}
        trainer = Trainer(spec({"type": "MultiOptimizer", "default_optimizer": default, "optimizer_map": parts}))
        start = trainer.weights()
        trainer.learning_rate *= factor
        trainer.step(X[:BATCH], Y[:BATCH])
        return np.concatenate([(array - start[name]).ravel() for name, array in trainer.weights().items()])

    np.testing.assert_allclose(bias_and_kernel(0.5), 0.5 * bias_and_kernel(1.0), rtol=1e-5)


def test_a_run_with_several_optimizers_resumes_bit_for_bit(tmp_path: Path) -> None:
    parts = {"bias": {"type": "Nadam", "learning_rate": WARM_UP}}
    default = {"type": "Nadam", "learning_rate": 0.1, "beta_1": 0.8}
    optimizer = {"type": "MultiOptimizer", "default_optimizer": default, "optimizer_map": parts}
    whole, first, resumed = (Trainer(spec(optimizer)) for _ in range(3))
    whole.fit(X, Y, epochs=4)
    first.fit(X, Y, epochs=2)
    first.save_checkpoint(tmp_path / "checkpoint")
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(X, Y, epochs=4)
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(resumed.weights()[name], array)
