"""Dot products of two images per channel as a depthwise convolution: where, and that they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Node
from jsonnx.tuning.cpu.nchwc.channel_dot import channel_dot
from support.harness import assert_same_steps
from support.nchwc_graphs import (
    BLOCK,
    BLOCKS,
    assert_same_results,
    evaluate,
    nchwc_context,
    nchwc_nodes,
    nchwc_training_graph,
    needs_nchwc_kernels,
)
from support.training_steps import training_graph

SIZE = (7, 5)
NORMALIZED = [
    {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same", "use_bias": False},
    {"type": "BatchNormalization"},
    {"type": "Activation", "activation": "tanh"},
]
PADDED = [{**NORMALIZED[0], "filters": 20}, *NORMALIZED[1:]]


def spec(layers: list[dict[str, Any]], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    head = [{"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 3}]
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}}
    return {"inputs": {"x": {"shape": [*size, 16]}}, "layers": [*layers, *head], "training": training}


def dot_convolutions(graph: Graph) -> list[Node]:
    """Convolutions of which one image is the filter of the other."""
    return [node for node in nchwc_nodes(graph) if node.attribute("kernel_shape") == list(SIZE)]


def image_products(graph: Graph) -> int:
    """Products of images that are stored at every step."""
    return sum(node.op == "Mul" and node.outputs[0].shape[2:] == SIZE for node in graph.nodes)


@pytest.mark.parametrize(("layers", "channels"), [(NORMALIZED, 16), (PADDED, 32)], ids=["full-blocks", "padded-blocks"])
def test_the_gradient_of_gamma_is_a_convolution_for_the_expected_batch(
    layers: list[dict[str, Any]], channels: int
) -> None:
    specialised, generic = nchwc_training_graph(spec(layers), 8), nchwc_training_graph(spec(layers))
    (convolution,) = dot_convolutions(specialised)
    assert convolution.attribute("group") == 8 * channels
    assert not dot_convolutions(generic)
    assert image_products(generic) - image_products(specialised) == 1


@pytest.mark.parametrize("samples", [4, 3], ids=["expected-batch", "another-batch"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("layers", [NORMALIZED, PADDED], ids=["full-blocks", "padded-blocks"])
def test_results_are_those_of_the_plain_graph(layers: list[dict[str, Any]], block: int, samples: int) -> None:
    document = spec(layers)
    graph = nchwc_training_graph(document, 4, block)
    assert_same_results(graph, training_graph(document), block, samples, tolerance=1e-4)


@pytest.mark.parametrize("kind", ["product", "square", "one-position", "unknown-batch", "second-use"])
def test_sums_over_products_of_two_images_without_another_use(kind: str) -> None:
    size = (1, 1) if kind == "one-position" else SIZE
    g = Builder()
    x, y = (g.input(name, TensorType("float32", (BATCH, BLOCK, *size))) for name in "xy")
    product = g.Mul(x, y)
    outputs = {"sum": g.ReduceSum(product, [0, 2, 3])} | ({"product": product} if kind == "second-use" else {})
    ctx = nchwc_context(g.graph(outputs), None if kind == "unknown-batch" else 3)
    factors = [ctx.to_blocked(x)] * 2 if kind == "square" else [ctx.to_blocked(x), ctx.to_blocked(y)]
    ctx.set_factors(product, factors)
    sums = channel_dot(ctx, product)
    assert (sums is not None) == (kind == "product")
    if sums is None:
        return
    for samples in (3, 4):
        rng = np.random.default_rng(0)
        feeds = {name: rng.normal(size=(samples, BLOCK, *size)).astype(np.float32) for name in "xy"}
        actual = evaluate(ctx.g.graph({"sums": sums}), feeds, BLOCK)["sums"]
        expected = (feeds["x"] * feeds["y"]).sum(axis=(2, 3), keepdims=True)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.costly(6)
@needs_nchwc_kernels
@pytest.mark.parametrize("samples", [1, 5, 16])
@pytest.mark.parametrize("layers", [NORMALIZED * 2, PADDED * 2, [*NORMALIZED, *PADDED]])
@pytest.mark.parametrize("size", [(7, 5), (1, 1), (17, 12)])
def test_steps_compute_the_same(layers: list[dict[str, Any]], samples: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(samples)
    x = rng.standard_normal((samples, *size, 16), np.float32)
    assert_same_steps(spec(layers, size), x, rng.standard_normal((samples, 3), np.float32))
