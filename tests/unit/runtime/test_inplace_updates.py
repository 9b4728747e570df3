"""Large steps, which overwrite their variables in place: the same numbers, and no damage that is not told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.layers.attention import query_blocks
from jsonnx.passes.training_steps import byte_masks, remat
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.run.training_run import train
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution import runner as step_runner
from jsonnx.runtime.execution import sized_steps
from jsonnx.runtime.fit.trainer import Diverged
from jsonnx.runtime.providers import providers
from jsonnx.tuning.cpu.memory import inplace_updates, split_updates
from support.optimizer_names import OPTIMIZER_NAMES

INPUTS, UNITS = 300, 260
KERNEL = "wide/kernel"


@pytest.fixture(autouse=True)
def _overwrites_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inplace_updates, "MIN_INPLACE_STEP_BYTES", 0)
    monkeypatch.setattr(split_updates, "SLICE_ELEMENTS", 100 * UNITS)


def spec(optimizer: Any, **training: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [INPUTS]}},
        "layers": [
            {"type": "Dense", "units": UNITS, "name": "wide", "use_bias": False},
            {"type": "BatchNormalization"},
            {"type": "Dense", "units": INPUTS, "name": "second", "activation": "tanh", "kernel_constraint": "max_norm"},
            {"type": "Dense", "units": 2},
        ],
        "training": {"loss": "mse", "optimizer": optimizer, **training},
    }


def batches(count: int, samples: int = 9) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    return [
        (rng.normal(size=(samples, INPUTS)).astype(np.float32), rng.normal(size=(samples, 2)).astype(np.float32))
        for _ in range(count)
    ]


def separate_copies(monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], **arguments: Any) -> Trainer:
    """A trainer whose variables have several copies each, and whose graphs onnxruntime does not rewrite either."""
    with monkeypatch.context() as patch:
        patch.setattr(inplace_updates, "MIN_INPLACE_STEP_BYTES", 1 << 40)
        patch.setattr(step_runner, "OPTIMIZATION_LEVEL", "ORT_DISABLE_ALL")
        trainer = Trainer(document, **arguments)
        trainer.plan_trainer.engine.step_runners.for_batch(9)
    return trainer


def variables(trainer: Trainer) -> dict[str, np.ndarray]:
    return trainer.plan_trainer.engine.variables()


OPTIMIZERS = {
    **{name: {"type": name} for name in OPTIMIZER_NAMES},
    "nesterov": {"type": "sgd", "momentum": 0.9, "nesterov": True},
    "amsgrad": {"type": "adam", "amsgrad": True, "clipnorm": 0.5},
    "centered": {"type": "rmsprop", "centered": True, "momentum": 0.5, "global_clipnorm": 1.0},
    "average": {"type": "adamw", "weight_decay": 0.01, "use_ema": True},
    "accumulation": {"type": "adam", "gradient_accumulation_steps": 2},
    "slots in 16 bits": {"type": "adam", "slot_dtype": "bfloat16"},
    "momentum in 16 bits": {"type": "sgd", "momentum": 0.9, "slot_dtype": "float16"},
}


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_of_every_optimizer_have_the_bits_of_steps_with_copies(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = spec({**OPTIMIZERS[name], "learning_rate": 1e-3})
    overwriting = Trainer(document, seed=3)
    assert overwriting.plan_trainer.engine.execution.inplace_variables >= {KERNEL, "second/kernel"}
    copying = separate_copies(monkeypatch, document, seed=3)
    for x, y in batches(3):
        assert overwriting.step(x, y) == copying.step(x, y)
    expected = variables(copying)
    assert all(np.array_equal(array, expected[name]) for name, array in variables(overwriting).items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_variables_have_one_copy(dtype: str) -> None:
    engine = Trainer(spec({"type": "adam", "slot_dtype": dtype})).plan_trainer.engine
    assert {rows.variable for rows in engine.execution.slices.values()} >= {KERNEL, f"optimizer/{KERNEL}/velocity"}
    for name in (KERNEL, "second/kernel", f"optimizer/{KERNEL}/velocity"):
        assert len({values[name].data_ptr() for values in engine._variables.sets}) == 1


def test_a_fit_has_the_bits_of_a_fit_with_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (np.concatenate(arrays) for arrays in zip(*batches(5, 8), strict=True))
    document = spec({"type": "adam", "learning_rate": 1e-3}, batch_size=9, epochs=3)
    overwriting, copying = Trainer(document, seed=1), separate_copies(monkeypatch, document, seed=1)
    assert overwriting.fit(x, y).history == copying.fit(x, y).history


@pytest.mark.parametrize("scale", [1e20, 1e30])
def test_a_loss_that_is_not_finite_changes_nothing(scale: float) -> None:
    trainer, ((x, y), *_) = Trainer(spec({"type": "adam", "learning_rate": 1e-3})), batches(1)
    trainer.step(x, y)
    before = variables(trainer)
    with pytest.raises(Diverged, match="not finite at step 2"):
        trainer.step(x, (y * scale).astype(np.float32))
    assert trainer.steps == 1
    assert all(np.array_equal(array, before[name]) for name, array in variables(trainer).items())
    assert np.isfinite(trainer.step(x, y)["loss"])


def test_a_norm_of_all_gradients_that_is_not_finite_changes_nothing() -> None:
    trainer, ((x, y), *_) = Trainer(spec({"type": "sgd", "global_clipnorm": 1.0})), batches(1)
    before = variables(trainer)
    with pytest.raises(Diverged, match="norm of the gradients"):
        trainer.step(x, y * np.float32(8e18))  # the loss is finite, the square of the norm is infinite
    assert all(np.array_equal(array, before[name]) for name, array in variables(trainer).items())


ROOT_OF_ZERO: list[dict[str, Any]] = [
    {"type": "Dense", "units": UNITS, "name": "wide", "kernel_initializer": "zeros", "use_bias": False},
    {"type": "ops.sqrt"},
    {"type": "Dense", "units": 2},
]
"""Layers whose gradients are infinite in the first step, although the loss is finite."""


def test_weights_that_became_infinite_are_told_and_not_saved(tmp_path: Path) -> None:
    trainer, ((x, y), *_) = Trainer({**spec("adam"), "layers": ROOT_OF_ZERO}), batches(1)
    trainer.step(x, y)
    with pytest.raises(Diverged, match="the weight 'wide/kernel' is no longer finite"):
        trainer.step(x, y)
    with pytest.raises(CompileError, match="cannot be undone"):
        trainer.save_checkpoint(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_run_whose_weights_became_infinite_writes_none_and_says_so(tmp_path: Path) -> None:
    x, y = batches(1)[0]
    np.savez(tmp_path / "data.npz", x=x, dense=y)
    document = {**spec("adam", data={"train": "data.npz"}, epochs=3), "layers": ROOT_OF_ZERO}
    (tmp_path / "spec.json").write_text(json.dumps(document))
    with pytest.raises(Diverged) as error:
        train(check_spec(tmp_path / "spec.json"), tmp_path / "run")
    assert "no weights were written" in str(error.value.diagnostics[0].notes[-1])
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "diverged"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("out of memory")])
def test_a_step_that_fails_midway_leaves_a_trainer_that_says_so(error: Any, tmp_path: Path) -> None:
    trainer, ((x, y), *_) = Trainer(spec("adam"), seed=1), batches(1)
    trainer.step(x, y)
    trainer.save_checkpoint(tmp_path / "before")
    expected = variables(trainer)
    runner = trainer.plan_trainer.engine.step_runners.runner
    assert runner is not None
    run = runner._run_bound  # type: ignore[union-attr]

    def run_and_fail(binding: Any) -> None:
        run(binding)
        raise error

    runner._run_bound = run_and_fail  # type: ignore[union-attr,method-assign]
    with pytest.raises((KeyboardInterrupt, CompileError)):
        trainer.step(x, y)
    runner._run_bound = run  # type: ignore[union-attr,method-assign]
    uses = (trainer.weights, trainer.model, lambda: trainer.step(x, y), lambda: trainer.save_checkpoint(tmp_path / "c"))
    for use in uses:
        with pytest.raises(CompileError, match="failed after it had overwritten"):
            use()
    assert not (tmp_path / "c").exists()
    trainer.load_checkpoint(tmp_path / "before")
    assert all(np.array_equal(array, expected[name]) for name, array in variables(trainer).items())


def test_a_step_that_fails_before_its_writes_leaves_a_usable_trainer() -> None:
    document = spec("adam")
    document["inputs"] = {"x": {"shape": [1], "dtype": "int32"}}
    embedding = {"type": "Embedding", "input_dim": 500, "output_dim": 300}
    document["layers"] = [embedding, {"type": "Flatten"}, *document["layers"]]
    trainer, y = Trainer(document), np.zeros((2, 2), np.float32)
    engine = trainer.plan_trainer.engine
    trainer.step(np.array([[1], [2]], np.int32), y)
    before = variables(trainer)
    feeds = {"x": np.array([[1], [2]], np.int32), "dense/target": y}
    feeds = {**engine.feeds(_samples(trainer, feeds), slice(None), 1), "x": np.array([[1], [900]], np.int32)}
    with pytest.raises(CompileError, match="out of data bounds"):
        engine.step(feeds)
    assert all(np.array_equal(array, before[name]) for name, array in variables(trainer).items())


def _samples(trainer: Trainer, feeds: dict[str, np.ndarray]) -> Any:
    from jsonnx.runtime.fit.fit_data import dataset_of

    return dataset_of(trainer.plan, feeds["x"], feeds["dense/target"], None)


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
    expected = variables(uninterrupted)
    assert all(np.array_equal(array, expected[name]) for name, array in variables(resumed).items())


@pytest.mark.parametrize("mode", ["none", "full", "activations"])
def test_lazily_updated_tables_and_recomputed_results_give_the_same_bits(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = spec("adam")
    document["inputs"] = {"x": {"shape": [4], "dtype": "int32"}}
    table = {"type": "Embedding", "input_dim": 20_000, "output_dim": 64, "name": "table"}
    document["layers"] = [table, {"type": "Flatten"}, *document["layers"]]
    rng = np.random.default_rng(1)
    data = [
        (rng.integers(0, 20_000, (9, 4)).astype(np.int32), rng.normal(size=(9, 2)).astype(np.float32)) for _ in range(4)
    ]
    expected = separate_copies(monkeypatch, document, seed=3)
    if mode != "none":
        document["training"]["remat"] = mode
        monkeypatch.setattr(remat, "MIN_SAVING_RATIO", -1e9)  # also where it saves nothing
    trainer = Trainer(document, seed=3)
    execution = trainer.plan_trainer.engine.execution
    assert execution.lazy_tables
    assert execution.inplace_variables
    assert [trainer.step(*batch)["loss"] for batch in data] == [expected.step(*batch)["loss"] for batch in data]
    weights = expected.weights()
    assert all(np.array_equal(array, weights[name]) for name, array in trainer.weights().items())


ATTENTION: list[dict[str, Any]] = [
    {"type": "Reshape", "target_shape": [20, 15]},
    {"type": "MultiHeadAttention", "from": ["reshape", "reshape"], "num_heads": 3, "key_dim": 5, "dropout": 0.2,
     "use_causal_mask": True},
    {"type": "Dropout", "rate": 0.2},
    {"type": "Flatten"},
    {"type": "Dense", "units": INPUTS, "name": "wide"},
    {"type": "Dense", "units": 2},
]  # fmt: skip
RECURRENT: list[dict[str, Any]] = [
    {"type": "Reshape", "target_shape": [20, 15]},
    {"type": "LSTM", "units": 128},
    {"type": "Dense", "units": 2},
]
IMAGES: list[dict[str, Any]] = [
    {"type": "Reshape", "target_shape": [10, 10, 3]},
    {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
    {"type": "BatchNormalization"},
    {"type": "Conv2D", "filters": 128, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 2},
]


@pytest.mark.parametrize("remat", [None, "full"])
@pytest.mark.parametrize("layers", [ATTENTION, RECURRENT, IMAGES], ids=["attention", "recurrent", "images"])
def test_onnxruntime_runs_nodes_in_the_order_of_the_graph(
    layers: list[dict[str, Any]], remat: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable may be overwritten before it is read; Shape and Size may run earlier."""
    models: list[bytes] = []
    create_session, session_options = step_runner.create_session, providers._session_options

    def recording(model: bytes, *arguments: Any, **options: Any) -> Any:
        models.append(model)
        return create_session(model, *arguments, **options)

    def profiling(*arguments: Any) -> Any:
        options = session_options(*arguments)
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        return options

    monkeypatch.setattr(step_runner, "create_session", recording)
    monkeypatch.setattr(providers, "_session_options", profiling)
    monkeypatch.setattr(byte_masks, "MIN_MASK_BYTES", 0)
    monkeypatch.setattr(query_blocks, "MIN_SCORES_BYTES", 0)
    monkeypatch.setattr(query_blocks, "MAX_BLOCK_BYTES", 1)
    monkeypatch.setattr(query_blocks, "MIN_BLOCK_QUERIES", 5)
    monkeypatch.setattr(sized_steps, "MIN_BLOCKED_BYTES", 0)
    trainer = Trainer({**spec("adam", **({"remat": remat} if remat else {})), "layers": layers})
    assert trainer.plan_trainer.engine.execution.inplace_variables
    trainer.step(*batches(1)[0])
    runner = trainer.plan_trainer.engine.step_runners.runner
    assert runner is not None
    events = json.loads(Path(runner._session.end_profiling()).read_text())  # type: ignore[union-attr]
    kernels = sorted((e for e in events if e["name"].endswith("_kernel_time")), key=lambda event: event["ts"])
    nodes = onnx.load_model_from_string(models[-1]).graph.node
    positions = {node.name: index for index, node in enumerate(nodes) if node.op_type not in ("Shape", "Size")}
    names = [event["name"].removesuffix("_kernel_time") for event in kernels]
    order = [positions[name] for name in names if name in positions]
    assert order == sorted(order)
    assert len(order) == len(positions)
