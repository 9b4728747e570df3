"""Optimizer slots that are kept in 16 bits between steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import ml_dtypes
import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.core.callback import Callback
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder
from jsonnx.runtime.session.weight_files import read_weight_file
from jsonnx.training.optimizers import slot_storage
from jsonnx.training.optimizers.optimizer import OPTIMIZERS
from jsonnx.training.optimizers.slot_storage import DITHER_PERIOD, MAX_ROUNDING_ERRORS, dither_factor
from support.commands import jsonnx as command
from support.embedding_specs import OPTIMIZERS as LAZY_OPTIMIZERS
from support.embedding_specs import draw_batches, embedding_spec, update_small_tables_lazily
from support.harness import run
from unit.training.cases import OPTIMIZERS as OPTIMIZER_CASES

SIZE, BATCH = 96, 16
RNG = np.random.default_rng(0)
X = RNG.normal(size=(10 * BATCH, SIZE)).astype(np.float32)
Y = np.tanh(X @ RNG.normal(size=(SIZE, SIZE)) / SIZE**0.5).astype(np.float32)
TYPES = ["float16", "bfloat16"]
BATCHES = [slice(start, start + BATCH) for start in range(0, len(X), BATCH)]


def spec(optimizer: Any, **training: Any) -> dict[str, Any]:
    layer = {"type": "Dense", "name": "dense", "units": SIZE}
    section = {"loss": "mse", "optimizer": optimizer, "batch_size": BATCH, "shuffle": False, **training}
    return {"inputs": {"x": {"shape": [SIZE]}}, "layers": [layer], "training": section}


def slots(trainer: Trainer) -> dict[str, np.ndarray]:
    state = trainer.plan_trainer.engine.state_dict()
    return {name: array for name, array in state.items() if name.startswith("optimizer/") and array.ndim == 2}


def optimizer_cases() -> dict[str, dict[str, Any]]:
    """The optimizers of all cases that do not name other weights than this network's."""
    cases: dict[str, dict[str, Any]] = {}
    for index, case in enumerate(OPTIMIZER_CASES):
        optimizer = {"type": case} if isinstance(case, str) else case
        if not any(name in json.dumps(optimizer) for name in ("MultiOptimizer", "Ftrl", "matrix", "vector", "mat.*")):
            cases[f"{optimizer['type']}-{index}"] = optimizer
    return cases


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("optimizer", optimizer_cases().values(), ids=optimizer_cases())
def test_every_optimizer_trains_as_with_slots_of_float32(optimizer: dict[str, Any], dtype: str) -> None:
    exact, rounded = Trainer(spec(optimizer)), Trainer(spec(optimizer | {"slot_dtype": dtype}))
    start = exact.weights()["dense/kernel"]
    for _ in range(2):
        for rows in BATCHES:
            exact.step(X[rows], Y[rows])
            rounded.step(X[rows], Y[rows])
    change, rounded_change = (trainer.weights()["dense/kernel"] - start for trainer in (exact, rounded))
    assert np.isfinite(rounded_change).all()
    assert np.linalg.norm(rounded_change - change) < 0.1 * np.linalg.norm(change)


@pytest.mark.parametrize("dtype", TYPES)
def test_only_slots_of_large_weights_are_rounded(dtype: str) -> None:
    trainer = Trainer(spec({"type": "adam", "slot_dtype": dtype}))
    trainer.step(X[:BATCH], Y[:BATCH])
    assert {array.dtype.name for array in slots(trainer).values()} == {dtype}
    state = trainer.plan_trainer.engine.state_dict()
    assert state["optimizer/dense/bias/momentum"].dtype == np.float32


@pytest.mark.parametrize(
    ("optimizer", "rounded"),
    [
        ({"type": "ScheduleFreeAdamW"}, 1),
        ({"type": "RMSprop", "centered": True, "momentum": 0.9}, 1),
        ({"type": "Adam", "amsgrad": True}, 3),
        ({"type": "Muon", "exclude_layers": ["dense"]}, 2),
        ({"type": "Adam", "use_ema": True}, 2),
    ],
)
def test_slots_from_which_weights_are_computed_stay_exact(optimizer: dict[str, Any], rounded: int) -> None:
    trainer = Trainer(spec(optimizer | {"slot_dtype": "bfloat16"}))
    assert [array.dtype.name for array in slots(trainer).values()].count("bfloat16") == rounded


@pytest.mark.parametrize("dtype", TYPES)
def test_a_killed_run_resumes_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    document = spec({"type": "adamw", "slot_dtype": dtype, "gradient_accumulation_steps": 2})
    whole, first, resumed = Trainer(document), Trainer(document), Trainer(document)
    whole.fit(X, Y, epochs=3)

    class StopAfterFirstEpoch(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            first.save_checkpoint(tmp_path / "checkpoint")
            first.stop()

    first.fit(X, Y, epochs=3, callbacks=[StopAfterFirstEpoch()])
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(X, Y, epochs=3)
    for name, array in whole.plan_trainer.engine.state_dict().items():
        assert array.tobytes() == resumed.plan_trainer.engine.state_dict()[name].tobytes(), name


def test_a_checkpoint_holds_16_bits_a_slot(tmp_path: Path) -> None:
    sizes = {}
    for dtype in ("float32", "bfloat16"):
        Trainer(spec({"type": "adam", "slot_dtype": dtype})).save_checkpoint(tmp_path / dtype)
        sizes[dtype] = (tmp_path / dtype).stat().st_size
    assert 0 <= sizes["float32"] - sizes["bfloat16"] - 4 * SIZE * SIZE < 500


def test_a_checkpoint_of_another_slot_type_is_refused(tmp_path: Path) -> None:
    Trainer(spec("adam")).save_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(jsonnx.CompileError, match="optimizer"):
        Trainer(spec({"type": "adam", "slot_dtype": "bfloat16"})).load_checkpoint(tmp_path / "checkpoint")


@pytest.mark.parametrize("dtype", TYPES)
def test_skipped_steps_keep_the_slots(dtype: str) -> None:
    scale = {"initial_scale": 2.0**40, "dynamic_growth_steps": 2}
    trainer = Trainer(spec({"type": "adam", "slot_dtype": dtype}, loss_scale=scale))
    trainer.step(X[:BATCH] * 1e15, Y[:BATCH])
    assert all(not array.astype(np.float32).any() for array in slots(trainer).values())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("optimizer", LAZY_OPTIMIZERS.values(), ids=LAZY_OPTIMIZERS)
def test_rows_of_a_table_are_updated_lazily(
    optimizer: dict[str, Any], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_small_tables_lazily(monkeypatch)
    monkeypatch.setattr(slot_storage, "MIN_ROUNDED_ELEMENTS", 1 << 10)
    exact = Trainer(embedding_spec(optimizer))
    lazy, eager = (Trainer(embedding_spec(optimizer | {"slot_dtype": dtype}), fast=fast) for fast in (True, False))
    engine = lazy.plan_trainer.engine
    assert engine.execution.lazy_tables is not None
    start = exact.weights()["table/embeddings"]
    for x, y in draw_batches(40):
        for trainer in (exact, lazy, eager):
            trainer.step(x, y)
    change, *changes = (trainer.weights()["table/embeddings"] - start for trainer in (exact, lazy, eager))
    for rounded_change in changes:
        assert np.linalg.norm(rounded_change - change) < 0.05 * np.linalg.norm(change)
    types = {name: array.dtype.name for name, array in engine.variables().items() if array.shape == start.shape}
    rounded = [name for name, storage in engine.execution.lazy_tables.tables[0].storages.items() if storage.dtype]
    assert [types[f"optimizer/table/embeddings/{name}"] for name in rounded] == [dtype] * len(rounded)


@pytest.mark.parametrize("dtype", TYPES)
def test_lazily_updated_rows_are_restored_after_a_loss_that_is_not_finite(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_small_tables_lazily(monkeypatch)
    monkeypatch.setattr(slot_storage, "MIN_ROUNDED_ELEMENTS", 1 << 10)
    trainer = Trainer(embedding_spec({"type": "adam", "slot_dtype": dtype}))
    batches = list(draw_batches(9))
    for x, y in batches[:-1]:
        trainer.step(x, y)
    before = {name: array.tobytes() for name, array in trainer.plan_trainer.engine.variables().items()}
    trainer.step(*batches[-1])
    with pytest.raises(jsonnx.CompileError, match="loss"):
        trainer.step(batches[-1][0], batches[-1][1] * np.float32(1e30))
    after = trainer.plan_trainer.engine.variables()
    assert {name: array.tobytes() for name, array in after.items()} == before


@pytest.mark.parametrize("dtype", TYPES)
def test_an_exported_step_has_the_slots_in_16_bits(dtype: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec({"type": "adam", "slot_dtype": dtype})), encoding="utf-8")
    command("compile", str(tmp_path / "spec.json"), "--training", "-o", str(tmp_path / "folder"))
    variables = json.loads((tmp_path / "folder" / "manifest.json").read_text(encoding="utf-8"))["variables"]
    assert variables["optimizer/dense/kernel/momentum"]["dtype"] == dtype
    arrays = read_weight_file(tmp_path / "folder" / "weights.safetensors")
    assert not arrays["optimizer/dense/kernel/momentum"].any()


@pytest.mark.parametrize("dtype", TYPES)
def test_a_rounded_running_mean_follows_the_exact_one(dtype: str) -> None:
    """Rounded to the nearest number, a mean with the decay 0.999 would keep its largest value forever in bfloat16."""
    numpy_type = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float16
    values = 2.0 ** np.linspace(0, 1, 101)
    exact, rounded, nearest = values.copy(), values.astype(numpy_type), values.astype(numpy_type)
    for step in range(1, 1501):
        position = step * 40503 % DITHER_PERIOD / DITHER_PERIOD
        factor = 1 + 2 * MAX_ROUNDING_ERRORS[dtype] * (2 * position - 1)
        exact *= 0.999**0.5
        rounded = (rounded.astype(np.float64) * 0.999**0.5 * factor).astype(numpy_type)
        nearest = (nearest.astype(np.float64) * 0.999**0.5).astype(numpy_type)
    assert abs(np.mean(rounded.astype(np.float64) / exact) - 1) < 0.05
    assert abs(np.mean(nearest.astype(np.float64) / exact) - 1) > 0.2


def test_dither_factors_are_spread_evenly() -> None:
    g = Builder()
    graph = g.graph({"factor": dither_factor(g, g.input("step", TensorType("int64", ())), 0.25)})
    factors = [float(run(graph, {"step": np.array(step)})["factor"]) for step in range(64)]
    assert np.all(np.diff(np.sort(factors)) < 2.7 / 64)
    assert np.mean(factors) == pytest.approx(1.0, abs=0.02)


def test_slots_of_squares_are_all_named() -> None:
    """Of zero gradients, means of squares stay zero; of others, they are not negative, unlike other slots."""
    for name, case in optimizer_cases().items():
        trainer = Trainer(spec(case))
        for rows in BATCHES[:3]:
            trainer.step(X[rows], Y[rows])
        squares = OPTIMIZERS.by_name[case["type"]].square_slots
        for slot, array in slots(trainer).items():
            if slot.rpartition("/")[2] in squares:
                assert (array >= 0).all(), (name, slot)
