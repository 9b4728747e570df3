"""Denormals are zero during a step, on every thread, and nowhere else."""

from __future__ import annotations

import sys
from platform import machine

import jsonnx
import numpy as np
import pytest
from jsonnx.runtime.providers.flush_denormals import can_flush_denormals, denormals_flushed, with_denormals_flushed

TINY = 1e-39
HALVED = {
    "inputs": {"x": {"shape": [1024]}},
    "layers": [
        {"type": "Rescaling", "name": "half", "scale": 0.5},
        {"type": "Dense", "name": "y", "units": 1, "from": "half"},
    ],
    "outputs": ["half", "y"],
    "training": {
        "loss": {"y": "mean_squared_error"},
        "optimizer": {"type": "sgd", "momentum": 0.9},
    },
}
needs_control = pytest.mark.skipif(
    not can_flush_denormals(), reason="this thread's floating point state cannot be set here"
)


def half() -> float:
    """Half of a denormal number, as NumPy computes it in this thread."""
    return float((np.full(64, TINY, np.float32) * np.float32(0.5)).max())


@pytest.mark.skipif(sys.platform != "linux" or machine() != "x86_64", reason="known there")
def test_linux_on_x86_64_is_supported():
    assert can_flush_denormals()


@needs_control
def test_denormals_are_flushed_only_during_the_call():
    assert [half() > 0, with_denormals_flushed(half)(), half() > 0] == [True, 0.0, True]
    with pytest.raises(ZeroDivisionError):
        with_denormals_flushed(lambda: 1 / 0)()
    assert half() > 0


@needs_control
def test_contexts_may_be_nested():
    with denormals_flushed():
        assert [half(), with_denormals_flushed(half)(), half()] == [0.0] * 3
        with denormals_flushed():
            assert half() == 0.0
        assert half() == 0.0
    with denormals_flushed(False):
        assert half() > 0


class Watching(jsonnx.Callback):
    """Records what NumPy computes in a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(half())


class Hearing(Watching):
    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(half())


@needs_control
@pytest.mark.parametrize("callback", [Watching, Hearing])
def test_callbacks_of_a_fit_see_denormals(callback):
    x, y = np.full((64, 1024), TINY, np.float32), np.ones((64, 1), np.float32)
    watching, trainer = callback(), jsonnx.Trainer(HALVED)
    trainer.fit(x, y, batch_size=8, epochs=2, callbacks=[watching])
    assert len(watching.seen) == (2 if callback is Watching else 18)
    assert min(watching.seen) > 0
    assert half() > 0


@needs_control
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("fast", [True, False])
def test_all_threads_of_a_session_flush_denormals(threads, fast):
    trainer = jsonnx.Trainer(HALVED, threads=threads, fast=fast)
    halves = trainer.predict(np.full((1024, 1024), TINY, np.float32), batch_size=1024)["half"]
    assert (halves == 0.0).all() if fast else (halves > 0.0).all()
    assert half() > 0


@needs_control
def test_a_momentum_without_gradient_becomes_zero():
    """0.9 times a multiple of the smallest number rounds to itself, so that the momentum would never reach zero."""
    x, y = np.ones((4, 1024), np.float32), np.ones((4, 1), np.float32)
    slots = []
    for fast in (True, False):
        trainer = jsonnx.Trainer(HALVED, fast=fast)
        trainer.step(x, y)
        x0 = np.zeros_like(x)
        for _ in range(1000):
            trainer.step(x0, y)
        slots.append(trainer.plan_trainer.engine.variables()["optimizer/y/kernel/momentum"])
    flushed, denormal = slots
    assert (flushed == 0.0).all()
    assert (denormal != 0.0).all()
    assert (abs(denormal) < np.finfo(np.float32).tiny).all()
