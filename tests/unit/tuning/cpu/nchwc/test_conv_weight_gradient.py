"""Weight gradients as convolutions over blocks of samples: where they take this form, and that they are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph, Node
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.tuning.cpu.nchwc import conv_weight_gradient
from jsonnx.tuning.cpu.nchwc.conv1d_as_conv2d import conv1d_to_conv2d
from jsonnx.tuning.cpu.nchwc.conv_geometry import CorrelationGeometry
from jsonnx.tuning.cpu.nchwc.conv_weight_gradient import WeightGradientConv
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_run, assert_same_steps
from support.nchwc_graphs import (
    BLOCK,
    BLOCKS,
    all_nodes,
    assert_same_results,
    nchwc_training_graph,
    needs_nchwc_kernels,
)
from support.training_steps import training_graph


def conv(filters: int, kernel: Any = 3, **more: Any) -> dict[str, Any]:
    return {"type": "Conv2D", "filters": filters, "kernel_size": kernel, "padding": "same", **more}


def sequence(filters: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
    return {**conv(filters, kernel, **more), "type": "Conv1D"}


def spec(layers: list[dict[str, Any]], shape: tuple[int, ...] = (12, 10, 16)) -> dict[str, Any]:
    ends = [{"type": f"GlobalAveragePooling{min(len(shape) - 1, 2)}D"}, {"type": "Dense", "units": 3}]
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}}
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": [*layers, *ends], "training": training}


def batch(document: dict[str, Any], samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    x = rng.standard_normal((samples, *document["inputs"]["x"]["shape"]), np.float32)
    return x, rng.standard_normal((samples, 3), np.float32)


def specialised_gradients(document: dict[str, Any], samples: int, block: int = BLOCK) -> int:
    """How many gradients have code for exactly so many samples."""
    target = Target(block_size=block, expected_batch=samples)
    return operators(to_nchwc(conv1d_to_conv2d(training_graph(document), target), target)).count("If")


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


RELU = {"type": "ReLU"}
NETWORKS = {
    "plain": ([conv(16), RELU, conv(16)], (12, 10, 16)),
    "several-blocks": ([conv(32, activation="relu"), conv(64), conv(16)], (9, 7, 32)),
    "blocks-not-full": ([conv(24, activation="relu"), conv(40), conv(24)], (9, 7, 24)),
    "fewer-filters": ([conv(48, activation="relu"), conv(32, [5, 2]), conv(16, [1, 4])], (9, 7, 16)),
    "fewer-filters-than-a-block": (
        [conv(32), conv(8, activation="relu"), conv(32), conv(12), conv(16)],
        (9, 7, 16),
    ),
    "fewer-filters-and-causal": ([sequence(32), sequence(16, 4, padding="causal")], (50, 16)),
    "fewer-filters-in-strips": ([conv(32, use_bias=False), conv(16, use_bias=False)], (48, 40, 16)),
    "fewer-filters-and-places": (
        [conv(32, use_bias=False), conv(16, padding="valid", use_bias=False)],
        (48, 48, 16),
    ),
    "strides": ([conv(16), conv(32, strides=2), conv(16, [5, 3], strides=[3, 2])], (13, 10, 16)),
    "rows-left-over": ([conv(16), conv(16, 2, strides=3, padding="valid")], (12, 9, 16)),
    "one-filter-a-channel": (
        [
            conv(16),
            {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same"},
            {"type": "DepthwiseConv2D", "kernel_size": [3, 2], "strides": 2},
        ],
        (12, 10, 16),
    ),
    "valid": ([conv(16), conv(32, padding="valid"), conv(16, [1, 4], padding="valid")], (12, 10, 16)),
    "strips": (
        [conv(16, use_bias=False), conv(32, use_bias=False), conv(16, strides=2, use_bias=False)],
        (48, 40, 16),
    ),
    "strips-of-strides": ([conv(16, use_bias=False), conv(16, strides=2, use_bias=False)], (96, 56, 16)),
    "few-channels": ([conv(16, 5), conv(16)], (12, 10, 3)),
    "few-channels-and-strides": ([conv(32, 5, strides=2, padding="valid"), conv(16)], (14, 11, 3)),
    "one-channel": ([conv(32, 7), conv(32)], (9, 9, 1)),
    "few-channels-in-strips": ([conv(16, use_bias=False), conv(16, use_bias=False)], (48, 40, 3)),
    "dilated": ([conv(16), conv(32, dilation_rate=2), conv(16, dilation_rate=[1, 3])], (12, 10, 16)),
    "dilated-valid": ([conv(48), conv(32, [3, 2], padding="valid", dilation_rate=[2, 3])], (13, 11, 16)),
    "dilated-few-channels": ([conv(16, dilation_rate=2), conv(16)], (9, 8, 3)),
    "dilated-in-strips": ([conv(16, use_bias=False), conv(32, dilation_rate=2, use_bias=False)], (96, 80, 16)),
    "sequences": ([sequence(16, 5), sequence(32, strides=2), sequence(16)], (30, 16)),
    "causal": ([sequence(16), *(sequence(32, padding="causal", dilation_rate=2**n) for n in range(3))], (50, 16)),
    "long-sequences": (
        [sequence(16, use_bias=False), sequence(16, 4, use_bias=False, padding="valid", dilation_rate=3)],
        (1500, 16),
    ),
    "sequences-of-own-filters": (
        [
            sequence(32),
            {"type": "DepthwiseConv1D", "kernel_size": 3, "dilation_rate": 2},
            {"type": "DepthwiseConv1D", "kernel_size": 4, "strides": 2, "padding": "same"},
        ],
        (21, 16),
    ),
    "transposed": (
        [{**conv(32, 4, strides=2), "type": "Conv2DTranspose"}, {**conv(16), "type": "Conv2DTranspose"}],
        (7, 6, 16),
    ),
    "sequences-transposed": ([sequence(16), {**sequence(32, 4, strides=2), "type": "Conv1DTranspose"}], (21, 16)),
    "normalized": (
        [conv(16, use_bias=False), {"type": "BatchNormalization"}, RELU, conv(16, use_bias=False)],
        (8, 8, 16),
    ),
}


@pytest.mark.costly(12)
@needs_nchwc_kernels
@pytest.mark.parametrize("samples", [pytest.param(BLOCK, marks=pytest.mark.slow), 3 * BLOCK - 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_steps_compute_the_same(name: str, samples: int) -> None:
    document = spec(*NETWORKS[name])
    assert_same_steps(document, *batch(document, samples))


@pytest.mark.costly(3)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_specialised_for_the_expected_batch(name: str, block: int) -> None:
    document = spec(*NETWORKS[name])
    for samples in (block, 3 * block - 2):
        assert specialised_gradients(document, samples, block) >= len(NETWORKS[name][0]) // 2


SMALL_NETWORKS = [
    "blocks-not-full",
    "fewer-filters",
    "strides",
    "rows-left-over",
    "valid",
    "few-channels",
    "few-channels-and-strides",
    "dilated",
    "dilated-valid",
    "dilated-few-channels",
    "transposed",
]


@pytest.mark.costly(3)
@pytest.mark.parametrize("missing_samples", [0, 2], ids=["expected-batch", "another-batch"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_results_are_those_of_the_plain_graph(name: str, block: int, missing_samples: int) -> None:
    document, samples = spec(*NETWORKS[name]), block
    graph = nchwc_training_graph(document, samples, block)
    assert_same_results(graph, training_graph(document), block, samples - missing_samples, tolerance=2e-5)


def test_a_dilated_convolution_of_few_channels_is_specialised() -> None:
    assert specialised_gradients(spec(*NETWORKS["dilated-few-channels"]), 2 * BLOCK) == 2


@needs_nchwc_kernels
@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_steps_of_other_batch_sizes_compute_the_same(name: str) -> None:
    document = spec(*NETWORKS[name])
    numbers = [2 * BLOCK, 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 3, 2 * BLOCK]
    assert_same_run(document, [batch(document, samples) for samples in numbers])


SEVERAL_IMAGES_PER_SAMPLE = spec(
    [{"type": "TimeDistributed", "layer": conv(16, activation="relu")}] * 2
    + [{"type": "Reshape", "target_shape": [8, -1, 16]}],
    (4, 8, 8, 16),
)


def test_a_sample_may_hold_several_images() -> None:
    assert specialised_gradients(SEVERAL_IMAGES_PER_SAMPLE, 6) == 2  # 24 images


@needs_nchwc_kernels
def test_steps_with_several_images_per_sample_compute_the_same() -> None:
    assert_same_steps(SEVERAL_IMAGES_PER_SAMPLE, *batch(SEVERAL_IMAGES_PER_SAMPLE, 6))


def test_gradients_stay_generic_where_blocks_would_be_empty_or_filters_are_small() -> None:
    document = spec(*NETWORKS["plain"])
    assert specialised_gradients(document, 32) == 2
    assert specialised_gradients(document, 9) == 0  # nearly half of a block of samples would be empty
    assert specialised_gradients(spec([conv(16, 4), conv(16)], (12, 10, 1)), 32) == 1  # few weights in a filter
    assert specialised_gradients(spec([conv(16), conv(24, dilation_rate=2)]), 32) == 1  # blocks of filters not full
    assert specialised_gradients(spec([conv(16), conv(16, groups=2)]), 32) == 1
    assert specialised_gradients(spec([conv(16), conv(16, 1)]), 32) == 1


def test_the_batch_size_is_checked_once_for_all_gradients() -> None:
    graph = nchwc_training_graph(spec(*NETWORKS["several-blocks"]), 32)
    assert (operators(graph).count("If"), operators(graph).count("Equal")) == (3, 1)


def weight_gradient_conv(
    layer: dict[str, Any], shape: tuple[int, ...], *next_layers: dict[str, Any], samples: int = 32
) -> Node:
    """The convolution that gives the gradient of a layer's weights, on two threads."""
    document = spec([conv(shape[-1]), layer, *next_layers], shape)
    target = Target(block_size=BLOCK, expected_batch=samples, threads=2)
    graph = to_nchwc(training_graph(document), target)
    choice = [node for node in graph.nodes if node.op == "If"][len(next_layers)]
    convolutions = [node for node in choice.attributes["then_branch"].nodes if node.domain and node.op == "Conv"]
    (gradient_conv,) = (node for node in convolutions if node.attributes["kernel_shape"] != [1, 1])
    return gradient_conv


def image_and_filter_channels(
    layer: dict[str, Any], shape: tuple[int, ...], *next_layers: dict[str, Any]
) -> tuple[int, int]:
    """The channels of the image in the gradient of a layer's weights, and the filters that move over it."""
    gradient_conv = weight_gradient_conv(layer, shape, *next_layers)
    row_dilation, column_dilation = gradient_conv.attributes["dilations"]
    return column_dilation // row_dilation, gradient_conv.outputs[0].shape[1] // gradient_conv.attributes["group"]


def test_the_tensor_with_fewer_blocks_of_channels_is_the_image() -> None:
    """It is padded, reordered and cut into strips; the kernel processes several blocks of the other at once."""
    assert image_and_filter_channels(conv(16), (12, 10, 32)) == (16, 32)
    assert image_and_filter_channels(conv(64), (12, 10, 32)) == (32, 64)
    assert image_and_filter_channels(conv(24), (12, 10, 40)) == (24, 48)
    assert image_and_filter_channels(conv(8, activation="relu"), (12, 10, 32), conv(16)) == (8, 32)
    assert image_and_filter_channels(conv(40), (12, 10, 48)) == (48, 48)  # as many blocks
    assert image_and_filter_channels(conv(16, padding="valid"), (48, 48, 32)) == (16, 32)
    assert image_and_filter_channels(conv(16, padding="valid"), (12, 10, 32)) == (
        32,
        16,
    )  # the operand has many more positions
    assert image_and_filter_channels(conv(16, strides=2), (12, 10, 32)) == (32, 16)


def strip_rows(filters: int, shape: tuple[int, ...], samples: int) -> int:
    """Rows of the cotangent in a strip, for the gradient of a convolution's weights."""
    layer = conv(filters, use_bias=False)
    rows: int = weight_gradient_conv(layer, shape, samples=samples).attributes["kernel_shape"][0]
    return rows


def test_an_image_of_few_positions_stays_whole() -> None:
    assert strip_rows(16, (32, 32, 16), 64) == 32
    assert strip_rows(32, (32, 32, 32), 64) == 8
    assert strip_rows(16, (64, 64, 16), 64) == 8
    assert strip_rows(64, (16, 16, 64), 64) == 16
    assert strip_rows(64, (16, 16, 64), 16) == 8  # three rows of results cannot be shared among two threads


def reorderings(graph: Graph) -> int:
    """ReorderInputs in code for the expected batch."""
    branches = [node.attributes["then_branch"] for node in graph.nodes if node.op == "If"]
    return sum(node.op == "ReorderInput" for branch in branches for node in all_nodes(branch))


def test_one_gather_orders_few_filters_and_two_operators_order_many(monkeypatch: pytest.MonkeyPatch) -> None:
    document = spec(*NETWORKS["fewer-filters-in-strips"])
    gathered = nchwc_training_graph(document, BLOCK)
    monkeypatch.setattr(conv_weight_gradient, "MAX_FILTER_CHUNKS", 0)
    reordered = nchwc_training_graph(document, BLOCK)
    assert reorderings(gathered) < reorderings(reordered)
    for graph in (gathered, reordered):
        assert_same_results(graph, training_graph(document), BLOCK, BLOCK, tolerance=2e-5)


def test_one_gather_orders_images_of_few_positions_and_two_operators_large_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order of a large image would be a large constant."""
    document = spec(*NETWORKS["several-blocks"])
    gathered = nchwc_training_graph(document, BLOCK)
    monkeypatch.setattr(conv_weight_gradient, "MAX_IMAGE_CHUNKS", 0)
    reordered = nchwc_training_graph(document, BLOCK)
    assert operators(gathered) == operators(reordered)
    for graph in (gathered, reordered):
        assert_same_results(graph, training_graph(document), BLOCK, BLOCK, tolerance=2e-5)


@needs_nchwc_kernels
def test_long_sums_are_exact_enough() -> None:
    """A gradient over many places, by the weights of one large step, against one in float64."""
    document = spec([conv(16, use_bias=False)], (64, 48, 16))
    document["training"]["optimizer"] = {"type": "sgd", "learning_rate": 1.0}
    x, y = batch(document, 2 * BLOCK)
    trainer = Trainer(document, seed=1)
    before = trainer.weights()
    trainer.step(x, y)
    update = (before["conv2d/kernel"] - trainer.weights()["conv2d/kernel"]).astype(np.float64)
    pooled = convolved(x.astype(np.float64), before["conv2d/kernel"]).mean((1, 2))
    error = pooled @ before["dense/kernel"].astype(np.float64) + before["dense/bias"] - y
    of_pooled = (2 * error / error.size) @ before["dense/kernel"].T.astype(np.float64) / (64 * 48)
    padded = np.pad(x.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    sums = np.array([[padded[:, i : i + 64, j : j + 48].sum((1, 2)) for j in range(3)] for i in range(3)])
    expected = np.einsum("ijnc,no->ijco", sums, of_pooled)
    np.testing.assert_allclose(update / np.abs(expected).max(), expected / np.abs(expected).max(), atol=3e-6)


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    high, wide = x.shape[1:3]
    return sum(
        padded[:, i : i + high, j : j + wide] @ kernel[i, j].astype(np.float64) for i in range(3) for j in range(3)
    )


def weight_gradient(samples: int = 32, threads: int = 1, strip_rows: int = 32) -> WeightGradientConv:
    """The gradient of a 3x3 convolution of 16 channels and 16 filters over images of 32x32."""
    geometry = CorrelationGeometry(
        samples=samples,
        taps=(3, 3),
        strides=(1, 1),
        phases=(1, 1),
        pads=(1, 1, 1, 1),
        image_size=(34, 34),
        cotangent_size=(32, 32),
        cotangent_padding=(0, 0),
        strip_rows=strip_rows,
    )
    return WeightGradientConv(geometry, BLOCK, channels=16, filters=16, threads=threads)


def test_every_block_of_samples_is_a_group() -> None:
    assert weight_gradient(32).group_count == 2
    assert weight_gradient(33).group_count == 3
    assert (weight_gradient().result_rows, weight_gradient().result_columns) == (3, 3)


def test_strips_are_channels_of_a_group_up_to_the_positions_of_exact_sums() -> None:
    assert weight_gradient(strip_rows=32).part_count == 1
    assert weight_gradient(strip_rows=8).part_count == 1
    long = replace(weight_gradient().geometry, cotangent_size=(64, 32), image_size=(66, 34), strip_rows=8)
    assert replace(weight_gradient(), geometry=long).part_count == 2


def test_strips_are_groups_of_their_own_where_threads_need_them() -> None:
    assert weight_gradient(16, threads=2, strip_rows=8).part_count == 2
    assert not weight_gradient(16, threads=2).is_balanced(1)  # three rows of results for two threads
    assert weight_gradient(32, threads=2).is_balanced(1)
    assert weight_gradient(16 * 9, threads=5).is_balanced(1)  # 27 rows: six for two threads, five for three


def test_padded_samples_overlapping_strips_and_results_have_limits() -> None:
    assert weight_gradient().is_profitable
    assert not weight_gradient(9).is_profitable
    assert weight_gradient(12).is_profitable
    assert weight_gradient(strip_rows=8).is_profitable
    assert not weight_gradient(strip_rows=2).is_profitable
    assert not replace(weight_gradient(), channels=1024, filters=1024).is_profitable
