"""Tables that are renewed by rows: which ones, and that every number is what it would be otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from harness import run
from jsonnx.backend import to_model_proto
from jsonnx.core.types import DATA_DEPENDENT, TensorType
from jsonnx.ir import Builder
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime.trainer import Trainer as Steps
from jsonnx.training import skipped_steps
from jsonnx.tuning.cpu.embeddings import lazy_updates

ROWS, WIDTH, LENGTH, BATCH = 300, 16, 5, 4


@pytest.fixture(autouse=True)
def small_tables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are looked after as soon as they are seven steps old."""
    monkeypatch.setattr(lazy_updates, "MIN_TABLE_ELEMENTS", 1 << 10)
    oldest(monkeypatch, 7)


def oldest(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    for module in (skipped_steps, lazy_updates):
        monkeypatch.setattr(module, "MAX_AGE", steps)


def spec(optimizer: Any = "adam", **embedding: Any) -> dict[str, Any]:
    table = {"type": "Embedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH, **embedding}
    return {
        "inputs": {"x": {"shape": [LENGTH], "dtype": "int32"}},
        "layers": [table, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": optimizer, "batch_size": BATCH, "epochs": 3},
    }


def data(samples: int = 25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A third of the rows often, the others now and then."""
    rng = np.random.default_rng(seed)
    x = (ROWS * rng.random((samples, LENGTH)) ** 3).astype(np.int32)
    return x, rng.normal(size=(samples, 3)).astype(np.float32)


def batches(steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for seed in range(steps):
        yield data(1 + seed % BATCH, seed)


def both(document: dict[str, Any]) -> tuple[Trainer, Trainer]:
    """By rows, and in the plain form."""
    trainers = Trainer(document, seed=1), Trainer(document, seed=1, fast=False)
    assert [trainer._engine._lazy_embeddings is not None for trainer in trainers] == [True, False]
    return trainers


def assert_same(found: Steps, wanted: Steps, tolerance: float = 2e-6) -> None:
    """To rounding, all variables; of a hundred numbers one may be off by more.

    Adam makes much of a gradient whose terms nearly cancel: where all weights begin an ulp away, a few are soon off by
    1e-4.
    """
    numbers = found._engine.variables()
    assert numbers.keys() == wanted._engine.variables().keys()
    for name, expected in wanted._engine.variables().items():
        error = np.abs(numbers[name] - expected) / (np.abs(expected).max() + 1e-9)
        assert np.quantile(error, 0.99) <= tolerance, name
        assert error.max() <= 50 * tolerance, name


OPTIMIZERS: dict[str, Any] = {
    "adam": {"type": "adam", "learning_rate": 0.02},
    "adam, epsilon like its roots": {"type": "adam", "learning_rate": 0.02, "epsilon": 1e-3},
    "adam, decaying": {"type": "adam", "weight_decay": 0.5, "learning_rate": 0.05, "epsilon": 1e-4},
    "adamw": {"type": "adamw", "learning_rate": 0.02},
    "rmsprop": {"type": "rmsprop", "learning_rate": 0.01},
    "rmsprop, momentum": {"type": "rmsprop", "momentum": 0.8, "centered": True},
    "sgd": {"type": "sgd", "learning_rate": 0.5},
    "sgd, momentum": {"type": "sgd", "momentum": 0.9, "learning_rate": 0.2},
    "sgd, nesterov": {"type": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.2},
    "adagrad": {"type": "adagrad", "learning_rate": 0.1},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_all_rows(name: str) -> None:
    found, wanted = both(spec(OPTIMIZERS[name]))
    for x, y in batches(40):
        assert found.step(x, y)["loss"] == pytest.approx(wanted.step(x, y)["loss"], rel=2e-6)
    assert_same(found, wanted)
    x, y = data(9, 99)
    np.testing.assert_allclose(found.predict(x), wanted.predict(x), atol=1e-6)
    assert found.evaluate(x, y) == pytest.approx(wanted.evaluate(x, y), rel=2e-6)


@pytest.mark.parametrize("name", ["adamw", "sgd, momentum"])
def test_rates_that_change_and_layers_with_their_own(name: str) -> None:
    document = spec(OPTIMIZERS[name])
    document["training"]["learning_rates"] = {"table": 0.3}
    made = replace(
        plan_training(check_spec(document), 1), learning_rate=lambda step: 0.1 * abs(float(np.cos(0.3 * step)))
    )
    found, wanted = Steps(made), Steps(made, fast=False)
    for x, y in batches(20):
        found.step(x, y), wanted.step(x, y)
    assert_same(found, wanted)


def test_a_fit_with_batches_of_all_sizes() -> None:
    """Its last batch has one sample; what was kept to go back has another size there."""
    x, y = data(4 * BATCH + 1)
    found, wanted = both(spec())
    histories = [trainer.fit(x, y, validation_data=data(7, 5)).history for trainer in (found, wanted)]
    assert histories[0].keys() == histories[1].keys()
    for name in histories[1]:
        assert histories[0][name] == pytest.approx(histories[1][name], rel=2e-6)
    assert_same(found, wanted)


def test_indices_of_any_rank_that_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_updates, "ASSUMED_SEQUENCE_LENGTH", 3)
    document = spec()
    document["inputs"]["x"]["shape"] = [2, "time"]
    document["layers"][1] = {"type": "GlobalAveragePooling2D"}
    found, wanted = both(document)
    y = np.ones((3, 3), np.float32)
    for x in (np.zeros((3, 2, 4)), np.full((3, 2, 1), ROWS - 1), np.arange(36).reshape(3, 2, 6) % 5):
        found.step(x.astype(np.int32), y), wanted.step(x.astype(np.int32), y)
    assert_same(found, wanted)


@pytest.mark.parametrize("layer", ["GlobalAveragePooling1D", "GlobalMaxPooling1D", "Flatten"])
def test_cotangents_of_a_sequence(layer: str) -> None:
    """The same for all of a sample's places, or each its own."""
    document = spec({"type": "sgd", "learning_rate": 0.2, "momentum": 0.9})
    document["layers"][1] = {"type": layer}
    found, wanted = both(document)
    for x, y in batches(8):
        found.step(x, y), wanted.step(x, y)
    assert_same(found, wanted)


def test_words_of_which_most_come_again() -> None:
    found, wanted = both(spec({"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}))
    rng = np.random.default_rng(4)
    for _ in range(6):
        x, y = np.minimum(rng.zipf(1.2, (40, LENGTH)), ROWS) - 1, rng.normal(size=(40, 3)).astype(np.float32)
        found.step(x.astype(np.int32), y), wanted.step(x.astype(np.int32), y)
    assert_same(found, wanted)


def test_new_weights_in_between() -> None:
    found, wanted = both(spec(OPTIMIZERS["adamw"]))
    weights = {"table/embeddings": np.linspace(-1, 1, ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)}
    for number, (x, y) in enumerate(batches(16)):
        if number in (5, 11):
            found.set_weights(weights, strict=False), wanted.set_weights(weights, strict=False)
        if number == 8:
            found.weights(), found.predict(x)  # whoever looks on changes nothing
        found.step(x, y), wanted.step(x, y)
    assert_same(found, wanted)


def test_two_tables_and_both_orders_of_reading() -> None:
    document = spec()
    document["inputs"]["z"] = {"shape": [2], "dtype": "int32"}
    table = document["layers"][0]
    document["layers"] = [
        {**table, "name": "of_x", "from": "x"},
        {"type": "Flatten", "name": "first"},
        {**table, "name": "of_z", "from": "z"},
        {"type": "Flatten", "name": "second"},
        {"type": "Concatenate", "from": ["second", "first"]},
        {"type": "Dense", "units": 3},
    ]
    found, wanted = both(document)
    assert found._engine._lazy_embeddings is not None
    assert len(found._engine._lazy_embeddings.lazy_tables.tables) == 2
    for x, y in batches(15):
        fed = {"x": x, "z": x[:, :2]}
        found.step(fed, y), wanted.step(fed, y)
    assert_same(found, wanted)


def taken(document: dict[str, Any]) -> bool:
    made = plan_training(check_spec(document))
    return lazy_updates.make_tables_lazy(made.train, [made.evaluate, made.predict], BATCH) is not None


def test_what_suits(monkeypatch: pytest.MonkeyPatch) -> None:
    oldest(monkeypatch, 1024)
    assert taken(spec())
    assert not taken(spec({"type": "adam", "clipnorm": 1.0}))
    assert not taken(spec({"type": "adam", "amsgrad": True}))
    assert not taken(spec({"type": "adam", "beta_2": 0.99}))  # epsilon would grow too fast beside its roots
    assert not taken(spec({"type": "adam", "epsilon": 0.0}))
    assert not taken(spec({"type": "sgd", "weight_decay": 0.1}))
    assert not taken(spec("lion"))
    assert not taken(spec(embeddings_regularizer="l2"))
    assert not taken(spec(embeddings_constraint="unit_norm"))
    assert not taken(spec(trainable=False))
    assert not taken(spec(input_dim=3 * LENGTH * BATCH - 1))
    assert not taken(spec(output_dim=lazy_updates.MIN_ROW_ELEMENTS - 1))


def test_a_table_that_is_read_by_others_is_renewed_as_a_whole() -> None:
    twice = spec()
    twice["inputs"]["z"] = {"shape": [2], "dtype": "int32"}
    twice["layers"] = [
        {"type": "Embedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH, "from": "x"},
        {"type": "Flatten", "name": "first"},
        {"use": "table", "from": "z", "name": "again"},
        {"type": "Flatten", "name": "second"},
        {"type": "Concatenate", "from": ["first", "second"]},
        {"type": "Dense", "units": 3},
    ]
    assert not taken(twice)
    tied = spec()
    tied["layers"] = [
        {"type": "ReversibleEmbedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH},
        {"type": "ReLU"},
        {"use": "table", "name": "back"},
        {"type": "Flatten"},
        {"type": "Dense", "units": 3},
    ]
    assert not taken(tied)


def test_where_results_are_computed_again_tables_are_whole() -> None:
    document = spec()
    document["training"]["remat"] = "full"
    assert Trainer(document)._engine._lazy_embeddings is None


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("age", [0, 1, 5])
def test_steps_without_a_gradient_are_told_at_once(name: str, age: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row that nobody reads, after some steps with others."""
    oldest(monkeypatch, 1024)
    found, wanted = both(spec(OPTIMIZERS[name]))
    y = np.ones((1, 3), np.float32)
    for row in [ROWS - 1, *[1] * age]:
        x = np.full((1, LENGTH), row, np.int32)
        found.step(x, y), wanted.step(x, y)
    assert_same(found, wanted, 5e-7)


def test_adams_epsilon_beside_roots_that_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the sum itself, for roots far below epsilon to far above, at rates that rise and fall."""
    oldest(monkeypatch, 150)
    made = skipped_steps.AdamSkippedSteps(0.9, 0.999, 1e-7, 0.0)
    assert made.is_exact
    g = Builder()
    table = g.input("sums", TensorType("float32", (made.sum_count, skipped_steps.MAX_AGE + 1)))
    rate = g.input("rate", TensorType("float32", ()))
    after = g.graph({"after": made.advance_sums(g, table, rate, {"rate": rate})})
    rates = 1e-3 * np.abs(np.sin(np.arange(1.0, skipped_steps.MAX_AGE + 1)))
    sums = np.zeros(table.shape, np.float32)
    for number in rates:
        sums = run(after, {"sums": sums, "rate": number.astype(np.float32)})["after"]

    g = Builder()
    roots = np.geomspace(1e-10, 1e-3, 40)
    slots = {"momentum": g.const(np.ones((1, 40))), "velocity": g.const(roots[None] ** 2)}
    factors = [
        g.Slice(f, [skipped_steps.MAX_AGE], [skipped_steps.MAX_AGE + 1], [1])
        for f in made.factors_by_age(g, g.const(sums))
    ]
    weight, slots = made.catch_up(g, g.const(np.zeros((1, 40))), slots, factors)
    found = run(g.graph({"weight": weight, **slots}), {})
    ages = np.arange(1.0, skipped_steps.MAX_AGE + 1)[:, None]
    moved = rates[:, None] * 0.9**ages / (roots * 0.999 ** (ages / 2) + 1e-7)
    np.testing.assert_allclose(-found["weight"][0], moved.sum(0), rtol=2e-6)
    np.testing.assert_allclose(found["momentum"], 0.9**skipped_steps.MAX_AGE, rtol=1e-6)
    np.testing.assert_allclose(found["velocity"][0], roots**2 * 0.999**skipped_steps.MAX_AGE, rtol=1e-6)


def test_onnxruntime_is_told_which_values_have_a_row_for_each_that_is_read() -> None:
    """So the next one can be written in the place of one that is no longer read."""
    trainer, _ = both(spec())
    rows = [
        info.type.tensor_type.shape.dim
        for info in to_model_proto(trainer._engine._lazy_embeddings.lazy_tables.graph).graph.value_info
    ]
    (name,) = {dims[0].dim_param for dims in rows if dims and dims[0].dim_param.startswith(DATA_DEPENDENT)}
    wide = [dims for dims in rows if len(dims) == 2 and dims[0].dim_param == name and dims[1].dim_value > 1]
    assert len(wide) > 10
