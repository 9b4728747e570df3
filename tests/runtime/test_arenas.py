"""Sessions with memory of their own: where, that it goes with them, and where onnxruntime has none to give."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jsonnx.api import Trainer
from jsonnx.backend import emit, serialize
from jsonnx.graph import Builder
from jsonnx.runtime import providers
from jsonnx.runtime.arenas import own_arena
from jsonnx.types import TensorType

CONV = {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same"}
STATM = Path("/proc/self/statm")
SIDE = 4096


def in_memory() -> int:
    return int(STATM.read_text().split()[1]) * 4096


@pytest.mark.skipif(not STATM.exists(), reason="the system does not tell what a process takes")
@pytest.mark.parametrize("exact", [True, False])
def test_memory_goes_with_the_session(exact: bool) -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (SIDE, 1)))
    large = g.Exp(g.MatMul(x, g.Transpose(x, perm=[1, 0])))
    model = serialize(emit(g.graph({"y": g.ReduceSum(large, keepdims=0)})))
    before = in_memory()
    session = providers.create_session(model, providers.resolve("cpu"), 1, planned=False, exact=exact)
    total = float(session.run(None, {"x": np.zeros((SIDE, 1), np.float32)})[0])  # the array would keep the memory
    assert total == SIDE * SIDE
    assert in_memory() - before > SIDE * SIDE * 4 * 0.9
    del session
    gc.collect()
    assert in_memory() - before < SIDE * SIDE * 4 * 0.5


def test_two_of_them_do_not_disturb_each_other() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (64, 64)))
    model = serialize(emit(g.graph({"y": g.Neg(g.MatMul(x, x))})))
    array = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    sessions = [providers.create_session(model, providers.resolve("cpu"), 1, exact=True) for _ in range(3)]
    for session in (*sessions, *sessions[:1]):
        np.testing.assert_allclose(session.run(None, {"x": array})[0], -array @ array, rtol=1e-4, atol=1e-4)
    del sessions[0]
    np.testing.assert_allclose(sessions[0].run(None, {"x": array})[0], -array @ array, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("register", [None, "once"])
def test_an_onnxruntime_without_them_makes_plain_sessions(register: str | None) -> None:
    known: list[Any] = []

    def once(place: Any, how: Any) -> None:
        if known:
            raise RuntimeError("An allocator for this device has already been registered for sharing.")
        known.append(how)

    runtime = SimpleNamespace(
        OrtMemoryInfo=lambda *_: None,
        OrtAllocatorType=SimpleNamespace(ORT_ARENA_ALLOCATOR=1),
        OrtMemType=SimpleNamespace(DEFAULT=0),
        OrtArenaCfg=dict,
        __hash__=object.__hash__,
    )
    if register:
        runtime.create_and_register_allocator = once
    entries: dict[str, str] = {}
    options: Any = SimpleNamespace(add_session_config_entry=entries.__setitem__)
    with own_arena(Module(runtime), options):
        pass
    assert not entries


class Module:
    """A module is hashable, unlike a namespace."""

    def __init__(self, names: SimpleNamespace) -> None:
        self.__dict__.update(names.__dict__)


@pytest.mark.parametrize(
    ("layers", "shape", "batch", "fast", "wanted"),
    [
        ([CONV, {"type": "BatchNormalization"}], [24, 24, 3], 8, True, 1),
        ([CONV, {"type": "BatchNormalization"}], [24, 24, 3], 8, False, 0),
        ([CONV, {"type": "BatchNormalization"}], ["h", 24, 3], 8, True, 0),  # pieces of all sizes would come together
        ([{"type": "Dense", "units": 16}], [24, 24, 3], 8, True, 0),
        ([CONV, CONV, CONV], [32, 32, 3], 64, True, 0),  # by shares
    ],
)
def test_steps_that_convolve_have_them(
    monkeypatch: pytest.MonkeyPatch, layers: list[Any], shape: list[Any], batch: int, fast: bool, wanted: int
) -> None:
    made = []

    @contextmanager
    def counted(runtime: Any, options: Any) -> Any:
        made.append(options)
        with own_arena(runtime, options):
            yield

    monkeypatch.setattr(providers, "own_arena", counted)
    spec = {
        "inputs": {"x": {"shape": shape}},
        "layers": [*layers, {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": "sgd", "batch_size": batch},
    }
    trainer = Trainer(spec, threads=2, fast=fast)
    x = np.zeros((batch, *(size if isinstance(size, int) else 24 for size in shape)), np.float32)
    trainer.step(x, np.zeros((batch, 2), np.float32))
    trainer.predict(x)
    assert len(made) == wanted
