"""Numbers too small to be normal are zero for a step, in whatever thread, and for nobody else."""

from __future__ import annotations

import sys
from platform import machine

import jsonnx
import numpy as np
import pytest
from jsonnx.runtime.flush_denormals import can_flush_denormals, denormals_flushed, with_denormals_flushed

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
    """Half of a denormal number, as NumPy has it in this thread."""
    return float((np.full(64, TINY, np.float32) * np.float32(0.5)).max())


@pytest.mark.skipif(sys.platform != "linux" or machine() != "x86_64", reason="known there")
def test_known_where_it_was_tried():
    assert can_flush_denormals()


@needs_control
def test_only_while_it_is_called():
    assert [half() > 0, with_denormals_flushed(half)(), half() > 0] == [True, 0.0, True]
    with pytest.raises(ZeroDivisionError):
        with_denormals_flushed(lambda: 1 / 0)()
    assert half() > 0


@needs_control
def test_one_within_another():
    with denormals_flushed():
        assert [half(), with_denormals_flushed(half)(), half()] == [0.0] * 3
        with denormals_flushed():
            assert half() == 0.0
        assert half() == 0.0
    with denormals_flushed(False):
        assert half() > 0


class Watching:
    """What NumPy computes in a user's own code while a fit runs."""

    def __init__(self) -> None:
        self.seen = []

    def on_epoch_end(self, epoch, figures):
        self.seen.append(half())


class Hearing(Watching):
    def on_step(self, step, figures):
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
def test_all_threads_of_a_session(threads, fast):
    trainer = jsonnx.Trainer(HALVED, threads=threads, fast=fast)
    found = trainer.predict(np.full((1024, 1024), TINY, np.float32), batch_size=1024)["half"]
    assert (found == 0.0).all() if fast else (found > 0.0).all()
    assert half() > 0


@needs_control
def test_a_momentum_without_gradient_ends():
    """Nine tenths of a few of the smallest numbers round to as many: it would stay for good."""
    x, y = np.ones((4, 1024), np.float32), np.ones((4, 1), np.float32)
    slots = []
    for fast in (True, False):
        trainer = jsonnx.Trainer(HALVED, fast=fast)
        trainer.step(x, y)
        x0 = np.zeros_like(x)
        for _ in range(1000):
            trainer.step(x0, y)
        slots.append(trainer._engine.variables()["optimizer/y/kernel/momentum"])
    flushed, kept = slots
    assert (flushed == 0.0).all()
    assert (kept != 0.0).all()
    assert (abs(kept) < np.finfo(np.float32).tiny).all()
