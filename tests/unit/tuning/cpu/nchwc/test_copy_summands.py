"""Copies of the summands of NCHWc convolutions that a later node reads; nothing else changes."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from jsonnx.ir import Graph
from jsonnx.tuning.cpu.nchwc.copy_summands import MIN_COPY_ELEMENTS, SUMMAND_INDEX, copy_live_summands
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_steps
from support.nchwc_graphs import BLOCK, nchwc_training_graph, needs_nchwc_kernels

SAMPLES = 32
SIZE = ceil((MIN_COPY_ELEMENTS / SAMPLES / BLOCK) ** 0.5)
"""Height and width of an image whose batch has just as many elements as are copied."""

CONV = {"type": "Conv2D", "filters": BLOCK, "kernel_size": 3, "padding": "same"}


def residual_spec(size: int = SIZE) -> dict[str, Any]:
    """A residual block: its input is added to its output, and the backward pass reads it."""
    return {
        "inputs": {"x": {"shape": [size, size, 3]}},
        "layers": [
            {**CONV, "name": "stem", "activation": "relu"},
            {**CONV, "name": "first", "activation": "relu"},
            {**CONV, "name": "second"},
            {"type": "Add", "from": ["second", "stem"]},
            {"type": "ReLU"},
            {"type": "GlobalAveragePooling2D"},
            {"type": "Dense", "units": 3},
        ],
        "training": {"loss": "mse", "optimizer": "sgd", "batch_size": SAMPLES},
    }


def without_and_with_copies(size: int = SIZE) -> tuple[Graph, Graph]:
    """The NCHWc graph of a training step before and after the pass."""
    graph = nchwc_training_graph(residual_spec(size), SAMPLES)
    return graph, copy_live_summands(graph, Target(usual_batch=SAMPLES))


def test_a_summand_that_is_read_later_is_copied_for_its_convolution() -> None:
    graph, result = without_and_with_copies()
    outputs = {output for node in graph.nodes for output in node.outputs}
    (copy,) = (node for node in result.nodes if not outputs.intersection(node.outputs))
    (reader,) = (node for node in result.nodes if copy.outputs[0] in node.inputs)
    assert reader.op == "Conv"
    assert reader.inputs[SUMMAND_INDEX] is copy.outputs[0]


def test_every_summand_is_dead_after_its_convolution() -> None:
    """Those of the backward pass already are: the shortcut's gradient has no other use."""
    _, result = without_and_with_copies()
    last_uses = {x: index for index, node in enumerate(result.nodes) for x in node.inputs}
    summands = [
        (index, node.input(SUMMAND_INDEX))
        for index, node in enumerate(result.nodes)
        if node.op == "Conv" and node.input(SUMMAND_INDEX) is not None
    ]
    assert len(summands) > 1
    assert all(last_uses[summand] == index for index, summand in summands)


def test_a_small_summand_is_not_copied() -> None:
    graph, result = without_and_with_copies(SIZE - 4)
    assert result.nodes == graph.nodes


@needs_nchwc_kernels
def test_steps_compute_the_same() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, SIZE, SIZE, 3), np.float32)
    assert_same_steps(residual_spec(), x, rng.standard_normal((SAMPLES, 3), np.float32))
