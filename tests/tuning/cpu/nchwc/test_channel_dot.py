"""Sums over the product of two images as a convolution: where, and that they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_same_steps
from jsonnx.ir import Graph, Node, Subgraph
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.runtime.kernel_probes import nchwc_block_size
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target

BLOCK = nchwc_block_size()
NORMALIZED = [
    {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same", "use_bias": False},
    {"type": "BatchNormalization"},
    {"type": "Activation", "activation": "tanh"},
]
PARTLY = [{**NORMALIZED[0], "filters": 20}, *NORMALIZED[1:]]


def spec(layers: list[dict[str, Any]], size: tuple[int, int] = (7, 5)) -> dict[str, Any]:
    ends = [{"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 3}]
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}}
    return {"inputs": {"x": {"shape": [*size, 16]}}, "layers": [*layers, *ends], "training": training}


def step(document: dict[str, Any], samples: int | None, block: int = 16) -> Graph:
    return to_nchwc(plan_training(check_spec(document)).train, Target(block_size=block, expected_batch=samples))


def whole(graph: Graph, size: tuple[int, int] = (7, 5)) -> list[Node]:
    """Convolutions of which one image is the filter of the other, in ways that are taken."""
    bodies = [x for node in graph.nodes for x in node.attributes.values() if isinstance(x, Subgraph)]
    nodes = [node for body in bodies for node in body.nodes]
    return [node for node in nodes if node.op == "Conv" and node.attribute("kernel_shape") == list(size)]


def images(graph: Graph, size: tuple[int, int] = (7, 5)) -> int:
    """Products as large as images, made at every step."""
    return sum(node.op == "Mul" and node.outputs[0].shape[2:] == size for node in graph.nodes)


@pytest.mark.parametrize("layers", [NORMALIZED, PARTLY], ids=["whole-blocks", "filled-blocks"])
def test_gain_of_a_normalization(layers: list[dict[str, Any]]) -> None:
    found, other = step(spec(layers), 8), step(spec(layers), None)
    assert len(whole(found)) == 1
    assert {node.attribute("group") for node in whole(found)} == {8 * (16 if layers is NORMALIZED else 32)}
    assert not whole(other)
    assert images(other) - images(found) == 1


@pytest.mark.skipif(BLOCK == 1, reason="no blocked kernels here")
@pytest.mark.parametrize("samples", [1, 5, 16])
@pytest.mark.parametrize("layers", [NORMALIZED * 2, PARTLY * 2, [*NORMALIZED, *PARTLY]])
@pytest.mark.parametrize("size", [(7, 5), (1, 1), (17, 12)])
def test_same_steps(layers: list[dict[str, Any]], samples: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(samples)
    x = rng.standard_normal((samples, *size, 16), np.float32)
    assert_same_steps(spec(layers, size), x, rng.standard_normal((samples, 3), np.float32))
