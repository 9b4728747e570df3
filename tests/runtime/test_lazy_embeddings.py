"""Tables that are renewed by rows: what a trainer keeps of them, saves, takes back and goes back to."""

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
    """Saves after some step, and asks to stop there as a signal would."""

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
def test_a_run_that_goes_on_equals_the_run_that_never_stopped(tmp_path: Path, step: int) -> None:
    whole, stopped, resumed = trainer(), trainer(), trainer()
    history = whole.fit(X, Y, **SPLIT)
    stopped.fit(X, Y, callbacks=[SaveAt(stopped, tmp_path / "c", step)], **SPLIT)
    assert stopped.steps == step
    resumed.step(X[::-1], Y)  # what it did before does not matter
    assert resumed.load_checkpoint(tmp_path / "c") == []
    assert bits(resumed) == bits(stopped)
    assert resumed.fit(X, Y, **SPLIT).history == history.history
    for name, array in whole.weights().items():
        assert array.tobytes() == resumed.weights()[name].tobytes()


@pytest.mark.parametrize("fast", [True, False])
def test_a_checkpoint_is_for_every_form_of_a_step(tmp_path: Path, fast: bool) -> None:
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


def test_what_a_checkpoint_says_of_rows_may_be_nonsense(tmp_path: Path) -> None:
    made, renewed = trainer(), f"optimizer/{TABLE}/{lazy_updates.LAST_STEP}"
    made.step(X, Y)
    made.save_checkpoint(tmp_path / "c")
    arrays, state = checkpoint.load(str(tmp_path / "c"))
    for told in (-(2**31), 2**31 - 1):
        checkpoint.save(str(tmp_path / "d"), arrays | {renewed: np.full(ROWS, told, np.int32)}, state)
        for fast in (True, False):
            other = trainer(fast=fast)
            other.load_checkpoint(tmp_path / "d")
            other.step(X, Y)
            assert all(np.isfinite(array).all() for array in other.weights().values())


def test_a_step_that_diverges_is_taken_back_with_its_rows() -> None:
    """The last update of weights that were still numbers gave those with which the loss is none: both go."""
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


def test_a_fit_that_diverges_goes_back_the_same_way() -> None:
    """Its batches lie in places that stay bound, the last one's do not."""
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


def test_whoever_looks_at_the_weights_changes_no_bit() -> None:
    one, other = trainer(), trainer()
    for start in range(0, 24, 4):
        for made in (one, other):
            made.step(X[start : start + 4], Y[start : start + 4])
        one.weights(), one.evaluate(X, Y), one.predict(X)
    assert bits(one) == bits(other)
