"""1-D convolutions as 2-D convolutions: training steps stay the same, and values stay in the NCHWc layout."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.nchwc.conv1d_as_conv2d import conv1d_to_conv2d
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_steps
from support.nchwc_graphs import BLOCK, BLOCKS, assert_same_results
from support.training_steps import training_graph

TARGET = Target(block_size=BLOCK)


def conv(filters: int, kernel: int = 3, **more) -> dict:
    return {"type": "Conv1D", "filters": filters, "kernel_size": kernel, **more}


RELU = {"type": "ReLU"}
NORM = {"type": "BatchNormalization"}
NETWORKS = {
    "plain": [conv(16), conv(32, padding="same", activation="relu")],
    "causal": [conv(16, padding="causal", dilation_rate=2**rate, activation="relu") for rate in range(3)],
    "strides": [conv(16, 4, strides=2, padding="same"), conv(32, 3, strides=3), conv(16, 1, strides=2)],
    "channels-of-no-whole-block": [conv(20, activation="tanh"), conv(12), conv(28)],
    "normalized": [conv(16, use_bias=False), NORM, RELU, conv(16, padding="same", use_bias=False), NORM],
    "residual": [
        conv(16, padding="same", name="stem"),
        conv(16, padding="causal", activation="sigmoid", name="gate"),
        {"type": "Multiply", "from": ["stem", "gate"]},
        conv(16, 1, name="last"),
        {"type": "Add", "from": ["last", "stem"]},
        RELU,
    ],
    "pools": [
        conv(16, activation="relu"),
        {"type": "MaxPooling1D"},
        conv(16, padding="same"),
        {"type": "AveragePooling1D", "pool_size": 3, "strides": 2, "padding": "same"},
        {"type": "GlobalMaxPooling1D"},
        {"type": "Reshape", "target_shape": [1, 16]},
    ],
    "max-pools": [
        conv(16, activation="relu"),
        {"type": "MaxPooling1D", "pool_size": 3, "strides": 2},
        {"type": "UpSampling1D", "size": 3},
        conv(32, padding="same", activation="relu"),
        {"type": "MaxPooling1D", "pool_size": 3},
        conv(16, padding="same"),
        {"type": "MaxPooling1D", "padding": "same"},
    ],
    "frames": [
        conv(16),
        {"type": "ZeroPadding1D", "padding": [2, 1]},
        RELU,
        {"type": "Cropping1D", "cropping": [1, 0]},
        conv(16),
    ],
    "transposed": [conv(16), {"type": "Conv1DTranspose", "filters": 16, "kernel_size": 3, "strides": 2}, conv(16)],
    "one-filter-a-channel": [
        conv(16),
        {"type": "DepthwiseConv1D", "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "SeparableConv1D", "filters": 32, "kernel_size": 3},
    ],
    "between-others": [
        {"type": "LSTM", "units": 8, "return_sequences": True},
        conv(16, padding="same"),
        {"type": "LayerNormalization"},
        {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4, "from": ["layer_normalization"] * 2},
        conv(16),
    ],
}


def spec(layers: list[dict]) -> dict:
    return {
        "inputs": {"x": {"shape": [26, 5]}},
        "layers": [*layers, {"type": "GlobalAveragePooling1D"}, {"type": "Dense", "units": 4, "activation": "softmax"}],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "optimizer": {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9},
        },
    }


@pytest.mark.costly(3)
@pytest.mark.parametrize("name", NETWORKS)
def test_training_steps_are_those_of_the_plain_graph(name: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 26, 5)).astype(np.float32), rng.integers(0, 4, 6)
    assert_same_steps(spec(NETWORKS[name]), x, y)


@pytest.mark.costly(2)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_graphs_compute_the_same_step(name: str, block: int) -> None:
    document = spec(NETWORKS[name])
    document["training"]["loss"] = "mse"
    graph, target = training_graph(document), Target(block_size=block)
    images = conv1d_to_conv2d(graph, target)
    assert images is not graph
    assert_same_results(to_nchwc(images, target), graph, block, samples=3)


def test_max_pooling_and_upsampling_of_sequences_are_nchwc_operators() -> None:
    graph = to_nchwc(conv1d_to_conv2d(training_graph(spec(NETWORKS["max-pools"])), TARGET), TARGET)
    assert not any(node.op in ("MaxPool", "Resize") and not node.domain for node in graph.nodes)


def test_the_operands_of_a_gradient_info_precede_the_gradient() -> None:
    """In a ConvLSTM1D over one position, the cotangent's image could come after the gradient's."""
    cell = {"type": "ConvLSTM1D", "filters": 8, "kernel_size": 6, "strides": 7, "data_format": "channels_first"}
    document = spec([])
    document["inputs"]["x"]["shape"] = [8, 7, 6]
    document["layers"] = [cell, {"type": "Flatten"}, {"type": "Dense", "units": 4, "activation": "softmax"}]
    x = np.random.default_rng(0).normal(size=(3, 8, 7, 6)).astype(np.float32)
    assert_same_steps(document, x, np.arange(3))


def test_values_between_convolutions_stay_blocked() -> None:
    graph = training_graph(spec([conv(32, padding="causal", activation="relu")] * 4))
    graph = to_nchwc(conv1d_to_conv2d(graph, TARGET), TARGET)
    convs = [node for node in graph.nodes if node.op == "Conv" and node.domain == NCHWC_DOMAIN]
    assert len(convs) == 4 + 3  # forward, and input gradients
    assert not any(node.op == "ConvTranspose" for node in graph.nodes)
    images = [node for node in graph.nodes if node.op == "Transpose" and node.inputs[0].rank == 4]
    assert sum(not node.inputs[0].type.is_static() for node in images) <= 2  # of the input and of the last result


def test_a_graph_without_1d_convolutions_is_returned_unchanged() -> None:
    graph = training_graph(spec([{"type": "LSTM", "units": 4, "return_sequences": True}]))
    assert conv1d_to_conv2d(graph, TARGET) is graph
