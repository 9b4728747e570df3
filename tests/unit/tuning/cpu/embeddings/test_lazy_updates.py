"""Lazily updated embeddings: which ones, and that steps and current rows are those of eager updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.core.reserved_names import ROW_INDICES, variable_of_current_rows
from jsonnx.core.types import DATA_DEPENDENT
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.training_plan import TrainingPlan
from jsonnx.tuning.cpu.embeddings import lazy_updates
from jsonnx.tuning.cpu.embeddings.lazy_updates import LazyTables
from support.embedding_specs import (
    BATCH,
    LENGTH,
    OPTIMIZERS,
    ROWS,
    WIDTH,
    assert_close,
    draw_batches,
    embedding_spec,
    update_small_tables_lazily,
)
from support.harness import run
from support.training_steps import Batch, run_steps, step_feeds


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    update_small_tables_lazily(monkeypatch)


def make_plan(spec: Mapping[str, Any]) -> TrainingPlan:
    return plan_training(check_spec(spec), 1)


def lazy_tables(plan: TrainingPlan) -> LazyTables | None:
    return lazy_updates.make_tables_lazy(plan.train, [plan.evaluate, plan.predict], BATCH)


def is_lazy(spec: Mapping[str, Any]) -> bool:
    return lazy_tables(make_plan(spec)) is not None


def current_variables(tables: LazyTables, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The variables of an eager step, from those of a lazy one."""
    current = {name: array for name, array in variables.items() if name not in tables.extra_states}
    for table in tables.tables:
        graph = tables.current_rows_graph(table, table.value_names)
        rows = run(graph, {**variables, ROW_INDICES: np.arange(len(variables[table.weight]))})
        current |= {variable_of_current_rows(name): array for name, array in rows.items()}
    return current


def assert_same_steps(plan: TrainingPlan, batches: Iterable[Batch], tolerance: float = 2e-6) -> None:
    """Asserts that lazy steps have the losses and variables of eager ones, and readers their results."""
    batches, tables = list(batches), lazy_tables(plan)
    assert tables is not None
    lazy, eager = run_steps(tables.graph, plan, batches), run_steps(plan.train, plan, batches)
    np.testing.assert_allclose(lazy.losses, eager.losses, rtol=max(tolerance, 2e-6))
    assert_close(current_variables(tables, lazy.variables), eager.variables, tolerance)
    feeds = step_feeds(plan, *batches[0], step=0)
    for reader in (plan.predict, plan.evaluate):
        results = run(tables.with_current_rows(reader), {**lazy.variables, **feeds})
        for name, expected in run(reader, {**eager.variables, **feeds}).items():
            np.testing.assert_allclose(results[name], expected, rtol=2e-6, atol=1e-6, err_msg=name)


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lazy_steps_are_those_of_all_rows(name: str) -> None:
    assert_same_steps(make_plan(embedding_spec(OPTIMIZERS[name])), draw_batches(40))


@pytest.mark.parametrize("name", ["adamw", "sgd, momentum"])
def test_skipped_updates_use_the_rates_of_their_steps_and_of_their_layer(name: str) -> None:
    document = embedding_spec(OPTIMIZERS[name])
    document["training"]["learning_rates"] = {"table": 0.3}
    schedule = {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1}
    optimizer = document["training"]["optimizer"]
    given = {"type": optimizer} if isinstance(optimizer, str) else optimizer
    document["training"]["optimizer"] = {**given, "learning_rate": schedule}
    assert_same_steps(make_plan(document), draw_batches(20))


def test_indices_may_have_any_rank_and_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_updates, "ASSUMED_SEQUENCE_LENGTH", 3)
    document = embedding_spec()
    document["inputs"]["x"]["shape"] = [2, "time"]
    document["layers"][1] = {"type": "GlobalAveragePooling2D"}
    indices = (np.zeros((3, 2, 4)), np.full((3, 2, 1), ROWS - 1), np.arange(36).reshape(3, 2, 6) % 5)
    assert_same_steps(make_plan(document), [(x.astype(np.int32), np.ones((3, 3), np.float32)) for x in indices])


@pytest.mark.parametrize("layer", ["GlobalAveragePooling1D", "GlobalMaxPooling1D", "Flatten"])
def test_the_cotangents_of_a_sample_may_be_equal_or_differ(layer: str) -> None:
    document = embedding_spec({"type": "sgd", "learning_rate": 0.2, "momentum": 0.9})
    document["layers"][1] = {"type": layer}
    assert_same_steps(make_plan(document), draw_batches(8))


def test_most_indices_of_a_batch_may_be_duplicates() -> None:
    rng = np.random.default_rng(4)
    batches = [
        ((np.minimum(rng.zipf(1.2, (40, LENGTH)), ROWS) - 1).astype(np.int32), rng.normal(size=(40, 3)))
        for _ in range(6)
    ]
    document = embedding_spec({"type": "sgd", "learning_rate": 0.5, "momentum": 0.9})
    assert_same_steps(make_plan(document), [(x, y.astype(np.float32)) for x, y in batches])


def test_several_tables_are_updated_lazily_in_any_order_of_reading() -> None:
    document = embedding_spec()
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
    plan = make_plan(document)
    tables = lazy_tables(plan)
    assert tables is not None
    assert len(tables.tables) == 2
    assert_same_steps(plan, [({"x": x, "z": x[:, :2]}, y) for x, y in draw_batches(15)])


@pytest.mark.costly(3)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("age", [0, 1, 5])
def test_skipped_updates_of_a_row_are_applied_at_once(name: str, age: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the row of the first step, after some steps that read another one."""
    update_small_tables_lazily(monkeypatch, max_age=1024)
    rows = [ROWS - 1, *[1] * age]
    batches = [(np.full((1, LENGTH), row, np.int32), np.ones((1, 3), np.float32)) for row in rows]
    assert_same_steps(make_plan(embedding_spec(OPTIMIZERS[name])), batches, tolerance=5e-7)


def test_a_step_writes_only_the_rows_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager steps with momentum change other rows, too."""
    update_small_tables_lazily(monkeypatch, max_age=1024)
    plan, weight = make_plan(embedding_spec({"type": "sgd", "momentum": 0.9})), "table/embeddings"
    tables = lazy_tables(plan)
    assert tables is not None
    batches = [(np.full((1, LENGTH), row, np.int32), np.ones((1, 3), np.float32)) for row in (20, 30)]
    tables_after_step = [run_steps(tables.graph, plan, batches[:steps]).variables[weight] for steps in range(3)]
    written_rows = [
        np.flatnonzero((before != after).any(axis=1)).tolist() for before, after in pairwise(tables_after_step)
    ]
    assert written_rows == [[20], [30]]


@pytest.mark.parametrize(
    "document",
    [
        embedding_spec({"type": "adam", "clipnorm": 1.0}),
        embedding_spec({"type": "adam", "amsgrad": True}),
        embedding_spec({"type": "adam", "beta_2": 0.99}),
        embedding_spec({"type": "adam", "epsilon": 0.0}),
        embedding_spec({"type": "sgd", "weight_decay": 0.1}),
        embedding_spec("lion"),
        embedding_spec(embeddings_regularizer="l2"),
        embedding_spec(embeddings_constraint="unit_norm"),
        embedding_spec(trainable=False),
        embedding_spec(input_dim=3 * LENGTH * BATCH - 1),
        embedding_spec(output_dim=lazy_updates.MIN_ROW_ELEMENTS - 1),
    ],
    ids=[
        "clipnorm",
        "amsgrad",
        "epsilon-outgrows-the-roots",
        "no-epsilon",
        "sgd-weight-decay",
        "lion",
        "regularizer",
        "constraint",
        "frozen",
        "few-rows",
        "short-rows",
    ],
)
def test_other_tables_are_updated_eagerly(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """If skipped updates have no closed form, or if updating all rows is faster."""
    update_small_tables_lazily(monkeypatch, max_age=1024)
    assert is_lazy(embedding_spec())
    assert not is_lazy(document)


def test_a_table_with_other_readers_than_one_lookup_is_updated_eagerly() -> None:
    twice = embedding_spec()
    twice["inputs"]["z"] = {"shape": [2], "dtype": "int32"}
    twice["layers"] = [
        {"type": "Embedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH, "from": "x"},
        {"type": "Flatten", "name": "first"},
        {"use": "table", "from": "z", "name": "again"},
        {"type": "Flatten", "name": "second"},
        {"type": "Concatenate", "from": ["first", "second"]},
        {"type": "Dense", "units": 3},
    ]
    assert not is_lazy(twice)
    tied = embedding_spec()
    tied["layers"] = [
        {"type": "ReversibleEmbedding", "name": "table", "input_dim": ROWS, "output_dim": WIDTH},
        {"type": "ReLU"},
        {"use": "table", "name": "back"},
        {"type": "Flatten"},
        {"type": "Dense", "units": 3},
    ]
    assert not is_lazy(tied)


def test_values_with_a_row_for_each_that_is_read_have_one_symbolic_size() -> None:
    """With it, onnxruntime can write a value into the buffer of one that is no longer read."""
    tables = lazy_tables(make_plan(embedding_spec()))
    assert tables is not None
    shapes = [info.type.tensor_type.shape.dim for info in to_model_proto(tables.graph).graph.value_info]
    (row_count,) = {dims[0].dim_param for dims in shapes if dims and dims[0].dim_param.startswith(DATA_DEPENDENT)}
    row_shapes = [
        dims for dims in shapes if len(dims) == 2 and dims[0].dim_param == row_count and dims[1].dim_value > 1
    ]
    assert len(row_shapes) > 10
