"""Repeated updates: copied nodes give the model that emitted nodes give."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import TensorType
from jsonnx.gradient import repeated_updates
from jsonnx.gradient.training_step import training_step
from jsonnx.ir import Builder, Graph
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.training.optimizers.optimizers import OPTIMIZERS
from jsonnx.training.weights.initializers import INITIALIZERS
from support.optimizer_names import OPTIMIZER_NAMES

LAYERS = 4


def step(optimizer: Any) -> Graph:
    """The step of a chain of layers, whose weights have two shapes."""
    g = Builder(training=True)
    x = g.input("x", TensorType("float32", (2, 3)))
    for layer in range(LAYERS):
        with g.scope(f"layer{layer}", ("layers", layer)):
            kernel = g.param("kernel", (3, 3), INITIALIZERS.by_name["glorot_uniform"]())
            x = g.Add(g.MatMul(x, kernel), g.param("bias", (3,), INITIALIZERS.by_name["zeros"]()))
    return training_step(g.graph({"loss": g.ReduceMean(x, keepdims=0)}), optimizer)


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_a_step_with_copied_updates_is_the_emitted_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = OPTIMIZERS.by_name[name](weight_decay=0.01, use_ema=True, ema_momentum=0.9)
    copied = step(optimizer)
    monkeypatch.setattr(repeated_updates, "EMITTED_UPDATES", 2 * LAYERS)
    emitted = step(optimizer)
    assert [(node.op, node.scope, node.path) for node in copied.nodes] == [
        (node.op, node.scope, node.path) for node in emitted.nodes
    ]
    assert serialize(to_model_proto(canonicalize(copied))) == serialize(to_model_proto(canonicalize(emitted)))


def test_updates_of_equal_types_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    adam = OPTIMIZERS.by_name["adam"]
    update = adam.update

    def counted(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return update(self, *arguments)

    monkeypatch.setattr(adam, "update", counted)
    step(adam())
    assert calls == 2 * repeated_updates.EMITTED_UPDATES
