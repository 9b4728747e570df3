"""A runner for each batch size, for providers that need all shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.core.providers.known_providers import PROVIDERS
from jsonnx.core.types import BATCH, TensorType
from jsonnx.runtime.execution import graph_loader
from jsonnx.runtime.providers.providers import Provider
from jsonnx.runtime.providers.static_shapes import MAX_RUNNERS, StaticShapeRunner, needs_static_shapes

OPENVINO, CPU = Provider(PROVIDERS["openvino"]), Provider(PROVIDERS["cpu"])
SPEC = {
    "inputs": {"x": {"shape": [13, 13, 32]}},
    "layers": [
        {"type": "Conv2D", "filters": 64, "kernel_size": 3},
        {"type": "Conv2D", "filters": 64, "kernel_size": 3},
        {"type": "GlobalAveragePooling2D"},
    ],
    "training": {"loss": "mse", "optimizer": "adam"},
}


def test_the_gradient_of_a_convolution_needs_static_shapes_on_openvino():
    plan = Trainer(SPEC).plan
    assert needs_static_shapes(plan.train, OPENVINO)
    assert not needs_static_shapes(plan.train, CPU)
    assert not needs_static_shapes(plan.evaluate, OPENVINO)


def test_a_runner_is_built_for_each_size_and_the_last_few_are_kept():
    built: list[int] = []

    def build(sizes: Any) -> Any:
        built.append(sizes["batch"])
        return lambda feeds: {"loss": feeds["x"].sum()}

    runner = StaticShapeRunner({"x": TensorType("float32", (BATCH,))}, build)
    for size in (1, 2, 1, 2):
        assert runner({"x": np.ones(size)}) == {"loss": size}
    assert built == [1, 2]
    for size in range(3, 3 + MAX_RUNNERS):
        runner({"x": np.ones(size)})
    runner({"x": np.ones(1)})
    assert built[-1] == 1


def test_steps_of_static_sizes_equal_others(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    batches = [
        [rng.normal(size=shape).astype(np.float32) for shape in ((size, 13, 13, 32), (size, 64))] for size in (4, 3, 4)
    ]
    usual = Trainer(SPEC, fast=False, seed=0)
    losses = [usual.step(*batch)["loss"] for batch in batches]
    monkeypatch.setattr(graph_loader, "needs_static_shapes", lambda graph, provider: True)
    static = Trainer(SPEC, fast=False, seed=0)
    np.testing.assert_allclose([static.step(*batch)["loss"] for batch in batches], losses, rtol=1e-6)
    assert isinstance(static.plan_trainer.engine.step_runners.runner, StaticShapeRunner)
