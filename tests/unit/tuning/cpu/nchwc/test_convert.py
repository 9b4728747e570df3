"""Conversion of convolutions to the NCHWc layout: training steps stay the same, and values stay blocked."""

from __future__ import annotations

import jsonnx
import numpy as np
import pytest
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_steps
from support.nchwc_graphs import BLOCK, BLOCKS, assert_same_results, nchwc_training_graph, needs_nchwc_kernels
from support.training_steps import training_graph


def conv(filters: int, kernel: int = 3, **more) -> dict:
    return {"type": "Conv2D", "filters": filters, "kernel_size": kernel, **more}


BATCH_NORMALIZATION = {"type": "BatchNormalization"}
RELU = {"type": "ReLU"}
RESIDUAL = [
    conv(16, padding="same", name="stem"),
    conv(16, padding="same", use_bias=False),
    BATCH_NORMALIZATION,
    RELU,
    conv(16, padding="same", use_bias=False),
    {**BATCH_NORMALIZATION, "name": "last"},
    {"type": "Add", "from": ["last", "stem"]},
    RELU,
    conv(32, strides=2, padding="same", use_bias=False),
    BATCH_NORMALIZATION,
    {"type": "Activation", "activation": "tanh"},
]
NETWORKS = {
    "plain": [conv(16), conv(32, padding="same", activation="relu")],
    "a-few-channels-more-than-blocks": [conv(20, activation="relu"), conv(36)],
    "filters-that-fill-no-block": [conv(12), conv(5), conv(16)],
    "kernels-of-any-shape": [conv(16, [5, 1], padding="same"), conv(16, [1, 4]), conv(32, 1)],
    "gaps-and-strides": [conv(16, dilation_rate=2), conv(16, strides=[2, 1]), conv(16, padding="same", strides=2)],
    "gaps-between-the-first-rows": [conv(16, dilation_rate=[2, 1], padding="same")],
    "gaps-between-the-first-columns": [conv(16, [3, 1], dilation_rate=2, strides=1), conv(16)],
    "strides-of-the-first": [conv(16, [4, 3], strides=[3, 2], padding="same", activation="relu")],
    "strides": [
        conv(16, padding="same"),
        conv(32, strides=2),
        conv(16, [3, 2], strides=[2, 1], padding="same"),
        conv(16, 2, strides=2),
    ],
    "strides-of-three": [conv(16), conv(16, 4, strides=3, padding="same"), conv(32, 3, strides=[3, 2])],
    "strides-of-one-tap": [conv(16, padding="same"), conv(32, 1, strides=2), conv(16, 1, strides=[3, 2])],
    "strides-of-one-filter-a-channel": [
        conv(16),
        {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": 2, "padding": "same"},
        {"type": "DepthwiseConv2D", "kernel_size": 2, "strides": 2},
    ],
    "one-side-padded": [{"type": "ZeroPadding2D", "padding": [[2, 0], [0, 1]]}, conv(16), conv(16, [2, 3])],
    "residual": RESIDUAL,
    "pools": [
        conv(16, activation="relu"),
        {"type": "MaxPooling2D"},
        conv(32),
        {"type": "AveragePooling2D", "pool_size": 2},
    ],
    "max-pools-of-odd-sizes": [
        conv(16, [2, 3]),
        {"type": "MaxPooling2D"},
        conv(16, padding="same", activation="relu"),
        {"type": "MaxPooling2D"},
    ],
    "max-pools-that-overlap": [
        conv(16, activation="relu", padding="same"),
        {"type": "MaxPooling2D", "pool_size": 3, "strides": 2},
        conv(16, activation="tanh", padding="same"),
        {"type": "MaxPooling2D", "pool_size": [3, 2], "strides": [2, 1], "padding": "same"},
        conv(16, padding="same"),
        {"type": "MaxPooling2D", "pool_size": 2, "strides": 1, "padding": "same"},
    ],
    "channels-by-twos": [
        conv(22),
        {"type": "MaxPooling2D"},
        conv(30, activation="relu"),
        {"type": "MaxPooling2D", "pool_size": 3, "strides": 2},
    ],
    "a-relu-of-channels-by-twos-at-the-end": [conv(22), conv(30, activation="relu")],
    "a-max-pool-of-a-long-window": [conv(16), {"type": "MaxPooling2D", "pool_size": [1, 10], "strides": 1}],
    "max-pools-wide-apart": [
        conv(16, activation="relu"),
        {"type": "MaxPooling2D", "pool_size": 3, "strides": 3, "padding": "same"},
        conv(16, 1),
        {"type": "MaxPooling2D", "pool_size": 1, "strides": 2},
    ],
    "transposed": [conv(16), {"type": "Conv2DTranspose", "filters": 16, "kernel_size": 3}],
    "transposed-with-strides": [
        conv(16),
        {"type": "Conv2DTranspose", "filters": 16, "kernel_size": 3, "strides": 2, "padding": "same"},
        {"type": "Conv2DTranspose", "filters": 32, "kernel_size": [2, 3], "strides": [2, 1], "activation": "relu"},
    ],
    "transposed-wide-apart": [
        conv(16, [10, 11]),
        {"type": "Conv2DTranspose", "filters": 16, "kernel_size": 2, "strides": 3},
        {"type": "Conv2DTranspose", "filters": 16, "kernel_size": 1, "strides": 2},
    ],
    "joined": [
        conv(16, [3, 4], name="first", activation="relu"),
        conv(48, name="second", padding="same"),
        {"type": "Concatenate", "from": ["first", "second"]},
        {"type": "MaxPooling2D", "name": "small"},
        conv(16, name="inner", padding="same", activation="relu"),
        {"type": "Concatenate", "from": ["small", "inner", "small"]},
        {"type": "UpSampling2D", "name": "large"},
        {"type": "Concatenate", "from": ["large", "first"]},
        conv(16),
    ],
    "joined-with-a-part-of-a-block": [
        conv(16, name="first", activation="relu"),
        conv(20, name="second", padding="same", activation="tanh"),
        {"type": "Concatenate", "from": ["first", "second"]},
        {"type": "Activation", "activation": "exponential"},
        conv(16),
    ],
    "activations": [conv(16, activation=name) for name in ("sigmoid", "elu", "swish", "leaky_relu", "exponential")],
    "one-filter-a-channel": [
        conv(32),
        {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "DepthwiseConv2D", "kernel_size": [2, 3], "dilation_rate": 2, "use_bias": False},
        {"type": "SeparableConv2D", "filters": 16, "kernel_size": 3, "strides": 2},
    ],
    "groups": [conv(32), conv(32, groups=2), {"type": "DepthwiseConv2D", "kernel_size": 3}],
    "a-single-place": [conv(16, 12, use_bias=False), BATCH_NORMALIZATION, conv(16, 1)],
}


FEW_CHANNELS = [conv(16, strides=2, padding="same"), conv(16)]


def wider(layers: list[dict]) -> list[dict]:
    """The same layers with channels that need padding."""
    return [{**layer, "filters": layer["filters"] + 12} if "filters" in layer else layer for layer in layers]


NETWORKS |= {f"{name}, parts of blocks": wider(layers) for name, layers in NETWORKS.items()}


def spec(layers: list[dict]) -> dict:
    return {
        "inputs": {"image": {"shape": [12, 13, 3]}},
        "layers": [*layers, {"type": "Flatten"}, {"type": "Dense", "units": 4, "activation": "softmax"}],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "optimizer": {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9},
        },
    }


def batch(samples: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 12, 13, 3)).astype(np.float32), rng.integers(0, 4, samples)


@pytest.mark.costly(12)
@needs_nchwc_kernels
@pytest.mark.parametrize("name", NETWORKS)
def test_training_steps_are_those_of_the_plain_graph(name: str) -> None:
    x, y = batch()
    assert_same_steps(spec(NETWORKS[name]), x, y)


@pytest.mark.costly(9)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_graphs_compute_the_same_step(name: str, block: int) -> None:
    document = spec(NETWORKS[name])
    document["training"]["loss"] = "mse"
    graph = training_graph(document)
    assert_same_results(to_nchwc(graph, Target(block_size=block, expected_batch=2)), graph, block, samples=2)


@needs_nchwc_kernels
@pytest.mark.parametrize("moves", [{}, {"pool_size": 3, "strides": 2, "padding": "same"}], ids=["tiles", "overlap"])
def test_the_first_of_equal_elements_gets_the_gradient_of_a_max_pooling(moves: dict) -> None:
    """A convolution with a kernel of ones gives all channels the same elements."""
    pool = {"type": "MaxPooling2D", **moves}
    layers = [conv(28, kernel_initializer="ones"), pool, conv(28, kernel_initializer="ones")]
    kernels = []
    for fast in (False, True):
        trainer = jsonnx.Trainer(spec(layers), seed=1, fast=fast)
        trainer.step(np.round(batch()[0]), batch()[1])  # sums of integers are exact in any order
        kernels.append(trainer.weights()["conv2d/kernel"])
    assert np.ptp(kernels[0]) > 0
    np.testing.assert_allclose(kernels[1], kernels[0], atol=1e-5)


def test_gradients_of_strides_and_pools_are_nchwc_operators() -> None:
    """No plain ConvTranspose, Resize or MaxPool remains."""
    for name in (
        "strides",
        "strides-of-three",
        "strides-of-one-tap",
        "max-pools-of-odd-sizes",
        "a-max-pool-of-a-long-window",
    ):
        ops = {node.op for node in nchwc_training_graph(spec(NETWORKS[name])).nodes if not node.domain}
        assert not ops & {"ConvTranspose", "Resize", "MaxPool"}, name


def test_an_input_of_few_channels_is_read_channels_last() -> None:
    """Neither the first convolution nor its weight gradient transposes the input."""
    step = nchwc_training_graph(spec(FEW_CHANNELS), 2 * BLOCK)
    data = step.inputs["image"]
    assert {node.op for node in step.nodes if data in node.inputs} == {"Reshape", "If"}


@needs_nchwc_kernels
def test_training_steps_with_an_input_of_few_channels_are_those_of_the_plain_graph() -> None:
    assert_same_steps(spec(FEW_CHANNELS), *batch(2 * BLOCK))


def test_concatenated_images_stay_blocked() -> None:
    nodes = nchwc_training_graph(spec(NETWORKS["joined"])).nodes
    joins = [node for node in nodes if node.op in ("Concat", "Split") and node.scope.startswith("concatenate")]
    assert [node.op for node in joins] == 3 * ["Concat"] + 3 * ["Split"]
    producers = {output: node for node in nodes for output in node.outputs}
    assert not any(producers[x].op.startswith("Reorder") for node in joins for x in node.inputs if x in producers)


def test_a_residual_network_stays_blocked() -> None:
    """Few values are reordered: operands of the first filters and of weight gradients."""
    ops = [node.op for node in nchwc_training_graph(spec(RESIDUAL)).nodes if node.domain == NCHWC_DOMAIN]
    assert ops.count("Conv") > 3 * 4
    assert ops.count("ReorderInput") <= 3


def test_factor_summand_and_relu_are_fused_into_one_conv() -> None:
    nodes = [node for node in nchwc_training_graph(spec(RESIDUAL)).nodes if node.domain == NCHWC_DOMAIN]
    fused = [node for node in nodes if node.attribute("activation") == "Relu"]
    assert [len(node.inputs) for node in fused] == [3, 4]  # the second has the residual as its summand


def test_types_of_updates_do_not_depend_on_the_block_size() -> None:
    step = training_graph(spec(RESIDUAL))
    for block in BLOCKS:
        converted = to_nchwc(step, Target(block_size=block))
        assert {name: value.type for name, value in converted.updates.items()} == {
            name: value.type for name, value in step.updates.items()
        }


def test_compiled_models_have_only_standard_operators() -> None:
    assert not any(node.domain for node in training_graph(spec(RESIDUAL)).nodes)
    assert not any(node.domain for node in jsonnx.compile(spec(RESIDUAL)).proto.graph.node)


@needs_nchwc_kernels
def test_images_of_symbolic_width_give_the_same_steps() -> None:
    document = {
        "inputs": {"image": {"shape": ["width", 7, 1]}},
        "layers": [
            {"type": "Activation", "activation": "exponential"},
            {"type": "GlobalAveragePooling2D"},
            {"type": "Dense", "units": 2},
        ],
        "training": {"loss": "mse", "optimizer": "sgd"},
    }
    x = np.random.default_rng(0).normal(size=(3, 9, 7, 1)).astype(np.float32)
    assert_same_steps(document, x, np.ones((3, 2), np.float32))


@needs_nchwc_kernels
@pytest.mark.parametrize("sides", [0, 1, [[1, 2], [0, 3]]])
@pytest.mark.parametrize("kind", ["Cropping2D", "ZeroPadding2D"])
def test_padding_and_cropping_of_images_of_symbolic_size(kind: str, sides: int | list) -> None:
    layer = {"type": kind, "cropping" if kind == "Cropping2D" else "padding": sides}
    document = {
        "inputs": {"x": {"shape": ["h", "w", 3]}},
        "layers": [conv(16), layer, conv(20), {"type": "GlobalAveragePooling2D"}],
        "training": {"loss": "mse", "optimizer": "sgd"},
    }
    x = np.random.default_rng(2).normal(size=(3, 9, 11, 3)).astype(np.float32)
    assert_same_steps(document, x, np.ones((3, 20), np.float32))


def test_a_relu_is_fused_into_all_phases_of_a_strided_conv_transpose() -> None:
    nodes = nchwc_training_graph(spec(NETWORKS["transposed-with-strides"])).nodes
    assert not any(node.op == "Relu" for node in nodes)
    assert sum(node.attributes.get("activation") == "Relu" for node in nodes) == 2
