"""Sessions with a memory arena of their own: which have one, when it is freed, and older versions of onnxruntime."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution.step_runners import MAX_OVERSIZED_STEPS
from jsonnx.runtime.providers import providers
from jsonnx.runtime.providers.memory_arena import MIN_ONNXRUNTIME_VERSION, own_arena
from support.harness import record_session_configs

CONV = {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same"}
NORM = {"type": "BatchNormalization"}
STATM = Path("/proc/self/statm")
needs_statm = pytest.mark.skipif(not STATM.exists(), reason="the system does not tell what a process takes")

TAKEN = """
import sys
from pathlib import Path

import numpy as np
from jsonnx.backend import serialize, to_model_proto
from jsonnx.ir import Builder
from jsonnx.runtime.providers import providers
from jsonnx.core.types import TensorType

SIDE = 4200  # a square matrix of floats has a little more bytes than a power of two


def taken():
    return np.array(Path("/proc/self/statm").read_text().split()[:2], int) * 4096 / (SIDE * SIDE * 4)


g = Builder()
x = g.input("x", TensorType("float32", (SIDE, 1)))
large = g.Exp(g.MatMul(x, g.Transpose(x, perm=[1, 0])))
model = serialize(to_model_proto(g.graph({"y": g.ReduceSum(large, keepdims=0)})))
feeds = {"x": np.zeros((SIDE, 1), np.float32)}
providers.create_session(model, providers.resolve_provider("cpu"), 1, memory_pattern=False).run(None, feeds)
before = taken()
config = providers.SessionConfig(own_arena=sys.argv[1] == "exact")
session = providers.create_session(model, providers.resolve_provider("cpu"), 1, config, memory_pattern=False)
assert session.run(None, feeds)[0] == SIDE * SIDE
running = taken()
del session
print(*running - before, *taken() - before)
"""


@needs_statm
@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < MIN_ONNXRUNTIME_VERSION,
    reason="this onnxruntime cannot replace a registered arena",
)
@pytest.mark.parametrize("exact", [True, False])
def test_an_own_arena_grows_by_the_requested_sizes_and_is_freed_with_the_session(exact: bool) -> None:
    """Address space and memory, in units of the large tensor, while the session exists and afterwards."""
    command = [sys.executable, "-c", TAKEN, "exact" if exact else "plain"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    addresses, memory, addresses_left, memory_left = map(float, printed.split())
    assert 0.9 < memory < 2.2
    assert (addresses < 2.2) if exact else (addresses > 2.5)
    assert max(addresses_left, memory_left) < 0.5


def test_sessions_with_own_arenas_are_independent() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (64, 64)))
    model = serialize(to_model_proto(g.graph({"y": g.Neg(g.MatMul(x, x))})))
    array = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    exact = providers.SessionConfig(own_arena=True)
    sessions = [providers.create_session(model, providers.resolve_provider("cpu"), 1, exact) for _ in range(3)]

    def check(session: Any) -> None:
        np.testing.assert_allclose(session.run(None, {"x": array})[0], -array @ array, rtol=1e-4, atol=1e-4)

    for index in (0, 1, 2, 0):
        check(sessions[index])
    session_reference = weakref.ref(sessions.pop(0))
    gc.collect()
    assert session_reference() is None
    for index in (0, 1):
        check(sessions[index])


@pytest.mark.parametrize(("version", "registration_count"), [("1.22.0", 0), ("1.9.1", 0), ("1.24.1", 1), ("2.0", 1)])
def test_older_versions_of_onnxruntime_create_plain_sessions(version: str, registration_count: int) -> None:
    registered_options: list[Any] = []

    def register(environment: Any, options: Any) -> None:
        registered_options.append(options)
        raise RuntimeError("An allocator for this device has already been registered for sharing.")

    runtime = SimpleNamespace(
        __version__=version,
        OrtMemoryInfo=lambda *_: None,
        OrtAllocatorType=SimpleNamespace(ORT_ARENA_ALLOCATOR=1),
        OrtMemType=SimpleNamespace(DEFAULT=0),
        OrtArenaCfg=dict,
        create_and_register_allocator=register,
    )
    entries: dict[str, str] = {}
    options: Any = SimpleNamespace(add_session_config_entry=entries.__setitem__)
    with own_arena(runtime, options):
        pass
    assert len(registered_options) == registration_count
    assert not entries


def image_spec(layers: list[Any], shape: list[Any], batch: int) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": shape}},
        "layers": [*layers, {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 2}],
        "training": {"loss": "mse", "optimizer": "sgd", "batch_size": batch},
    }


@pytest.mark.parametrize(
    ("layers", "shape", "batch", "fast", "arena_count"),
    [
        ([CONV, NORM], [24, 24, 3], 8, True, 1),
        ([CONV, NORM], [24, 24, 3], 8, False, 0),
        ([CONV, NORM], ["h", 24, 3], 8, True, 0),  # sizes vary with the height, too
        ([{"type": "Dense", "units": 16}], [24, 24, 3], 8, True, 0),
        ([CONV, CONV, CONV], [32, 32, 3], 64, True, 0),  # data-parallel
    ],
)
def test_steps_with_convolutions_have_an_own_arena(
    monkeypatch: pytest.MonkeyPatch, layers: list[Any], shape: list[Any], batch: int, fast: bool, arena_count: int
) -> None:
    configs = record_session_configs(monkeypatch)
    trainer = Trainer(image_spec(layers, shape, batch), threads=2, fast=fast)
    x = np.zeros((batch, *(size if isinstance(size, int) else 24 for size in shape)), np.float32)
    trainer.step(x, np.zeros((batch, 2), np.float32))
    trainer.predict(x)
    assert sum(config.own_arena for config in configs) == arena_count


def test_a_step_with_a_larger_batch_loses_its_own_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until larger batches come many times in a row, or in a fit."""
    configs = record_session_configs(monkeypatch)
    trainer = Trainer(image_spec([CONV, NORM], [24, 24, 3], 8), threads=2)
    rng = np.random.default_rng(0)

    def batch(samples: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(samples, 24, 24, 3)).astype(np.float32)
        return x, np.zeros((samples, 2), np.float32)

    for samples in (8, 3, 8):
        trainer.step(*batch(samples))
    assert [config.own_arena for config in configs] == [True]
    for samples in (9, 10, 8, 30, 9):
        trainer.step(*batch(samples))
    assert [config.own_arena for config in configs] == [True, False]
    for _ in range(MAX_OVERSIZED_STEPS + 1):
        trainer.step(*batch(12))
    assert [config.own_arena for config in configs] == [True, False, True]
    trainer.step(*batch(13))
    trainer.fit(*batch(40), epochs=1, batch_size=16)
    assert [config.own_arena for config in configs] == [True, False, True, False, True]


@pytest.mark.slow
@needs_statm
def test_memory_does_not_grow_with_the_number_of_batch_sizes() -> None:
    trainer = Trainer(image_spec([{**CONV, "filters": 32}, NORM, CONV], [32, 32, 3], 64), threads=2)
    images = np.random.default_rng(0).normal(size=(64, 32, 32, 3)).astype(np.float32)

    def memory() -> int:
        return int(STATM.read_text().split()[1]) * 4096

    def step(samples: int) -> None:
        trainer.step(images[:samples], np.zeros((samples, 2), np.float32))

    for samples in (1, 64, 1):
        step(samples)
    before = memory()
    for samples in range(2, 65):
        step(samples)
        step(1)
    assert memory() - before < 60e6
