"""Convolutions as products with the stored weights: the same results, for layers with more weights than positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.tuning.cpu.nchwc import conv_as_product
from support.nchwc_graphs import (
    BLOCKS,
    all_nodes,
    assert_same_results,
    conv,
    image_spec,
    nchwc_nodes,
    nchwc_training_graph,
    needs_nchwc_kernels,
)
from support.training_steps import training_graph

SHAPE = (7, 6, 16)
NORMALIZED, RELU = {"type": "BatchNormalization"}, {"type": "ReLU"}
NETWORKS = {
    "same": [conv(16), RELU, conv(32), RELU],
    "valid": [conv(16, [3, 2], padding="valid"), conv(16, 2, padding="valid")],
    "one-tap": [conv(16), conv(32, 1), conv(16, 1, strides=2)],
    "strides": [conv(16, strides=2), conv(32, 4, strides=[3, 1])],
    "dilations": [conv(16, dilation_rate=2), conv(16, [2, 3], dilation_rate=[1, 2])],
    "normalized": [conv(16, use_bias=False), NORMALIZED, RELU, conv(16, use_bias=False), NORMALIZED, RELU],
    "residual": [{**conv(16), "name": "a"}, conv(16), {**conv(16), "name": "b"}, {"type": "Add", "from": ["a", "b"]}],
}


@pytest.fixture
def many_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers are products, too."""
    monkeypatch.setattr(conv_as_product, "MIN_WEIGHTS", 1)
    monkeypatch.setattr(conv_as_product, "MAX_POSITIONS_PER_CHANNEL", 1000)
    monkeypatch.setattr(conv_as_product, "MAX_GRADIENT_POSITIONS_PER_CHANNEL", 1000)


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_those_of_the_plain_graph(name: str, block: int, samples: int, many_positions: None) -> None:
    spec = image_spec(NETWORKS[name], SHAPE)
    graph = nchwc_training_graph(spec, samples=2, block=block)
    assert not any(node.attribute("group", 1) == 1 for node in nchwc_nodes(graph))
    assert_same_results(graph, training_graph(spec), block, samples=samples)


def product_ops(layer: dict[str, Any], shape: tuple[int, ...], samples: int | None) -> list[str]:
    """The operators of products with windows, in the second of two equal layers."""
    graph = nchwc_training_graph(image_spec([conv(shape[-1]), layer], shape), samples=samples)
    return sorted(node.op for node in all_nodes(graph) if node.scope == "conv2d_1" and node.op in ("Gemm", "MatMul"))


def test_layers_with_more_weights_than_positions_are_products() -> None:
    assert product_ops(conv(512), (4, 4, 512), 4) == ["Gemm", "MatMul", "MatMul"]
    assert product_ops(conv(512), (8, 8, 512), 16) == ["Gemm"]
    assert product_ops(conv(512), (8, 8, 512), 32) == []
    assert product_ops(conv(512), (4, 4, 512), None) == []
    assert product_ops(conv(320), (4, 4, 320), 4) == []


def test_stored_weights_are_not_transposed() -> None:
    graph = nchwc_training_graph(image_spec([conv(512)], (4, 4, 512)), samples=4)
    nodes = [node for node in graph.nodes if node.scope == "conv2d" and node.op == "Transpose"]
    assert [node.attribute("perm") for node in nodes if node.inputs[0] is not None and node.inputs[0].rank == 4] == []


@needs_nchwc_kernels
def test_steps_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [conv(352, use_bias=False), NORMALIZED, RELU, conv(352, use_bias=False), NORMALIZED, RELU]
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((4, 3, 3, 352), np.float32), rng.standard_normal((4, 3), np.float32)
    spec = image_spec(layers, (3, 3, 352))
    spec["training"]["batch_size"] = 4
    losses = []
    for min_weights in (conv_as_product.MIN_WEIGHTS, 1 << 40):
        monkeypatch.setattr(conv_as_product, "MIN_WEIGHTS", min_weights)
        trainer = Trainer(spec, seed=1)
        losses.append([trainer.step(x, y)["loss"] for _ in range(4)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
