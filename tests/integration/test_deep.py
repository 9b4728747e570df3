"""Networks of thousands of layers compile in linear time and do not exhaust Python's stack."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.tuning.cpu.memory.pack_weights import pack_weights

TRAINING = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam"}


def chain(count: int) -> dict[str, Any]:
    """Returns the spec of a chain of layers without blocks."""
    layers = [{"type": "Dense", "units": 4}, {"type": "ReLU"}] * (count // 2)
    last = {"type": "Dense", "name": "out", "units": 3, "activation": "softmax"}
    return {"inputs": {"x": {"shape": [4]}}, "layers": [*layers, last], "training": TRAINING}


def residual(count: int) -> dict[str, Any]:
    """Returns the spec of repeated residual blocks."""
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


def augmented(count: int) -> dict[str, Any]:
    """Returns the spec of a chain of augmentation layers and layers that training does not change."""
    layers = [{"type": "RandomFlip"}, {"type": "ReLU"}] * (count // 2)
    head = [{"type": "Flatten"}, {"type": "Dense", "units": 3, "activation": "softmax"}]
    return {"inputs": {"x": {"shape": [4, 4, 2]}}, "layers": [*layers, *head], "training": TRAINING}


def compile_model(spec: dict[str, Any]) -> None:
    jsonnx.compile(spec).to_bytes()


def summarize(spec: dict[str, Any]) -> None:
    jsonnx.compile(spec).summary()


def build_training_model(spec: dict[str, Any]) -> None:
    plan = plan_training(check_spec(spec))
    assert plan.weight_names
    to_model_proto(pack_weights(plan.train)[0])


def count_calls(work: Callable[[Any], None], spec: dict[str, Any]) -> int:
    """Returns the number of function calls, including built-in functions: a measure of time without noise."""
    profile = cProfile.Profile()
    profile.runcall(work, spec)
    stats: Any = pstats.Stats(profile)
    return int(stats.total_calls)


@pytest.mark.costly(3)
@pytest.mark.parametrize("network", [chain, residual])
@pytest.mark.parametrize("work", [compile_model, summarize, build_training_model])
def test_work_is_linear_in_the_number_of_layers(
    work: Callable[[Any], None], network: Callable[[int], dict[str, Any]]
) -> None:
    count_calls(work, network(8))  # caches are filled
    assert count_calls(work, network(500)) < 11 * count_calls(work, network(50))


def test_checks_of_augmentation_layers_are_linear_in_their_number() -> None:
    count_calls(check_spec, augmented(8))  # caches are filled
    assert count_calls(check_spec, augmented(500)) < 11 * count_calls(check_spec, augmented(50))


@pytest.mark.slow
def test_ten_thousand_layers_compile_and_run() -> None:
    model = jsonnx.compile(chain(9_998))
    assert len(model.rows()) == 9_999
    probabilities = model.session().run(np.ones((1, 4), np.float32))["out"]
    assert probabilities.sum() == pytest.approx(1)


def test_a_step_of_a_thousand_layers_changes_the_weights() -> None:
    trainer = jsonnx.Trainer(chain(1000))
    before = trainer.weights()["out/bias"]
    metrics = trainer.step(np.ones((2, 4), np.float32), np.array([0, 1]))
    assert np.isfinite(metrics["loss"])
    assert (trainer.weights()["out/bias"] != before).any()
