"""3-D convolutions as 2-D convolutions: training steps stay the same, and values stay in the NCHWc layout."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.providers.random import draw_initial_weights
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.nchwc.conv3d_as_conv2d import conv3d_to_conv2d
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_steps, run
from support.nchwc_graphs import BLOCK, assert_same_results
from support.training_steps import training_graph

TARGET = Target(block_size=BLOCK, expected_batch=16)


def conv(filters: int, kernel: int | list[int] = 3, **more) -> dict:
    return {"type": "Conv3D", "filters": filters, "kernel_size": kernel, **more}


POOL = {"type": "MaxPooling3D"}
NETWORKS = {
    "plain": [conv(16), conv(32, padding="same", activation="relu")],
    "pools": [conv(16, padding="same", activation="relu"), POOL, conv(32, padding="same", activation="relu"), POOL],
    "odd-pools": [
        conv(16, [2, 3, 3], activation="relu"),
        {**POOL, "pool_size": [3, 2, 2]},
        conv(16, 1),
        {**POOL, "pool_size": [1, 2, 3]},
    ],
    "padded-pools": [
        conv(16, 2, padding="same", activation="tanh"),
        {**POOL, "padding": "same"},
        conv(16, 2, padding="same"),
        {**POOL, "pool_size": [1, 3, 3], "padding": "same"},
    ],
    "overlapping-pools": [
        conv(16, activation="tanh"),
        {**POOL, "pool_size": [2, 3, 3], "strides": [2, 1, 2]},
        conv(16, 2),
        {**POOL, "pool_size": 2, "strides": 1, "padding": "same"},
    ],
    "strides": [
        conv(16, 2, padding="same", strides=[1, 2, 2]),
        conv(16, 3, padding="same", strides=[2, 1, 1]),
        conv(16, [2, 1, 1]),
    ],
    "dilated": [conv(16, [3, 2, 2], dilation_rate=2, padding="same"), conv(32, [2, 3, 1], dilation_rate=[3, 1, 1])],
    "one-plane-deep": [conv(16, [1, 3, 3]), conv(32, [3, 1, 1], activation="sigmoid"), conv(16, [1, 1, 2])],
    "channels-of-no-whole-block": [conv(20, 2, activation="relu"), POOL, conv(12, 2), conv(28, 2, activation="tanh")],
    "normalized": [
        conv(16, use_bias=False),
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
        conv(16, padding="same", use_bias=False),
        {"type": "BatchNormalization"},
    ],
    "residual": [
        conv(16, padding="same", name="stem"),
        conv(16, padding="same", activation="sigmoid", name="gate"),
        {"type": "Multiply", "from": ["stem", "gate"]},
        conv(16, 1, name="last"),
        {"type": "Add", "from": ["last", "stem"]},
        {"type": "ReLU"},
    ],
    "between-others": [
        conv(16, padding="same"),
        {"type": "UpSampling3D", "size": [1, 2, 1]},
        {"type": "ZeroPadding3D", "padding": 1},
        conv(16),
        {"type": "AveragePooling3D", "pool_size": 2},
        conv(16, padding="same"),
        {"type": "Conv3DTranspose", "filters": 16, "kernel_size": 2, "strides": 2},
        conv(16),
    ],
    "enlarged-and-joined": [
        conv(16, [2, 3, 4], name="a", activation="relu"),
        POOL,
        conv(20, padding="same", name="b", activation="relu"),
        {"type": "UpSampling3D"},
        {"type": "Concatenate", "from": ["up_sampling3d", "a"]},
        conv(16, 2, activation="relu"),
        {"type": "AveragePooling3D", "pool_size": [2, 3, 2], "padding": "same"},
        {"type": "AveragePooling3D", "pool_size": [1, 2, 1]},
    ],
    "means": [
        conv(16, padding="same", use_bias=False),
        {"type": "LayerNormalization"},
        conv(16, padding="same", use_bias=False),
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
        {"type": "AveragePooling3D", "pool_size": 2},
        {"type": "GlobalAveragePooling3D"},
    ],
    "channels-first": [conv(16, data_format="channels_first", padding="same"), {"type": "ReLU"}],
    "groups": [conv(16, 2), conv(16, 2, groups=2), conv(32, 2)],
}


def spec(layers: list[dict], shape: tuple[int, ...] = (7, 8, 9, 3)) -> dict:
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Flatten"}, {"type": "Dense", "units": 4, "activation": "softmax"}],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "optimizer": {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9},
        },
    }


@pytest.mark.costly(6)
@pytest.mark.parametrize("samples", [6, *(pytest.param(samples, marks=pytest.mark.slow) for samples in (1, 16))])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_steps_are_those_of_the_plain_graph(name: str, samples: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(samples, 7, 8, 9, 3)).astype(np.float32), rng.integers(0, 4, samples)
    assert_same_steps(spec(NETWORKS[name]), x, y)


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_graphs_compute_the_same_step(name: str) -> None:
    document = spec(NETWORKS[name])
    document["training"]["loss"] = "mse"
    graph, target = training_graph(document), Target(block_size=BLOCK)
    images = conv3d_to_conv2d(graph, target)
    assert_same_results(to_nchwc(images, target), graph, BLOCK, samples=2)


def test_batches_of_another_size_than_expected_give_the_same_steps() -> None:
    """The weight gradient takes the generic branch of its If."""
    document = spec(NETWORKS["pools"])
    document["training"]["batch_size"] = 16
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(21, 7, 8, 9, 3)).astype(np.float32), rng.integers(0, 4, 21)
    results = []
    for fast in (False, True):
        trainer = Trainer(document, seed=1, fast=fast)
        losses = [trainer.step(x[part], y[part])["loss"] for part in (slice(16), slice(16, 21), slice(1))]
        results.append([*losses, *trainer.weights().values(), trainer.predict(x)])
    for expected, value in zip(*results, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_values_between_convolutions_stay_blocked() -> None:
    graph = training_graph(spec([conv(16), conv(16, padding="same", activation="relu"), POOL, conv(16, 2)]))
    graph = to_nchwc(conv3d_to_conv2d(graph, TARGET), TARGET)
    blocked_nodes = [
        node
        for node in graph.nodes
        if node.op == "Conv" and node.domain == NCHWC_DOMAIN and node.attribute("group", 1) == 1
    ]
    assert len(blocked_nodes) == 3 + 2
    assert not any(node.op in ("Conv", "ConvTranspose", "MaxPool") and not node.domain for node in graph.nodes)
    turned = [node for node in graph.nodes if node.op == "Transpose" and node.inputs[0].rank == 5]
    assert all(node.inputs[0].type.is_static() for node in turned)  # weights


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_batches_of_any_size_give_the_same_predictions(samples: int) -> None:
    graph = plan_training(check_spec(spec(NETWORKS["odd-pools"]))).predict
    images = conv3d_to_conv2d(graph, TARGET)
    assert [node.inputs[0].rank for node in images.nodes if node.op in ("Conv", "MaxPool")] == [4] * 4
    feeds = {"x": np.random.default_rng(0).normal(size=(samples, 7, 8, 9, 3)).astype(np.float32)}
    feeds |= draw_initial_weights(graph, 0)
    for name, expected in run(graph, feeds).items():
        np.testing.assert_allclose(run(images, feeds)[name], expected, rtol=1e-5, atol=1e-6)


def test_a_graph_whose_convolutions_have_few_channels_is_returned_unchanged() -> None:
    graph = training_graph(spec([conv(3), POOL]))
    assert conv3d_to_conv2d(graph, TARGET) is graph
