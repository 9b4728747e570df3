"""Data-parallel steps: the same step as a whole one, for every batch size, and where steps are split."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution import data_parallel
from jsonnx.runtime.execution.data_parallel import ShardedStep
from jsonnx.runtime.fit.trainer import Diverged

RNG = np.random.default_rng(5)
X = RNG.normal(size=(70, 6, 6, 2)).astype(np.float32)
Y = RNG.integers(3, size=70)
CONV = {"type": "Conv2D", "filters": 4, "kernel_size": 3, "activation": "relu", "kernel_regularizer": "l2"}


def spec(*more: dict[str, Any], **training: Any) -> dict[str, Any]:
    head = {"type": "Dense", "units": 3, "activation": "softmax"}
    return {
        "inputs": {"x": {"shape": [6, 6, 2]}},
        "layers": [CONV, *more, {"type": "Flatten"}, head],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "optimizer": {"type": "Adam", "clipnorm": 1.0},
            "metrics": ["accuracy"],
            "batch_size": 16,
            **training,
        },
    }


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_parallel, "MIN_BATCH_MACS", 0)
    monkeypatch.setattr(data_parallel, "MIN_WEIGHT_REUSE", 0)
    monkeypatch.setattr(data_parallel, "MIN_CONV_SHARD_SAMPLES", data_parallel.MIN_SHARD_SAMPLES)


def trained(document: dict[str, Any], fast: bool, sizes: tuple[int, ...], threads: int = 2) -> tuple[list[Any], Any]:
    trainer = Trainer(document, seed=3, threads=threads, fast=fast)
    metrics, start = [], 0
    for size in sizes:
        metrics.append(trainer.step(X[start : start + size], Y[start : start + size]))
        start = (start + size) % 20
    assert isinstance(trainer.plan_trainer.engine.step_runners.runner, ShardedStep) == fast
    return metrics, trainer.weights()


@pytest.mark.parametrize(
    "more", [[], [{"type": "Dropout", "rate": 0.4}], [{"type": "Dropout", "rate": 0.4, "noise_shape": [1, 1, 1, 4]}]]
)
@pytest.mark.parametrize("threads", [2, 3])
def test_a_sharded_step_equals_the_whole_one(threads: int, more: list[dict[str, Any]]) -> None:
    """Shards of equal sizes, of unequal sizes, and without samples."""
    sizes = (16, 16, 7, 1, 2, 33, 16)
    expected_metrics, expected_weights = trained(spec(*more, batch_size=24), False, sizes, threads)
    metrics, weights = trained(spec(*more, batch_size=24), True, sizes, threads)
    for actual, expected in zip(metrics, expected_metrics, strict=True):
        assert actual == pytest.approx(expected, rel=1e-5)
    for name, array in expected_weights.items():
        np.testing.assert_allclose(weights[name], array, atol=2e-6, err_msg=name)


def test_a_fit_equals_its_steps() -> None:
    """Bit for bit, with the last smaller batch, in a first and a second fit."""
    fitted, stepped = (Trainer(spec(), seed=3, threads=2) for _ in range(2))
    for _ in range(2):
        history = fitted.fit(X, Y, epochs=1, shuffle=False).history
        assert isinstance(fitted.plan_trainer.engine.step_runners.runner, ShardedStep)
        metrics = [stepped.step(X[start : start + 16], Y[start : start + 16]) for start in range(0, 70, 16)]
        weights = [16, 16, 16, 16, 6]
        assert history["loss"][-1] == pytest.approx(np.average([f["loss"] for f in metrics], weights=weights))
        assert history["accuracy"][-1] == pytest.approx(np.average([f["accuracy"] for f in metrics], weights=weights))
        assert all(np.array_equal(array, stepped.weights()[name]) for name, array in fitted.weights().items())


def test_a_run_is_resumed_from_a_checkpoint_bit_for_bit(tmp_path: Any) -> None:
    saved, resumed = (Trainer(spec({"type": "Dropout", "rate": 0.3}), seed=3, threads=2) for _ in range(2))
    saved.fit(X, Y, epochs=1)
    saved.save_checkpoint(tmp_path / "run.npz")
    assert resumed.load_checkpoint(tmp_path / "run.npz") == []
    for trainer in (saved, resumed):
        trainer.step(X[:16], Y[:16])
    assert all(np.array_equal(array, resumed.weights()[name]) for name, array in saved.weights().items())


def test_a_step_with_an_infinite_loss_is_undone() -> None:
    trainer = Trainer(spec(), seed=3, threads=2)
    before = trainer.weights()
    bad = X[:16].copy()
    bad[8:] *= 1e38  # samples of the second shard
    with pytest.raises(Diverged):
        trainer.step(bad, Y[:16])
    assert all(np.array_equal(array, before[name]) for name, array in trainer.weights().items())
    assert np.isfinite(trainer.step(X[:16], Y[:16])["loss"])


def test_a_shard_without_samples_contributes_zeros() -> None:
    """Zeros also take the place of an infinite gradient."""
    root = {
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"type": "Dense", "units": 2, "kernel_initializer": "zeros"}, {"type": "ops.sqrt"}],
        "training": {"loss": "mse", "optimizer": {"type": "SGD", "clipvalue": 1.0}},
    }
    trainer = Trainer(root, threads=2)
    trainer.step(np.ones((1, 3), np.float32), np.ones((1, 2), np.float32))
    assert isinstance(trainer.plan_trainer.engine.step_runners.runner, ShardedStep)
    assert all(np.isfinite(array).all() for array in trainer.weights().values())


def test_a_layer_may_be_named_gradient() -> None:
    """The names of its weights do not collide with those of gradients."""
    inner = {"type": "TimeDistributed", "name": "gradient", "layer": {"type": "Dense", "units": 4}}
    named = {
        "inputs": {"x": {"shape": [3, 4]}},
        "layers": [inner, {"type": "Dense", "units": 4, "name": "dense"}],
        "training": {"loss": "mse", "optimizer": {"type": "SGD", "learning_rate": 0.1}},
    }
    x, y = RNG.normal(size=(2, 16, 3, 4)).astype(np.float32)
    weights = []
    for fast in (True, False):
        trainer = Trainer(named, seed=1, threads=2, fast=fast)
        trainer.step(x, y)
        weights.append(trainer.weights())
    for name, array in weights[1].items():
        np.testing.assert_allclose(weights[0][name], array, atol=1e-6, err_msg=name)


def test_metrics_may_have_any_name() -> None:
    named = spec(metrics=[{"type": "accuracy", "name": "a"}, {"type": "accuracy", "name": "a+0"}])
    metrics = Trainer(named, seed=3, threads=2).step(X[:16], Y[:16])
    assert metrics["a"] == metrics["a+0"]


def test_a_deleted_trainer_frees_its_sessions_and_threads_at_once() -> None:
    """Without a garbage collection, since sessions are large."""
    before = set(threading.enumerate())
    trainer = Trainer(spec(), seed=3, threads=2)
    trainer.step(X[:16], Y[:16])
    trainer.fit(X, Y, epochs=1)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2  # one of a shard, one for prefetching
    runner = trainer.plan_trainer.engine.step_runners.runner
    assert isinstance(runner, ShardedStep)
    gc.disable()
    try:
        references = [weakref.ref(each) for each in (runner, *runner._shard_runners, runner._combiner)]
        del trainer, runner
        assert all(reference() is None for reference in references)
    finally:
        gc.enable()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_an_exception_of_another_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(spec(), seed=3, threads=2)
    trainer.step(X[:16], Y[:16])
    runner = trainer.plan_trainer.engine.step_runners.runner
    assert isinstance(runner, ShardedStep)

    def fail_to_bind(*_: Any) -> Any:
        def run(_: Any) -> None:
            raise MemoryError("no room")

        return run

    monkeypatch.setattr(runner._shard_runners[1], "bind", fail_to_bind)
    runner._run = runner.bind({}, runner._results)
    with pytest.raises(MemoryError, match="no room"):
        trainer.step(X[:16], Y[:16])


def test_a_handled_exception_is_freed_at_once() -> None:
    """Without a garbage collection, since it holds the frames that it passed."""

    class Kept(Exception):
        pass

    runner = Trainer(spec(), seed=3, threads=2).plan_trainer.engine.step_runners.for_batch(16)
    assert isinstance(runner, ShardedStep)
    feeds = {"x": X[:16], "dense/target": Y[:16].astype(np.int64), "learning_rate": np.array(0.1, np.float32)}
    errors = [Kept()]
    reference = weakref.ref(errors[0])

    def fail() -> None:
        raise errors.pop()

    submit = runner._workers[0].submit
    runner._workers[0].submit = lambda _: submit(fail)  # type: ignore[method-assign,assignment,return-value]
    gc.disable()
    try:
        with contextlib.suppress(Kept):
            runner(feeds)
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("change", "threads"), [({}, 1), ({"batch_size": 15}, 2), ({"batch_size": 16}, 3), ({"remat": "full"}, 2)]
)
def test_batches_that_are_not_split(change: dict[str, Any], threads: int) -> None:
    trainer = Trainer(spec(**change), threads=threads)
    trainer.step(X[:15], Y[:15])
    assert not isinstance(trainer.plan_trainer.engine.step_runners.runner, ShardedStep)


@pytest.mark.parametrize(("kind", "min_batch"), [("Conv2D", 32), ("Dense", 16)])
def test_small_batches_are_not_split(monkeypatch: pytest.MonkeyPatch, kind: str, min_batch: int) -> None:
    """With convolutions, a shard has enough samples for a block of the weight gradient."""
    monkeypatch.undo()
    monkeypatch.setattr(data_parallel, "MIN_BATCH_MACS", 0)
    monkeypatch.setattr(data_parallel, "MIN_WEIGHT_REUSE", 0)
    layer = CONV if kind == "Conv2D" else {"type": "Dense", "units": 4}
    for batch in (min_batch - 1, min_batch):
        document = {**spec(batch_size=batch), "layers": [layer, *spec()["layers"][1:]]}
        graphs = data_parallel.plan_shards(Trainer(document, threads=2).plan, 2)
        assert (graphs is not None) == (batch == min_batch)


def test_steps_of_little_work_or_large_weights_are_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(spec(), threads=2)
    macs, weights = 16 * (4 * 4 * 4 * 18 + 64 * 3), 4 * 18 + 4 + 64 * 3 + 3
    for name, least in (("MIN_BATCH_MACS", macs), ("MIN_WEIGHT_REUSE", macs / 4 / weights)):
        monkeypatch.setattr(data_parallel, name, least)
        assert data_parallel.plan_shards(trainer.plan, 2)
        monkeypatch.setattr(data_parallel, name, least * 1.01)
        assert not data_parallel.plan_shards(trainer.plan, 2)
        monkeypatch.setattr(data_parallel, name, 0)


def test_a_sharded_step_with_weights_equals_the_whole_one() -> None:
    weights = RNG.uniform(0, 2, 70).astype(np.float32)
    document = spec(weighted_metrics=["accuracy"], class_weight={"0": 2.0, "2": 0.5})
    results = []
    for fast in (True, False):
        trainer = Trainer(document, seed=3, threads=2, fast=fast)
        history = trainer.fit(X, Y, epochs=2, sample_weight=weights)
        assert isinstance(trainer.plan_trainer.engine.step_runners.runner, ShardedStep) == fast
        results.append((history.history, trainer.weights()))
    (metrics, arrays), (expected_metrics, expected) = results
    for name in expected_metrics:
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-5, err_msg=name)
    for name in expected:
        np.testing.assert_allclose(arrays[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
