"""Small weights packed into vectors: which weights share a vector, and that steps compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.providers.random import draw_initial_weights
from jsonnx.tuning.cpu.memory import pack_weights as pack_weights_module
from jsonnx.tuning.cpu.memory.pack_weights import PackedVectors, pack_weights
from support.optimizer_names import OPTIMIZER_NAMES
from support.training_steps import StepResults, assert_same_steps, run_steps, training_graph

LAYERS = [
    {"type": "Dense", "name": "first", "units": 7, "activation": "relu"},
    {"type": "Dense", "name": "second", "units": 7, "kernel_regularizer": "l2"},
    {"type": "BatchNormalization", "name": "norm"},
    {"type": "Dense", "name": "bounded", "units": 5, "kernel_constraint": "non_neg"},
    {"type": "Dense", "name": "last", "units": 3},
]


def spec(optimizer: Any = "adam", layers: list[dict[str, Any]] = LAYERS, **training: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [6]}},
        "layers": layers,
        "training": {"loss": "mse", "optimizer": optimizer, **training},
    }


def pack(variables: dict[str, np.ndarray], packed_vectors: PackedVectors) -> dict[str, np.ndarray]:
    """The variables of a packed step, from those of the plain one."""
    packed = dict(variables)
    for vector, members in packed_vectors.items():
        packed[vector] = np.concatenate([packed.pop(member).ravel() for member in members])
    return packed


def unpack(
    variables: dict[str, np.ndarray], packed_vectors: PackedVectors, shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The variables of the plain step, which have these shapes, from those of the packed one."""
    unpacked = dict(variables)
    for vector, members in packed_vectors.items():
        ends = np.cumsum([np.prod(shapes[member], dtype=int) for member in members])
        for member, elements in zip(members, np.split(unpacked.pop(vector), ends[:-1]), strict=True):
            unpacked[member] = elements.reshape(shapes[member])
    return unpacked


def assert_packed_steps_compute_the_same(document: dict[str, Any]) -> None:
    plan = plan_training(check_spec(document), seed=5)
    graph, packed_vectors = pack_weights(plan.train)
    assert packed_vectors
    rng = np.random.default_rng(3)
    batches = [(rng.standard_normal((8, 6), np.float32), rng.standard_normal((8, 3), np.float32)) for _ in range(4)]
    initial = draw_initial_weights(plan.train, plan.seed)
    losses, variables = run_steps(graph, plan, batches, pack(initial, packed_vectors))
    unpacked = unpack(variables, packed_vectors, {name: array.shape for name, array in initial.items()})
    expected = run_steps(plan.train, plan, batches, initial)
    assert_same_steps(StepResults(losses, unpacked), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in OPTIMIZER_NAMES if name not in ("Adafactor", "Lamb")])
def test_packed_steps_of_every_optimizer_compute_the_same(name: str) -> None:
    assert_packed_steps_compute_the_same(spec(name))


@pytest.mark.parametrize(
    "document",
    [
        spec({"type": "adam", "amsgrad": True}),
        spec({"type": "adam", "clipnorm": 0.1}),
        spec({"type": "adam", "global_clipnorm": 0.1}),
        spec({"type": "sgd", "clipvalue": 0.01, "momentum": 0.9, "nesterov": True}),
        spec({"type": "rmsprop", "centered": True, "momentum": 0.5, "weight_decay": 0.1}),
        spec(learning_rates={"second": 0.5, "last": 2.0}),
        spec(freeze=["first"]),
    ],
    ids=["amsgrad", "clipnorm", "global_clipnorm", "nesterov", "centered", "rates", "freeze"],
)
def test_packed_steps_with_options_of_updates_compute_the_same(document: dict[str, Any]) -> None:
    assert_packed_steps_compute_the_same(document)


def test_weights_with_equal_updates_share_a_vector() -> None:
    plain = training_graph(spec(learning_rates={"last": 2.0}))
    graph, packed_vectors = pack_weights(plain)
    vectors = [set(members) for members in packed_vectors.values()]
    layers = {
        "first": ("kernel", "bias"),
        "second": ("kernel", "bias"),
        "norm": ("gamma", "beta"),
        "bounded": ("bias",),
    }
    assert {f"{layer}/{weight}" for layer, weights in layers.items() for weight in weights} in vectors
    assert {"last/kernel", "last/bias"} in vectors  # they have another learning rate
    assert "bounded/kernel" in graph.updates  # its update ends with a constraint
    assert not set().union(*vectors) & {*graph.parameters, *graph.states, *graph.updates}
    assert len(graph.nodes) < len(plain.nodes)


def test_weights_whose_update_is_not_elementwise_are_not_packed() -> None:
    """Lamb divides by the norm of a weight."""
    plain = training_graph(spec("Lamb"))
    graph, packed_vectors = pack_weights(plain)
    assert not packed_vectors
    assert graph.nodes == plain.nodes


def test_large_weights_are_not_packed_and_vectors_are_bounded() -> None:
    layers = [{"type": "Dense", "units": units} for units in (6, 64, 64, *[48] * 30, 65, 65, 3)]
    graph, packed_vectors = pack_weights(training_graph(spec(layers=layers)))
    assert all(graph.updates[name].type.elements <= pack_weights_module.MAX_VECTOR_ELEMENTS for name in packed_vectors)
    assert len([name for name in packed_vectors if "optimizer" not in name]) > 1
    assert max(value.type.elements for name, value in graph.parameters.items() if name not in packed_vectors) == 65 * 65
