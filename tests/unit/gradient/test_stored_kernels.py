"""Large LSTMs multiply by their kernels as they are stored: the same gradients, without copies of weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph
from jsonnx.pipeline.train import plan_training
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from support.harness import run
from support.nchwc_graphs import random_feeds
from support.training_steps import training_graph

UNITS, FEATURES = 8, 5
SEQUENCES = {"return_sequences": True}


def lstm(**more: Any) -> dict[str, Any]:
    return {"type": "LSTM", "units": UNITS, **more}


NETWORKS: dict[str, tuple[list[dict[str, Any]], int]] = {
    "unrolled": ([lstm()], 6),
    "loop": ([lstm()], 40),
    "stacked": ([lstm(**SEQUENCES), lstm(**SEQUENCES)], 6),
    "without-bias": ([lstm(use_bias=False)], 40),
    "backwards": ([lstm(go_backwards=True, **SEQUENCES)], 6),
    "other-functions": ([lstm(activation="relu", recurrent_activation="hard_sigmoid")], 6),
    "both-ways": ([{"type": "Bidirectional", "layer": lstm()}], 6),
    "regularized": ([lstm(kernel_regularizer="l2", recurrent_constraint="non_neg")], 6),
    "tied": ([lstm(name="a", **SEQUENCES), {"type": "Dense", "units": FEATURES}, {"use": "a", "name": "b"}], 6),
    "initial-states": (
        [
            lstm(name="a", return_state=True),
            {**lstm(name="b"), "from": ["x", "a.state_h", "a.state_c"]},
        ],
        6,
    ),
}


def graph_of(name: str, monkeypatch: pytest.MonkeyPatch, max_row_weights: int) -> Graph:
    layers, time = NETWORKS[name]
    monkeypatch.setattr(plan_training, "CPU_GRADIENTS", replace(CPU_GRADIENTS, max_row_weights=max_row_weights))
    return training_graph(
        {
            "inputs": {"x": {"shape": [time, FEATURES]}},
            "layers": [*layers, {"type": "Dense", "units": 3}],
            "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}, "batch_size": 8},
        }
    )


def copies_of_kernels(graph: Graph) -> list[str]:
    """The operators that move the elements of the kernels and of their gradients."""
    moving = ("Concat", "Split", "Transpose")
    return [
        node.op
        for node in graph.nodes
        if node.op in moving and any(x is not None and _is_kernel(x.shape) for x in (*node.inputs, *node.outputs))
    ]


def _is_kernel(shape: tuple[Any, ...]) -> bool:
    return set(shape) <= {1, UNITS, FEATURES, 4 * UNITS} and len(shape) > 1 and shape.count(1) == len(shape) - 2


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_reordered_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, reordered = (graph_of(name, monkeypatch, most) for most in (0, 1 << 20))
    feeds = random_feeds(stored, 3)
    expected = run(reordered, feeds)
    for output, array in run(stored, feeds).items():
        largest = np.abs(expected[output]).max()
        np.testing.assert_allclose(array, expected[output], rtol=0, atol=1e-5 * largest, err_msg=output)


@pytest.mark.parametrize("name", ["unrolled", "loop", "without-bias", "backwards"])
def test_kernels_and_their_gradients_are_not_copied(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copies_of_kernels(graph_of(name, monkeypatch, 0)) == []
    assert len(copies_of_kernels(graph_of(name, monkeypatch, 1 << 20))) >= 4
