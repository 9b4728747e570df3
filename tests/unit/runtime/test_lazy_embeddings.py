"""Lazily updated embeddings in an engine: steps, fits, their state in memory and in checkpoints, and rollbacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.fit import checkpoint
from jsonnx.runtime.fit.trainer import Diverged
from jsonnx.tuning.cpu.embeddings import lazy_updates
from support import embedding_specs
from support.embedding_specs import (
    OPTIMIZERS,
    assert_close,
    draw_batches,
    draw_samples,
    embedding_spec,
    update_small_tables_lazily,
)
from support.harness import SaveAt

ROWS, WIDTH, LENGTH, BATCH = 400, 16, 5, 8
TABLE = "table/embeddings"


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_updates, "MIN_TABLE_ELEMENTS", 1 << 10)


def make_trainer(*, fast: bool = True, optimizer: Any = "adamw") -> Trainer:
    trainer = Trainer(
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
    assert (trainer.plan_trainer.engine._lazy_embeddings is not None) == fast
    return trainer


RNG = np.random.default_rng(0)
X = (ROWS * RNG.random((35, LENGTH)) ** 2).astype(np.int32)
Y = RNG.normal(size=(35, 3)).astype(np.float32)
SPLIT = {"validation_split": 0.2}


def bits(trainer: Trainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in trainer.plan_trainer.engine.state_dict().items()}


def assert_same_variables(trainer: Trainer, expected: Trainer) -> None:
    variables = trainer.plan_trainer.engine.variables()
    assert variables.keys() == expected.plan_trainer.engine.variables().keys()
    for name, array in expected.plan_trainer.engine.variables().items():
        np.testing.assert_allclose(variables[name], array, atol=2e-6, err_msg=name)


@pytest.mark.costly(2)
@pytest.mark.parametrize("step", [1, 4, 7, 16])
def test_a_resumed_run_equals_the_run_that_never_stopped(tmp_path: Path, step: int) -> None:
    uninterrupted, stopped, resumed = make_trainer(), make_trainer(), make_trainer()
    history = uninterrupted.fit(X, Y, **SPLIT)
    stopped.fit(X, Y, callbacks=[SaveAt(stopped, tmp_path / "c", step)], **SPLIT)
    assert stopped.steps == step
    resumed.step(X[::-1], Y)  # earlier steps do not matter
    assert resumed.load_checkpoint(tmp_path / "c") == []
    assert bits(resumed) == bits(stopped)
    assert resumed.fit(X, Y, **SPLIT).history == history.history
    for name, array in uninterrupted.weights().items():
        assert array.tobytes() == resumed.weights()[name].tobytes()


@pytest.mark.parametrize("fast", [True, False])
def test_lazy_and_eager_steps_read_each_others_checkpoints(tmp_path: Path, fast: bool) -> None:
    saved, loaded, reference = make_trainer(fast=fast), make_trainer(fast=not fast), make_trainer(fast=False)
    for trainer in (saved, reference):
        for start in range(0, 24, 4):
            trainer.step(X[start : start + 4], Y[start : start + 4])
    saved.save_checkpoint(tmp_path / "c")
    loaded.load_checkpoint(tmp_path / "c")
    assert_same_variables(loaded, reference)
    for trainer in (loaded, reference):
        for _ in range(3):
            trainer.step(X[3:9], Y[3:9])
    assert_same_variables(loaded, reference)


def test_nonsensical_row_counts_in_a_checkpoint_do_no_harm(tmp_path: Path) -> None:
    original, last_step_state = make_trainer(), f"optimizer/{TABLE}/{lazy_updates.LAST_STEP}"
    original.step(X, Y)
    original.save_checkpoint(tmp_path / "c")
    arrays, state = checkpoint.load(str(tmp_path / "c"))
    for last_step in (-(2**31), 2**31 - 1):
        checkpoint.save(str(tmp_path / "d"), arrays | {last_step_state: np.full(ROWS, last_step, np.int32)}, state)
        for fast in (True, False):
            loaded = make_trainer(fast=fast)
            loaded.load_checkpoint(tmp_path / "d")
            loaded.step(X, Y)
            assert all(np.isfinite(array).all() for array in loaded.weights().values())


def test_a_diverged_step_is_undone_with_its_rows() -> None:
    """The last update with a finite loss led to the loss that is not: both steps are undone."""
    trainer, bits_before = make_trainer(optimizer={"type": "sgd", "learning_rate": 300.0, "momentum": 0.9}), []

    def run_steps() -> None:
        for _ in range(60):
            bits_before.append(bits(trainer))
            trainer.step(X[:BATCH], Y[:BATCH])

    with pytest.raises(Diverged):
        run_steps()
    assert len(bits_before) > 3
    positions_state = f"optimizer/{TABLE}/{lazy_updates.ROW_POSITIONS}"
    assert bits(trainer) | {positions_state: b""} == bits_before[-2] | {positions_state: b""}
    assert trainer.steps == len(bits_before) - 2
    assert all(np.isfinite(array).all() for array in trainer.weights().values())


def test_a_diverged_fit_is_undone_in_the_same_way() -> None:
    """All of its batches but the last are in buffers that stay bound."""
    optimizer = {"type": "sgd", "learning_rate": 4.0, "momentum": 0.9}
    lazy, eager = make_trainer(optimizer=optimizer), make_trainer(optimizer=optimizer, fast=False)
    for trainer in (lazy, eager):
        with pytest.raises(Diverged):
            trainer.fit(X, Y, epochs=60, **SPLIT)
    assert lazy.steps == eager.steps > 5
    for name, expected in eager.plan_trainer.engine.variables().items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            lazy.plan_trainer.engine.variables()[name] / scale, expected / scale, atol=1e-3, err_msg=name
        )


def test_there_is_one_copy_of_a_table_and_its_slots() -> None:
    sets = make_trainer().plan_trainer.engine._variables.sets
    for name, addresses in {
        name: {variables[name].data_ptr() for variables in sets} for name in sets[0] if not name.endswith("idle")
    }.items():
        assert (len(addresses) == 1) == (TABLE in name), name


def test_reading_weights_changes_no_bit() -> None:
    observed, unobserved = make_trainer(), make_trainer()
    for start in range(0, 24, 4):
        for trainer in (observed, unobserved):
            trainer.step(X[start : start + 4], Y[start : start + 4])
        observed.weights(), observed.evaluate(X, Y), observed.predict(X)
    assert bits(observed) == bits(unobserved)


# -- compared with eager updates ------------------------------------------------------------------------------------


def lazy_and_eager(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Trainer, Trainer]:
    """Trainers with equal weights, of which only the first updates its table lazily."""
    update_small_tables_lazily(monkeypatch)
    lazy, eager = Trainer(document, seed=1), Trainer(document, seed=1, fast=False)
    assert [trainer.plan_trainer.engine._lazy_embeddings is not None for trainer in (lazy, eager)] == [True, False]
    return lazy, eager


@pytest.mark.costly(6)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_predictions_and_evaluations_are_those_of_eager_updates(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy, eager = lazy_and_eager(embedding_spec(OPTIMIZERS[name]), monkeypatch)
    for x, y in draw_batches(40):
        assert lazy.step(x, y)["loss"] == pytest.approx(eager.step(x, y)["loss"], rel=2e-6)
    assert_close(lazy.plan_trainer.engine.variables(), eager.plan_trainer.engine.variables())
    x, y = draw_samples(9, 99)
    np.testing.assert_allclose(lazy.predict(x), eager.predict(x), atol=1e-6)
    assert lazy.evaluate(x, y) == pytest.approx(eager.evaluate(x, y), rel=2e-6)


def test_a_fit_may_have_batches_of_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last batch has one sample, so that the arrays for a rollback have another size there."""
    x, y = draw_samples(4 * embedding_specs.BATCH + 1)
    lazy, eager = lazy_and_eager(embedding_spec(), monkeypatch)
    history, expected = (trainer.fit(x, y, validation_data=draw_samples(7, 5)).history for trainer in (lazy, eager))
    assert history.keys() == expected.keys()
    for name in expected:
        assert history[name] == pytest.approx(expected[name], rel=2e-6)
    assert_close(lazy.plan_trainer.engine.variables(), eager.plan_trainer.engine.variables())


def test_weights_may_be_set_and_read_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy, eager = lazy_and_eager(embedding_spec(OPTIMIZERS["adamw"]), monkeypatch)
    shape = embedding_specs.ROWS, embedding_specs.WIDTH
    weights = {TABLE: np.linspace(-1, 1, np.prod(shape), dtype=np.float32).reshape(shape)}
    for step, (x, y) in enumerate(draw_batches(16)):
        if step in (5, 11):
            lazy.set_weights(weights, strict=False), eager.set_weights(weights, strict=False)
        if step == 8:
            lazy.weights(), lazy.predict(x)
        lazy.step(x, y), eager.step(x, y)
    assert_close(lazy.plan_trainer.engine.variables(), eager.plan_trainer.engine.variables())


def test_weighted_fits_are_those_of_eager_updates() -> None:
    weights = RNG.uniform(0, 2, len(X)).astype(np.float32)
    trainers = [make_trainer(fast=fast) for fast in (True, False)]
    for trainer in trainers:
        trainer.fit(X, Y, epochs=1, validation_split=0.2)
        trainer.fit(X, Y, epochs=2, validation_split=0.2, sample_weight=weights)
        assert (trainer.plan_trainer.engine._lazy_embeddings is not None) == trainer.plan_trainer.fast
    assert_close(*(trainer.weights() for trainer in trainers))
