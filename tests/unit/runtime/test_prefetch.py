"""Prefetched batches: a fit equals its steps, whatever fits into a buffer."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from jsonnx.core.callback import Callback
from jsonnx.data.samples.sample_order import sample_order
from jsonnx.runtime.execution import prefetch
from jsonnx.runtime.execution.runner import Runner
from jsonnx.runtime.fit.fit_data import dataset_of
from jsonnx.runtime.fit.trainer import PlanTrainer

from .plans import classifier, fit, flowers

X, Y = flowers()


FALLING = {"type": "InverseTimeDecay", "initial_learning_rate": 0.01, "decay_steps": 1, "decay_rate": 1.0}


def by_steps(trainer: PlanTrainer, x: np.ndarray, batch_size: int, epochs: int, shuffle: bool) -> list[float]:
    """Trains like a fit, step by step; the loss of each step."""
    losses = []
    for epoch in range(epochs):
        order = sample_order(trainer.plan.seed, epoch, len(x)) if shuffle else np.arange(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            losses.append(trainer.step(x[rows], Y[rows])["loss"])
    return losses


class LossRecorder(Callback):
    """Records the mean loss after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.means: list[tuple[int, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.means.append((batch + 1, logs["loss"]))


@pytest.mark.costly(6)
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(
    ("batch_size", "max_slots"), [(1, 48), (7, 3), (7, 48), (10, 4), (10, 2), (33, 48), (100, 48), (101, 48)]
)
def test_a_fit_equals_its_steps(
    batch_size: int, max_slots: int, noise: float, shuffle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "SLOT_COUNTS", range(max_slots, max_slots + 1, 3))
    plan = classifier({"optimizer": {"type": "adam", "learning_rate": FALLING}}, noise=noise)
    fitted, stepped, recorder = PlanTrainer(plan), PlanTrainer(plan), LossRecorder()
    fit(fitted, X, Y, batch_size=batch_size, epochs=2, shuffle=shuffle, callbacks=[recorder])
    losses = by_steps(stepped, X, batch_size, 2, shuffle)
    a, b = fitted.engine.variables(), stepped.engine.variables()
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)
    steps = -(-100 // batch_size)
    assert [step for step, _ in recorder.means] == [*range(1, steps + 1)] * 2
    sizes = [min(batch_size, 100 - start) for start in range(0, 100, batch_size)]
    for epoch in (0, 1):
        means = np.cumsum(np.array(losses[epoch * steps : (epoch + 1) * steps]) * sizes) / np.cumsum(sizes)
        assert [mean for _, mean in recorder.means[epoch * steps : (epoch + 1) * steps]] == pytest.approx(
            means, rel=1e-12
        )


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
def test_samples_are_cast_into_the_buffers(dtype: str) -> None:
    x = (50 * np.abs(X)).astype(dtype)
    fitted, stepped = PlanTrainer(classifier()), PlanTrainer(classifier())
    fit(fitted, x, Y, batch_size=8, epochs=1)
    by_steps(stepped, x, 8, 1, True)
    assert all((fitted.weights()[name] == array).all() for name, array in stepped.weights().items())


def test_a_buffer_has_room_for_one_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    room = 8 * (4 * 4 + Y.itemsize)
    for bytes, slots in ((3 * room, 3), (room - 1, 1)):
        monkeypatch.setattr(prefetch, "MAX_BUFFER_BYTES", bytes)
        trainer = PlanTrainer(classifier())
        samples = dataset_of(trainer.plan, X, Y)
        assert [len(buffer.slots) for buffer in trainer.engine.prefetch_buffers(samples, 8) or ()] == [slots, slots]
        assert trainer.engine.prefetch_buffers(samples, 101) is None


@pytest.mark.parametrize(("steps", "slots"), [(1, 3), (10, 12), (100, 48), (1000, 60), (100_000, 96)])
def test_longer_epochs_have_more_slots(steps: int, slots: int) -> None:
    trainer = PlanTrainer(classifier())
    samples = dataset_of(trainer.plan, np.zeros((steps, 4), np.float32), np.zeros(steps, Y.dtype))
    buffers = trainer.engine.prefetch_buffers(samples, 1)
    assert buffers is not None
    assert {len(buffer.slots) for buffer in buffers} == {slots}


def test_a_slot_is_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It meets the same set of variables in each epoch, wherever the epoch before ended."""
    new_binding, bindings = Runner._new_binding, []
    monkeypatch.setattr(Runner, "_new_binding", lambda *all: bindings.append(all) or new_binding(*all))
    trainer = PlanTrainer(classifier())
    fit(trainer, X, Y, batch_size=1, epochs=2, shuffle=False)
    for epochs in (1, 2):
        trainer.step(X[:1], Y[:1])
        bindings.clear()
        fit(trainer, X, Y, batch_size=1, epochs=epochs)
        assert bindings == []


def test_compatible_buffers_are_reused_by_the_next_fit() -> None:
    trainer = PlanTrainer(classifier())
    engine, samples = trainer.engine, dataset_of(trainer.plan, X, Y)
    buffers = engine.prefetch_buffers(samples, 8)
    assert engine.prefetch_buffers(dataset_of(trainer.plan, X[::-1], Y[::-1]), 8) == buffers
    assert engine.prefetch_buffers(samples, 4) != buffers


def test_reused_buffers_give_the_same_fit_as_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    for max_slots in (prefetch.SLOT_COUNTS[0], 1):
        monkeypatch.setattr(prefetch, "SLOT_COUNTS", range(max_slots, max_slots + 1, 3))
        trainer = PlanTrainer(classifier())
        losses = [fit(trainer, x, y, batch_size=8).history["loss"] for x, y in ((X, Y), (X[::-1] * 2, Y[::-1]))]
        fits.append((losses, trainer.weights()))
    assert fits[0][0] == fits[1][0]
    for name, array in fits[0][1].items():
        np.testing.assert_array_equal(array, fits[1][1][name])


class Halved(Callback):
    """Halves the weights in the middle of an epoch."""

    def __init__(self, trainer: PlanTrainer) -> None:
        super().__init__()
        self.trainer = trainer

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 4:
            self.trainer.set_weights({name: array / 2 for name, array in self.trainer.weights().items()})


def test_callbacks_may_change_weights_between_the_steps_of_a_buffer() -> None:
    fitted, stepped = PlanTrainer(classifier()), PlanTrainer(classifier())
    fit(fitted, X, Y, batch_size=10, epochs=1, shuffle=False, callbacks=[Halved(fitted)])
    for step in range(10):
        rows = slice(10 * step, 10 * step + 10)
        stepped.step(X[rows], Y[rows])
        Halved(stepped).on_train_batch_end(step)
    assert all((fitted.weights()[name] == array).all() for name, array in stepped.weights().items())


def test_an_exception_while_prefetching_ends_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, fill = PlanTrainer(classifier()), prefetch.PrefetchBuffer.fill
    filled = iter(range(100))

    def fail_to_fill(buffer: prefetch.PrefetchBuffer, *arguments: Any) -> list[prefetch.BatchSlot]:
        if next(filled) == 1:
            raise MemoryError("no room")
        return fill(buffer, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(prefetch.PrefetchBuffer, "fill", fail_to_fill)
        with pytest.raises(MemoryError, match="no room"):
            fit(trainer, X, Y, batch_size=1)
    assert trainer.steps == 48
    assert len(fit(trainer, X, Y, batch_size=1, epochs=2).epoch) == 2


def test_an_exception_of_a_callback_waits_for_the_prefetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written to buffers after the fit."""
    trainer, fill = PlanTrainer(classifier()), prefetch.PrefetchBuffer.fill
    filled = []

    def fill_slowly(buffer: prefetch.PrefetchBuffer, *arguments: Any) -> list[prefetch.BatchSlot]:
        time.sleep(0.05)
        slots = fill(buffer, *arguments)
        filled.append(len(slots))
        return slots

    class Refuses(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("no more")

    monkeypatch.setattr(prefetch.PrefetchBuffer, "fill", fill_slowly)
    with pytest.raises(RuntimeError, match="no more"):
        fit(trainer, X, Y, batch_size=1, callbacks=[Refuses()])
    assert filled == [48, 48]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a thread cannot be interrupted here")
def test_a_second_interrupt_is_not_lost_in_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first interrupt requests a stop; the second ends the wait for a slow batch."""
    trainer, fill, filled = PlanTrainer(classifier()), prefetch.PrefetchBuffer.fill, iter(range(3))
    main = threading.main_thread().ident
    assert main is not None
    stop_requested = threading.Event()

    def fill_slowly(buffer: prefetch.PrefetchBuffer, *arguments: Any) -> list[prefetch.BatchSlot]:
        if next(filled):
            assert stop_requested.wait(300)
            time.sleep(0.1)  # by now the main thread waits for this batch
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.1)
        return fill(buffer, *arguments)

    class Interrupts(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                signal.raise_signal(signal.SIGINT)
                stop_requested.set()

    monkeypatch.setattr(prefetch.PrefetchBuffer, "fill", fill_slowly)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, X, Y, batch_size=1, callbacks=[Interrupts()])
