"""Convolutions whose channels are padded to whole blocks: where they are converted, with the same training steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from support.harness import assert_same_run, assert_same_steps
from support.nchwc_graphs import nchwc_training_graph, needs_nchwc_kernels


def conv(filters: int, kernel: Any = 5, **more: Any) -> dict[str, Any]:
    return {"type": "Conv2D", "filters": filters, "kernel_size": kernel, "padding": "same", **more}


MEANS = {"type": "AveragePooling2D", "pool_size": 2}
LENET = [conv(6, activation="tanh"), MEANS, conv(16, padding="valid", activation="tanh"), MEANS]
NETWORKS = {
    "lenet": LENET,
    "odd": [conv(7, activation="relu"), {"type": "MaxPooling2D"}, conv(5, activation="relu"), conv(13, 3)],
    "eights": [
        conv(8, activation="sigmoid"),
        conv(8, use_bias=False),
        {"type": "BatchNormalization"},
        conv(12, 3, activation="relu"),
    ],
    "many-and-few": [conv(32, 3), conv(6, 3, activation="swish"), conv(20, 3), conv(50, 3, activation="relu")],
    "strides": [conv(10, strides=2, activation="relu"), conv(8, 3, strides=2), conv(12, 3)],
    "gaps": [conv(6, 3), conv(9, 3, dilation_rate=2, activation="relu"), conv(9, [5, 3])],
    "no-bounds": [conv(6, activation="exponential"), conv(6, activation="softsign"), {"type": "Softmax"}],
    "means-of-borders": [conv(6), {**MEANS, "pool_size": 3, "strides": 2, "padding": "same"}, conv(6)],
    "residual": [conv(6, name="a"), conv(6, 3, name="b"), {"type": "Add", "from": ["a", "b"]}, conv(3, 3)],
    "one-filter-a-channel": [conv(6), {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same"}, conv(8)],
    "windows-that-overlap": [
        conv(6, activation="relu"),
        {"type": "MaxPooling2D", "pool_size": 3, "strides": 2, "padding": "same"},
        conv(6),
    ],
    "transposed": [conv(6), {"type": "Conv2DTranspose", "filters": 5, "kernel_size": 3, "strides": 2}],
}


def spec(layers: list[dict[str, Any]], channels: int = 3) -> dict[str, Any]:
    ends = [{"type": "Flatten"}, {"type": "Dense", "units": 3}]
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.005}}
    return {"inputs": {"x": {"shape": [14, 13, channels]}}, "layers": [*layers, *ends], "training": training}


def batch(samples: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    x = rng.standard_normal((samples, 14, 13, channels), np.float32)
    return x, rng.standard_normal((samples, 3), np.float32)


def step(layers: list[dict[str, Any]], samples: int | None, channels: int = 3) -> Graph:
    return nchwc_training_graph(spec(layers, channels), samples)


@pytest.mark.costly(6)
@needs_nchwc_kernels
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_steps_are_those_of_the_plain_graph(name: str, channels: int) -> None:
    assert_same_steps(spec(NETWORKS[name], channels), *batch(32, channels))


@needs_nchwc_kernels
@pytest.mark.parametrize("numbers", [(32, 1, 33, 5), (1, 32), (16, 15)], ids=str)
def test_batches_of_any_size_give_the_same_steps(numbers: tuple[int, ...]) -> None:
    assert_same_run(spec(LENET), [batch(samples) for samples in numbers])


def test_a_lenet_is_converted_as_a_whole() -> None:
    """No plain kernel of an image remains between the input and the dense layers."""
    document = spec(LENET, 1)
    document["inputs"]["x"]["shape"] = [28, 28, 1]
    converted = nchwc_training_graph(document, 128)
    plain = [node.op for node in converted.nodes if not node.domain and node.outputs[0].rank == 4]
    assert not {"AveragePool", "Conv", "ConvTranspose", "Resize"} & set(plain)
    assert [node.op for node in converted.nodes].count("If") == 2  # the weight gradients of both convolutions


@pytest.mark.parametrize(
    ("layers", "samples", "channels", "count"),
    [
        ([conv(6)], 128, 3, 1),
        ([conv(6)], None, 3, 1),  # the batch size is unknown
        ([conv(6)], 1, 3, 0),  # few multiply-adds
        ([conv(6, 1)], 128, 3, 0),  # one tap
        ([conv(2, 3)], 128, 1, 0),  # later operators would mostly compute padding channels
        ([conv(18), conv(18)], 128, 3, 1),  # 18 * 18 channels would be padded to 32 * 32
        ([conv(6), conv(16)], 128, 3, 3),
        ([conv(3), conv(32)], 128, 3, 2),  # the input gradient, from 32 to 3 channels, stays plain
    ],
)
def test_convolutions_are_converted_where_it_is_profitable(
    layers: list[dict[str, Any]], samples: int | None, channels: int, count: int
) -> None:
    nodes = step(layers, samples, channels).nodes
    assert sum(node.op == "Conv" and node.domain == NCHWC_DOMAIN for node in nodes) == count


def test_a_plain_image_is_not_padded_to_meet_a_blocked_one() -> None:
    """The gradient of the first layer's activation stays plain, though one of its factors is blocked."""
    ops = [node.op for node in step([conv(6, 3, activation="tanh"), conv(16)], 128, channels=1).nodes if node.domain]
    assert "Conv" in ops
    assert "ReorderInput" not in ops
