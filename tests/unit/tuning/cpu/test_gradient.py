"""The gradient formulas for the CPU: what each limit selects, and that all formulas compute the same."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from jsonnx.gradient.tuning import GENERAL_FORMULAS, GradientTuning
from jsonnx.ir import Graph
from jsonnx.pipeline.train import plan_training
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from support.harness import run
from support.nchwc_graphs import random_feeds
from support.training_steps import training_graph

LONG = CPU_GRADIENTS.max_unrolled_steps + 8
"""Time steps from which on a Scan is emitted, unless the weights are large."""
LARGE = {"type": "LSTM", "units": 256}
"""A layer with large recurrent weights."""


def spec(layers: list[dict[str, Any]], shape: tuple[int, ...], batch_size: int = 32) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}, "batch_size": batch_size},
    }


def conv(filters: int) -> dict[str, Any]:
    return {"type": "Conv2D", "filters": filters, "kernel_size": 3, "padding": "same"}


POOL = {"type": "GlobalAveragePooling2D"}
CASES = {
    "max_batched_windows": spec([conv(4), POOL], (8, 8, 3)),
    "max_im2col_channels": spec([conv(16), POOL], (12, 12, 16)),
    "max_row_product_width": spec([{"type": "DepthwiseConv2D", "kernel_size": 3}, POOL], (12, 12, 4)),
    "convolves_volume_gradients": spec(
        [{"type": "Conv3D", "filters": 4, "kernel_size": 2}] * 2 + [{"type": "GlobalAveragePooling3D"}], (5, 5, 5, 2)
    ),
    "max_inputs_per_unit": spec([{"type": "LSTM", "units": 8}], (4, 8)),
    "max_small_batch": spec([{"type": "LSTM", "units": 8}], (4, 8), batch_size=4),
    "max_unrolled_steps": spec([{"type": "LSTM", "units": 8}], (4, 8)),
    "max_total_unrolled_steps": spec([LARGE], (LONG, 8)),
    "min_unroll_weights": spec([{**LARGE, "units": 32}], (LONG, 8)),
    "max_row_weights": spec([{"type": "LSTM", "units": 8}], (4, 8)),
    "max_unroll_weights": spec([LARGE], (LONG, 8)),
    "min_unroll_batch": spec([LARGE], (LONG, 8), CPU_GRADIENTS.min_unroll_batch - 1),
}
"""By limit: a network whose gradients it decides about."""


def operators(graph: Graph) -> list[tuple[str, str]]:
    return [(node.op, node.scope) for node in graph.nodes]


def count(graph: Graph, op: str) -> int:
    return sum(node.op == op for node in graph.nodes)


def test_every_limit_has_a_case() -> None:
    assert CASES.keys() == {field.name for field in fields(GradientTuning)}


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", CASES)
def test_every_limit_selects_another_formula_with_equal_results(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = training_graph(CASES[name])
    general = replace(CPU_GRADIENTS, **{name: getattr(GENERAL_FORMULAS, name)})
    monkeypatch.setattr(plan_training, "CPU_GRADIENTS", general)
    other_graph = training_graph(CASES[name])
    assert operators(graph) != operators(other_graph)
    feeds = random_feeds(graph, 2)
    expected = run(other_graph, feeds)
    for output, array in run(graph, feeds).items():
        largest = np.abs(expected[output]).max()
        np.testing.assert_allclose(array, expected[output], rtol=0, atol=1e-5 * largest, err_msg=output)


@pytest.mark.parametrize("layer", [LARGE, {"type": "SimpleRNN", "units": 512}], ids=["lstm", "rnn"])
def test_many_steps_are_unrolled_if_the_weights_are_large_but_not_larger_than_caches(layer: dict[str, Any]) -> None:
    small_layer, larger_layer = ({**layer, "units": int(layer["units"] * factor)} for factor in (0.5, 2.25))
    scans = [count(training_graph(spec([each], (LONG, 8))), "Scan") for each in (layer, small_layer, larger_layer)]
    assert scans == [0, 2, 2]


def test_the_unrolled_steps_of_all_layers_are_limited() -> None:
    """Otherwise preparing the first training step would take seconds."""
    max_steps = CPU_GRADIENTS.max_total_unrolled_steps // 2
    both_directions = {"type": "Bidirectional", "layer": LARGE}
    scans = [count(training_graph(spec([both_directions], (steps, 8))), "Scan") for steps in (max_steps, max_steps + 1)]
    assert scans == [0, 2]


def test_short_loops_do_not_count_towards_the_limit() -> None:
    short_loops = [{"type": "Bidirectional", "layer": {**LARGE, "return_sequences": True}}] * 2
    upsampling = {"type": "UpSampling1D", "size": 3}  # from 32 steps to 96
    step = training_graph(spec([*short_loops, upsampling, LARGE], (CPU_GRADIENTS.max_unrolled_steps, 8)))
    assert count(step, "Scan") == 0
