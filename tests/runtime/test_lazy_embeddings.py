"""Lazily updated embeddings: their state in memory and in checkpoints, and rollbacks."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime import checkpoint
from jsonnx.runtime.trainer import Diverged
from jsonnx.tuning.cpu.embeddings import lazy_updates

ROWS, WIDTH, LENGTH, BATCH = 400, 16, 5, 8
TABLE = "table/embeddings"


@pytest.fixture(autouse=True)
def small_tables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_updates, "MIN_TABLE_ELEMENTS", 1 << 10)


def trainer(*, fast: bool = True, optimizer: Any = "adamw") -> Trainer:
    made = Trainer(
        {
            "inputs": {"x": {"shape": [LENGTH], "dtype": "int32"}},
            "layers": [
                {"type": "Embedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH},
                {"type": "GlobalAveragePooling1D"},
                {"type": "Dropout", "rate": 0.2},
                {"type": "Dense", "name": "last", "units": 3},
            ],
            "training": {
                "loss": "mse",
                "optimizer": optimizer,
                "batch_size": BATCH,
                "epochs": 4,
                "restore_best_weights": True,
            },
        },
        fast=fast,
    )
    assert (made._engine._lazy_embeddings is not None) == fast
    return made


RNG = np.random.default_rng(0)
X = (ROWS * RNG.random((35, LENGTH)) ** 2).astype(np.int32)
Y = RNG.normal(size=(35, 3)).astype(np.float32)
SPLIT = {"validation_split": 0.2}


class SaveAt:
    """Saves after a step, and raises a signal to stop there."""

    def __init__(self, trainer: Trainer, path: Path, step: int) -> None:
        self.trainer, self.path, self.step = trainer, path, step

    def on_step(self, step: int, figures: dict[str, float]) -> None:
        if self.trainer.steps == self.step:
            self.trainer.save_checkpoint(self.path)
            signal.raise_signal(signal.SIGTERM)


def bits(trainer: Trainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in trainer._engine.state_dict().items()}


def assert_near(found: Trainer, wanted: Trainer) -> None:
    numbers = found._engine.variables()
    assert numbers.keys() == wanted._engine.variables().keys()
    for name, expected in wanted._engine.variables().items():
        np.testing.assert_allclose(numbers[name], expected, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("step", [1, 4, 7, 16])
def test_a_resumed_run_equals_the_run_that_never_stopped(tmp_path: Path, step: int) -> None:
    whole, stopped, resumed = trainer(), trainer(), trainer()
    history = whole.fit(X, Y, **SPLIT)
    stopped.fit(X, Y, callbacks=[SaveAt(stopped, tmp_path / "c", step)], **SPLIT)
    assert stopped.steps == step
    resumed.step(X[::-1], Y)  # earlier steps do not matter
    assert resumed.load_checkpoint(tmp_path / "c") == []
    assert bits(resumed) == bits(stopped)
    assert resumed.fit(X, Y, **SPLIT).history == history.history
    for name, array in whole.weights().items():
        assert array.tobytes() == resumed.weights()[name].tobytes()


@pytest.mark.parametrize("fast", [True, False])
def test_lazy_and_eager_steps_read_each_others_checkpoints(tmp_path: Path, fast: bool) -> None:
    one, other, reference = trainer(fast=fast), trainer(fast=not fast), trainer(fast=False)
    for made in (one, reference):
        for start in range(0, 24, 4):
            made.step(X[start : start + 4], Y[start : start + 4])
    one.save_checkpoint(tmp_path / "c")
    other.load_checkpoint(tmp_path / "c")
    assert_near(other, reference)
    for made in (other, reference):
        for _ in range(3):
            made.step(X[3:9], Y[3:9])
    assert_near(other, reference)


def test_nonsensical_row_counts_in_a_checkpoint_do_no_harm(tmp_path: Path) -> None:
    original, last_step_state = trainer(), f"optimizer/{TABLE}/{lazy_updates.LAST_STEP}"
    original.step(X, Y)
    original.save_checkpoint(tmp_path / "c")
    arrays, state = checkpoint.load(str(tmp_path / "c"))
    for last_step in (-(2**31), 2**31 - 1):
        checkpoint.save(str(tmp_path / "d"), arrays | {last_step_state: np.full(ROWS, last_step, np.int32)}, state)
        for fast in (True, False):
            other = trainer(fast=fast)
            other.load_checkpoint(tmp_path / "d")
            other.step(X, Y)
            assert all(np.isfinite(array).all() for array in other.weights().values())


def test_a_diverged_step_is_undone_with_its_rows() -> None:
    """The last update with a finite loss led to the loss that is not: both steps are undone."""
    found, seen = trainer(optimizer={"type": "sgd", "learning_rate": 300.0, "momentum": 0.9}), []

    def steps() -> None:
        for _ in range(60):
            seen.append(bits(found))
            found.step(X[:BATCH], Y[:BATCH])

    with pytest.raises(Diverged):
        steps()
    assert len(seen) > 3
    scratch = f"optimizer/{TABLE}/{lazy_updates.ROW_POSITIONS}"
    assert bits(found) | {scratch: b""} == seen[-2] | {scratch: b""}
    assert found.steps == len(seen) - 2
    assert all(np.isfinite(array).all() for array in found.weights().values())


def test_a_diverged_fit_is_undone_in_the_same_way() -> None:
    """All of its batches but the last are in buffers that stay bound."""
    optimizer = {"type": "sgd", "learning_rate": 4.0, "momentum": 0.9}
    found, wanted = trainer(optimizer=optimizer), trainer(optimizer=optimizer, fast=False)
    for made in (found, wanted):
        with pytest.raises(Diverged):
            made.fit(X, Y, epochs=60, **SPLIT)
    assert found.steps == wanted.steps > 5
    for name, expected in wanted._engine.variables().items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found._engine.variables()[name] / scale, expected / scale, atol=1e-3, err_msg=name)


def test_there_is_one_copy_of_a_table_and_its_slots() -> None:
    sets = trainer()._engine._variables.sets
    for name, places in {
        name: {variables[name].data_ptr() for variables in sets} for name in sets[0] if not name.endswith("idle")
    }.items():
        assert (len(places) == 1) == (TABLE in name), name


def test_reading_weights_changes_no_bit() -> None:
    one, other = trainer(), trainer()
    for start in range(0, 24, 4):
        for made in (one, other):
            made.step(X[start : start + 4], Y[start : start + 4])
        one.weights(), one.evaluate(X, Y), one.predict(X)
    assert bits(one) == bits(other)
