"""Summands of convolutions by blocks that are read later are copied by all threads; nothing else changes."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
from harness import assert_same_steps
from jsonnx.ir import Graph
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.runtime.kernel_probes import nchwc_block_size
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.nchwc.copy_summands import MIN_COPY_ELEMENTS, copy_live_summands
from jsonnx.tuning.cpu.target import Target

BLOCK = 16
SAMPLES = 32
SIZE = ceil((MIN_COPY_ELEMENTS / SAMPLES / BLOCK) ** 0.5)
"""Of an image whose batch has just as many elements as are copied by all threads."""

same = {"type": "Conv2D", "filters": BLOCK, "kernel_size": 3, "padding": "same"}


def residual(size: int = SIZE, batch: int = SAMPLES) -> dict[str, Any]:
    """A block whose input is added to its output, and read on the way back."""
    return {
        "inputs": {"x": {"shape": [size, size, 3]}},
        "layers": [
            {**same, "name": "stem", "activation": "relu"},
            {**same, "name": "first", "activation": "relu"},
            {**same, "name": "second"},
            {"type": "Add", "from": ["second", "stem"]},
            {"type": "ReLU"},
            {"type": "GlobalAveragePooling2D"},
            {"type": "Dense", "units": 3},
        ],
        "training": {"loss": "mse", "optimizer": "sgd", "batch_size": batch},
    }


def steps(document: dict[str, Any]) -> tuple[Graph, Graph]:
    """The graph of a step in blocks, without copies and with them."""
    plain = to_nchwc(plan_training(check_spec(document)).train, Target(block_size=BLOCK, expected_batch=SAMPLES))
    return plain, copy_live_summands(plain, Target(usual_batch=SAMPLES))


def test_a_summand_that_is_read_later_is_copied_for_one_convolution() -> None:
    plain, made = steps(residual())
    known = {output for node in plain.nodes for output in node.outputs}
    copies = [node for node in made.nodes if not known.intersection(node.outputs)]
    assert len(copies) == len(made.nodes) - len(plain.nodes) == 1
    (copy,) = copies
    (reader,) = (node for node in made.nodes if copy.outputs[0] in node.inputs)
    assert reader.op == "Conv"
    assert reader.inputs[3] is copy.outputs[0]


def test_one_that_nobody_reads_later_stays() -> None:
    """On the way back: a shortcut's gradient, to which that of the branch is added."""
    _, made = steps(residual())
    last = {x: index for index, node in enumerate(made.nodes) for x in node.inputs}
    sums = [(index, node) for index, node in enumerate(made.nodes) if node.op == "Conv" and node.input(3) is not None]
    assert len(sums) > 1
    assert all(last[node.inputs[3]] == index for index, node in sums)


def test_a_small_one_stays() -> None:
    plain, made = steps(residual(SIZE - 4))
    assert made.nodes == plain.nodes


@pytest.mark.skipif(nchwc_block_size() == 1, reason="no blocked kernels here")
def test_same_steps() -> None:
    document = residual()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((SAMPLES, SIZE, SIZE, 3), np.float32)
    assert_same_steps(document, x, rng.standard_normal((SAMPLES, 3), np.float32))
