"""Networks of thousands of layers: in linear time, and no deeper than Python's stack."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.tuning.cpu.memory.pack_weights import pack_weights

TRAINING = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"}


def chain(count: int) -> dict[str, Any]:
    """Layers written out, one behind the other."""
    layers = [{"type": "Dense", "units": 4}, {"type": "ReLU"}] * (count // 2)
    last = {"type": "Dense", "name": "out", "units": 3, "activation": "softmax"}
    return {"inputs": {"x": {"shape": [4]}}, "layers": [*layers, last], "training": TRAINING}


def residual(count: int) -> dict[str, Any]:
    """Blocks with a way around each."""
    layers = [
        {"type": "Conv2D", "name": "conv", "filters": 2, "kernel_size": 3, "padding": "same"},
        {"type": "BatchNormalization", "name": "norm"},
        {"type": "Add", "name": "sum", "from": ["x", "norm"]},
        {"type": "ReLU", "name": "relu"},
    ]
    return {
        "blocks": {"unit": {"inputs": ["x"], "layers": layers}},
        "inputs": {"x": {"shape": [4, 4, 2]}},
        "layers": [
            {"type": "unit", "name": "unit", "repeat": count // 4},
            {"type": "GlobalAveragePooling2D"},
            {"type": "Dense", "units": 3, "activation": "softmax"},
        ],
        "training": TRAINING,
    }


def compiled(spec: dict[str, Any]) -> None:
    jsonnx.compile(spec).to_bytes()


def summarized(spec: dict[str, Any]) -> None:
    jsonnx.compile(spec).summary()


def planned(spec: dict[str, Any]) -> None:
    plan = plan_training(check_spec(spec))
    assert plan.weight_names
    to_model_proto(pack_weights(plan.train)[0])


def calls(work: Callable[[Any], None], spec: dict[str, Any]) -> int:
    """The number of function calls, builtins included: a measure of time that does not depend on the machine."""
    profile = cProfile.Profile()
    profile.runcall(work, spec)
    stats: Any = pstats.Stats(profile)
    return int(stats.total_calls)


@pytest.mark.parametrize("network", [chain, residual])
@pytest.mark.parametrize("work", [compiled, summarized, planned])
def test_work_grows_with_the_layers_and_no_faster(
    work: Callable[[Any], None], network: Callable[[int], dict[str, Any]]
) -> None:
    calls(work, network(8))  # what is done once
    assert calls(work, network(1000)) < 11 * calls(work, network(100))


def test_ten_thousand_layers_compile() -> None:
    model = jsonnx.compile(chain(10_000))
    assert len(model.rows()) == 10_001
    probabilities = model.session().run(np.ones((1, 4), np.float32))["out"]
    assert probabilities.sum() == pytest.approx(1)


def test_thousands_of_layers_train_a_step() -> None:
    trainer = jsonnx.Trainer(chain(2000))
    before = trainer.weights()["out/bias"]
    figures = trainer.step(np.ones((2, 4), np.float32), np.array([0, 1]))
    assert np.isfinite(figures["loss"])
    assert (trainer.weights()["out/bias"] != before).any()
