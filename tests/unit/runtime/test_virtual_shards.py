"""Distributed training: equal bits for any number of ranks and threads, which are threads of this process here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx import Callback, CompileError, Trainer, validate
from jsonnx.collective.exchange import Outgoing
from jsonnx.collective.local import local_collectives
from jsonnx.collective.protocol import Collective
from jsonnx.collective.tcp import TcpCollective
from jsonnx.runtime.execution import virtual_shards
from jsonnx.runtime.fit.trainer import Diverged
from jsonnx.tuning.cpu.memory import inplace_updates, split_updates

SHARDS = 8
SAMPLES, BATCH = 100, 24  # the last batch has fewer samples than shards

SEPARABLE = [
    "dropout",
    "noise",
    "embedding",
    "global norm",
    "rates",
    "masked steps",
    "ignored class",
    "sums in float64",
    "kept samples",
    "lazy tables",
    "masked lazy table",
    "a table with two lookups",
    "lstm",
]
"""The cases that compute the step of one machine, up to rounding."""

Data = tuple[np.ndarray, np.ndarray]


def spec(layers: list[dict[str, Any]], inputs: dict[str, Any], **training: Any) -> dict[str, Any]:
    section = {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"type": "adam", "learning_rate": 0.01},
        "metrics": ["accuracy"],
        "batch_size": BATCH,
        "epochs": 2,
        "distributed": {"shards": SHARDS},
    }
    return {"inputs": inputs, "layers": layers, "training": section | training}


def dense(units: int, **more: Any) -> dict[str, Any]:
    return {"type": "Dense", "units": units, **more}


def table(name: str, rows: int = 20_000, **more: Any) -> dict[str, Any]:
    return {"type": "Embedding", "input_dim": rows, "output_dim": 16, "name": name, **more}


VECTOR, TEXT, IMAGE = {"x": {"shape": [6]}}, {"x": {"shape": [5], "dtype": "int32"}}, {"x": {"shape": [8, 8, 3]}}
HEAD = dense(3, activation="softmax", name="y")
LOCAL = {"distributed": {"shards": SHARDS, "batch_norm": "local"}}
CASES: dict[str, dict[str, Any]] = {
    "dropout": spec([dense(16, activation="relu"), {"type": "Dropout", "rate": 0.4}, HEAD], VECTOR),
    "noise": spec([{"type": "GaussianNoise", "stddev": 0.5}, dense(8, activation="tanh"), HEAD], VECTOR),
    "embedding": spec([{"type": "Embedding", "input_dim": 1000, "output_dim": 8}, {"type": "Flatten"}, HEAD], TEXT),
    "batch norm": spec([dense(16), {"type": "BatchNormalization"}, {"type": "ReLU"}, HEAD], VECTOR, **LOCAL),
    "convolution": spec(
        [
            {"type": "RandomFlip"},
            {"type": "Conv2D", "filters": 8, "kernel_size": 3, "activation": "relu"},
            {"type": "GlobalAveragePooling2D"},
            HEAD,
        ],
        IMAGE,
    ),
    "global norm": spec(
        [dense(16, activation="relu", kernel_regularizer="l2"), HEAD],
        VECTOR,
        optimizer={"type": "adamw", "global_clipnorm": 0.1, "use_ema": True, "gradient_accumulation_steps": 3},
    ),
    "rates": spec(
        [dense(16, name="first"), dense(16, name="second"), HEAD],
        VECTOR,
        learning_rates={"first": 0.1},
        freeze=["second"],
        early_stopping={"monitor": "val_loss", "patience": 1},
        restore_best_weights=True,
        optimizer={
            "type": "sgd",
            "learning_rate": {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 9},
        },
    ),
    "compression": spec(
        [dense(16, activation="relu"), HEAD], VECTOR, distributed={"shards": SHARDS, "compression": "bfloat16"}
    ),
    "masked steps": spec(
        [
            {"type": "Embedding", "input_dim": 1000, "output_dim": 8, "mask_zero": True},
            {"type": "GRU", "units": 8, "return_sequences": True},
            dense(1, kernel_regularizer="l2", name="y"),
        ],
        TEXT,
        loss="mse",
        metrics=["mae"],
    ),
    "ignored class": spec(
        [{"type": "Embedding", "input_dim": 1000, "output_dim": 8}, HEAD],
        TEXT,
        loss={"type": "sparse_categorical_crossentropy", "ignore_class": 1},
    ),
    "sums in float64": spec(
        [dense(8, activation="relu"), dense(1, name="y")], VECTOR, loss="mse", metrics=["r2_score"]
    ),
    "kept samples": spec(
        [dense(8, activation="relu"), dense(1, activation="sigmoid", name="y")],
        VECTOR,
        loss="binary_crossentropy",
        metrics=["auc"],
        shuffle=False,
    ),
    "lazy tables": spec(
        [
            table("first", **{"from": "x"}),
            {"type": "GlobalAveragePooling1D", "name": "mean"},
            table("second", **{"from": "x"}),
            {"type": "Flatten", "name": "flat"},
            {"type": "Concatenate", "from": ["flat", "mean"]},
            dense(16, activation="relu"),
            HEAD,
        ],
        TEXT,
    ),
    "masked lazy table": spec(
        [table("first", mask_zero=True), {"type": "GRU", "units": 8, "return_sequences": True}, dense(1, name="y")],
        TEXT,
        loss="mse",
        metrics=[],
    ),
    "lazy table, 16 bits": spec(
        [table("first"), {"type": "Flatten"}, dense(1, activation="sigmoid", name="y")],
        TEXT,
        loss="binary_crossentropy",
        metrics=["auc"],
        distributed={"shards": SHARDS, "compression": "bfloat16"},
        optimizer={"type": "sgd", "learning_rate": 0.5, "momentum": 0.9},
    ),
    "a table with two lookups": spec(
        [
            table("first", **{"from": "x"}),
            {"type": "GlobalAveragePooling1D", "name": "mean"},
            {"type": "ops.flip", "axis": 1, "from": "x"},
            {"use": "first", "name": "again"},
            {"type": "Flatten", "name": "flat"},
            {"type": "Concatenate", "from": ["flat", "mean"]},
            HEAD,
        ],
        TEXT,
    ),
    "lstm": spec(
        [{"type": "Embedding", "input_dim": 1000, "output_dim": 8}, {"type": "LSTM", "units": 8, "dropout": 0.2}, HEAD],
        TEXT,
    ),
}


def data(document: dict[str, Any], samples: int = SAMPLES) -> Data:
    rng = np.random.default_rng(0)
    shape = (samples, *document["inputs"]["x"]["shape"])
    is_text = document["inputs"]["x"].get("dtype") == "int32"
    x = rng.integers(0, 1000, shape).astype(np.int32) if is_text else rng.normal(size=shape).astype(np.float32)
    loss = document["training"]["loss"]
    has_steps = is_text and {"Flatten", "LSTM"}.isdisjoint(layer.get("type") for layer in document["layers"])
    if has_steps:
        x[:, 2:] *= rng.random((samples, 3)) < np.linspace(0, 1, samples)[:, None]
    targets = shape if has_steps else (samples,)
    if loss == "mse":
        return x, rng.normal(size=(*targets, 1)).astype(np.float32)
    return x, rng.integers(0, 2 if loss == "binary_crossentropy" else 3, targets)


def on_ranks(size: int, shards: int, run: Callable[[Collective], Any]) -> list[Any]:
    """The results of all ranks, each on a thread of its own."""

    collectives = local_collectives(size, shards, timeout=30)
    with ThreadPoolExecutor(size) as executor:
        return list(executor.map(run, collectives))


def trained(document: dict[str, Any], collective: Collective | None = None, threads: int = 1) -> dict[str, np.ndarray]:
    trainer = Trainer(document, threads=threads, collective=collective)
    x, y = data(document)
    history = trainer.fit(x, y, validation_data=(x[:50], y[:50]), verbose=0).history
    return trainer.weights() | {name: np.array(values) for name, values in history.items()}


def assert_same(results: list[dict[str, np.ndarray]]) -> None:
    for other in results[1:]:
        assert {name: array.tobytes() for name, array in other.items()} == {
            name: array.tobytes() for name, array in results[0].items()
        }


def test_bits_do_not_depend_on_where_the_rows_of_a_rank_begin() -> None:
    """The mean over an input is a sum whose order in onnxruntime depends on the address of the input."""
    layers = [{"type": "ops.mean", "axis": -1, "keepdims": True}, dense(1)]
    document = spec(layers, {"x": {"shape": [5]}}, batch_size=301, loss="mse", metrics=["mae"])
    rng = np.random.default_rng(0)
    x, y, weights = (rng.normal(size=(953, *shape)).astype(np.float32) for shape in ((5,), (), ()))

    def run(collective: Collective | None) -> dict[str, np.ndarray]:
        trainer = Trainer(document, threads=1, collective=collective)
        history = trainer.fit(x, y, sample_weight=np.abs(weights), verbose=0).history
        return trainer.weights() | {name: np.array(values) for name, values in history.items()}

    assert_same([run(None), *on_ranks(2, SHARDS, run), *on_ranks(8, SHARDS, run)])


@pytest.mark.parametrize("name", CASES)
def test_all_numbers_of_ranks_and_threads_have_the_same_bits(name: str) -> None:
    document = CASES[name]
    results = [trained(document), trained(document, threads=3)]
    for size in (2, 3, 8, 9):  # the last rank of nine has no shard
        results += on_ranks(size, SHARDS, lambda collective: trained(document, collective))
    assert_same(results)


def test_sums_that_are_denormal_are_equal_on_all_threads() -> None:
    document = spec(
        [dense(1, use_bias=False, kernel_initializer="zeros", name="y")],
        {"x": {"shape": [1]}},
        **{"loss": "mse", "metrics": [], "optimizer": {"type": "sgd", "learning_rate": 1e6}, "shuffle": False},
        **{"distributed": {"shards": 4}, "batch_size": 4, "epochs": 1},
    )
    x = np.array([[1.5e-37], [-1.45e-37], [1.2e-37], [0]], np.float32)

    class EveryBatch(Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            dict(logs)

    def weight(threads: int, callbacks: list[Callback]) -> bytes:
        trainer = Trainer(document, threads=threads)
        trainer.fit(x, np.full((4, 1), -1, np.float32), verbose=0, callbacks=callbacks)
        (found,) = trainer.weights().values()
        assert found.any()
        return found.tobytes()

    assert len({weight(1, []), weight(1, [EveryBatch()]), weight(4, []), weight(4, [EveryBatch()])}) == 1


@pytest.mark.parametrize("name", SEPARABLE)
def test_virtual_shards_compute_the_step_of_one_machine(name: str) -> None:
    document = {**CASES[name], "training": {**CASES[name]["training"]}}
    sharded = trained(document)
    del document["training"]["distributed"]
    for key, expected in trained(document).items():
        np.testing.assert_allclose(sharded[key], expected, rtol=2e-4, atol=2e-5, err_msg=key)


@pytest.mark.parametrize("name", ["dropout", "global norm", "rates", "batch norm", "lazy tables"])
def test_updates_in_place_have_the_bits_of_copies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {**CASES[name]}
    document["layers"] = [
        layer | {"units": 1200} if layer.get("units") == 16 else layer for layer in document["layers"]
    ]
    results = [trained(document)]
    monkeypatch.setattr(inplace_updates, "MIN_INPLACE_STEP_BYTES", 0)
    monkeypatch.setattr(inplace_updates, "MIN_SLOT_ELEMENTS", 1000)
    monkeypatch.setattr(split_updates, "SLICE_ELEMENTS", 5000)
    assert Trainer(document).plan_trainer.engine.execution.inplace_variables
    assert_same([*results, trained(document), *on_ranks(3, SHARDS, lambda collective: trained(document, collective))])


def lazy_names(trainer: Trainer) -> list[str]:
    tables = trainer.plan_trainer.engine.execution.lazy_tables
    return [] if tables is None else [table.weight for table in tables.tables]


def test_lazy_tables_have_the_values_of_eager_ones() -> None:
    document = CASES["lazy tables"]
    x, y = data(document)
    trainers = [Trainer(document), Trainer(document, fast=False)]
    assert [lazy_names(trainer) for trainer in trainers] == [["first/embeddings", "second/embeddings"], []]
    assert not lazy_names(Trainer(CASES["a table with two lookups"]))
    losses = [trainer.fit(x, y, verbose=0).history["loss"] for trainer in trainers]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    lazy, eager = (trainer.plan_trainer.engine.variables() for trainer in trainers)
    for name, expected in eager.items():
        np.testing.assert_allclose(lazy[name], expected, atol=2e-6, err_msg=name)
    np.testing.assert_allclose(*(trainer.predict(x) for trainer in trainers), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "row_bytes"), [("lazy tables", 2 * (8 + 4 * 16)), ("lazy table, 16 bits", 8 + 2 * 16)]
)
def test_only_the_rows_of_a_batch_travel(name: str, row_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    document, sent, exchange = {**CASES[name]}, [0, 0], TcpCollective._exchange
    document["layers"] = [
        layer | {"input_dim": 100_000} if "input_dim" in layer else layer for layer in document["layers"]
    ]
    x, y = data(document, BATCH)

    def counting(self: TcpCollective, step: int, outgoing: Outgoing, *more: Any) -> dict[int, np.ndarray]:
        sent[self.rank] += sum(piece.nbytes for pieces in outgoing.values() for piece in pieces)
        return exchange(self, step, outgoing, *more)

    monkeypatch.setattr(TcpCollective, "_exchange", counting)
    on_ranks(2, SHARDS, lambda collective: Trainer(document, collective=collective).fit(x, y, epochs=1, verbose=0))
    rows, bytes_of_others = x.size // 2, 12_000  # gradients of other weights, metrics, and the end of the epoch
    assert all(0.9 * rows * row_bytes < count < rows * row_bytes + bytes_of_others for count in sent)


def test_a_diverged_step_is_undone_on_all_ranks_with_its_rows() -> None:
    layers = [table("first"), {"type": "GlobalAveragePooling1D"}, dense(3)]
    optimizer = {"type": "sgd", "learning_rate": 300.0, "momentum": 0.9}
    document = spec(layers, TEXT, optimizer=optimizer, loss="mse", metrics=[])
    x = np.random.default_rng(0).integers(0, 50, (BATCH, 5))

    def run(collective: Collective) -> list[dict[str, np.ndarray]]:
        trainer = Trainer(document, collective=collective)
        assert lazy_names(trainer)
        states: list[dict[str, np.ndarray]] = []

        class Keep(Callback):
            def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
                states.append(dict(trainer.plan_trainer.engine.variables()))

        with pytest.raises(Diverged):
            trainer.fit(x, np.ones((BATCH, 3)), epochs=60, callbacks=[Keep()], verbose=0)
        assert len(states) > 3
        return [states[-2], dict(trainer.plan_trainer.engine.variables())]

    assert_same([state for states in on_ranks(2, SHARDS, run) for state in states])


class StopAt(Callback):
    """Asks to stop after a step."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self._batch = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self._batch:
            self.model.stop_training = True


def test_a_stop_that_one_rank_requests_ends_all_ranks_after_the_same_step() -> None:
    document = CASES["dropout"]

    def run(collective: Collective) -> tuple[int, dict[str, np.ndarray]]:
        trainer = Trainer(document, collective=collective)
        callbacks = [StopAt(1)] if collective.rank == 1 else []
        trainer.fit(*data(document), callbacks=callbacks, verbose=0)
        return trainer.steps, trainer.weights()

    results = on_ranks(3, SHARDS, run)
    assert {steps for steps, _ in results} == {3}
    assert_same([weights for _, weights in results])


@pytest.mark.parametrize("name", ["global norm", "lazy tables"])
def test_a_checkpoint_goes_on_with_any_number_of_ranks(name: str, tmp_path: Path) -> None:
    document = CASES[name]
    x, y = data(document)
    whole = trained(document)
    path = tmp_path / "step.safetensors"

    class Save(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.steps == 7:
                self.model.save_checkpoint(path)
                self.model.stop_training = True

    def begin(collective: Collective) -> None:
        trainer = Trainer(document, collective=collective)
        trainer.fit(
            x, y, validation_data=(x[:50], y[:50]), callbacks=[Save()] if not collective.rank else [], verbose=0
        )

    def go_on(collective: Collective | None) -> dict[str, np.ndarray]:
        trainer = Trainer(document, collective=collective)
        trainer.load_checkpoint(path, exact=True)
        history = trainer.fit(x, y, validation_data=(x[:50], y[:50]), verbose=0).history
        return trainer.weights() | {name: np.array(values) for name, values in history.items()}

    on_ranks(3, SHARDS, begin)
    assert_same([whole, go_on(None), *on_ranks(2, SHARDS, go_on)])


@pytest.mark.parametrize("fast", [True, False])
def test_lazy_and_eager_tables_read_each_others_checkpoints(fast: bool, tmp_path: Path) -> None:
    document, path = CASES["lazy tables"], tmp_path / "step.safetensors"
    x, y = data(document)
    saved, loaded = Trainer(document, fast=fast), Trainer(document, fast=not fast)
    saved.fit(x, y, verbose=0)
    saved.save_checkpoint(path)
    loaded.load_checkpoint(path)
    for trainer in (saved, loaded):
        trainer.step(x[:BATCH], y[:BATCH])
    variables = saved.plan_trainer.engine.variables()
    for key, array in loaded.plan_trainer.engine.variables().items():
        np.testing.assert_allclose(array, variables[key], atol=5e-6, err_msg=key)


def test_a_step_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    document = CASES["dropout"]
    x, y = data(document)
    whole, failing = Trainer(document), Trainer(document)
    for trainer in (whole, failing):
        trainer.step(x[:BATCH], y[:BATCH])
    compute, calls = virtual_shards._ShardThread.run, iter(range(SHARDS))

    def fail_at_the_sixth(thread: Any, *arguments: Any) -> Any:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return compute(thread, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(virtual_shards._ShardThread, "run", fail_at_the_sixth)
        with pytest.raises(KeyboardInterrupt):
            failing.step(x[BATCH : 2 * BATCH], y[BATCH : 2 * BATCH])
    for trainer in (whole, failing):
        trainer.step(x[:BATCH], y[:BATCH])
    assert_same([whole.weights(), failing.weights()])


def refused(document: dict[str, Any], **arguments: Any) -> list[tuple[str, str]]:
    with pytest.raises(CompileError) as raised:
        Trainer(document, **arguments)
    return [(diagnostic.code, diagnostic.path) for diagnostic in raised.value.diagnostics]


def test_networks_whose_samples_interact_are_refused_by_layer() -> None:
    layers = [dense(16), {"type": "BatchNormalization"}, {"type": "ops.softmax", "axis": 0}, HEAD]
    assert refused(spec(layers, VECTOR)) == [("samples-interact", "$.layers[1]")]
    assert refused(spec(layers, VECTOR, **LOCAL)) == [("samples-interact", "$.layers[2]")]


@pytest.mark.parametrize(
    ("layers", "training", "path"),
    [
        ([HEAD], {"loss": {"type": "sparse_categorical_crossentropy", "reduction": "sum"}}, "$.training.loss"),
        ([dense(4, name="y")], {"loss": "circle"}, "$.training.loss"),
        ([HEAD], {"precision": "mixed_float16"}, "$.training.loss_scale"),
        ([HEAD, {"type": "AddLoss", "reduction": "sum"}], {}, "$.layers[1]"),
        ([{"type": "Masking"}, {"type": "AddLoss"}, {"type": "Flatten"}, HEAD], {}, "$.layers[1]"),
    ],
)
def test_validate_refuses_what_training_refuses(layers: list[Any], training: dict[str, Any], path: str) -> None:
    document = spec(layers, {"x": {"shape": [3, 2]}} if layers[0]["type"] == "Masking" else VECTOR, **training)
    errors = [error for error in validate(document) if error.severity == "error"]
    assert [(error.code, error.path) for error in errors] == [("samples-interact", path)]
    assert ("samples-interact", path) in refused(document)


def test_a_mean_that_a_layer_adds_is_accepted() -> None:
    assert not validate(spec([dense(3), {"type": "AddLoss"}, HEAD], VECTOR))


def test_ranks_need_shards_in_the_spec() -> None:
    document = spec([HEAD], VECTOR)
    del document["training"]["distributed"]
    (collective,) = local_collectives(1, 1)
    assert refused(document, collective=collective) == [("not-distributed", "$.training")]
