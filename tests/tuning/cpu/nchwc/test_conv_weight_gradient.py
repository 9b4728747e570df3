"""The gradient of convolution weights with samples in blocks: where, and that it is the same."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import assert_same_run, assert_same_steps
from jsonnx.ir import Graph, Node
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime.kernel_probes import nchwc_block_size
from jsonnx.runtime.step_runners import MAX_OVERSIZED_STEPS
from jsonnx.tuning.cpu.nchwc import conv_weight_gradient
from jsonnx.tuning.cpu.nchwc.conv1d_as_conv2d import conv1d_to_conv2d
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target

BLOCK = nchwc_block_size()
needs_blocks = pytest.mark.skipif(BLOCK == 1, reason="no blocked kernels here")


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


def choices(document: dict[str, Any], samples: int, block: int = 16) -> int:
    """How many gradients have a form for so many samples."""
    return operators(
        to_nchwc(
            conv1d_to_conv2d(plan_training(check_spec(document)).train, Target(block_size=16)),
            Target(block_size=block, expected_batch=samples),
        )
    ).count("If")


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


RELU = {"type": "ReLU"}
NETWORKS = {
    "plain": ([conv(16), RELU, conv(16)], (12, 10, 16)),
    "several-blocks": ([conv(32, activation="relu"), conv(64), conv(16)], (9, 7, 32)),
    "blocks-not-full": ([conv(24, activation="relu"), conv(40), conv(24)], (9, 7, 24)),
    "fewer-filters": ([conv(48, activation="relu"), conv(32, [5, 2]), conv(16, [1, 4])], (9, 7, 16)),
    "fewer-filters-than-a-block": (
        [conv(2 * BLOCK), conv(BLOCK // 2, activation="relu"), conv(2 * BLOCK), conv(BLOCK * 3 // 4), conv(BLOCK)],
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


@needs_blocks
@pytest.mark.parametrize("samples", [BLOCK, 3 * BLOCK - 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_steps(name: str, samples: int) -> None:
    document = spec(*NETWORKS[name])
    assert choices(document, samples, BLOCK) >= len(NETWORKS[name][0]) // 2
    assert_same_steps(document, *batch(document, samples))


@needs_blocks
def test_a_dilated_convolution_of_few_channels_has_such_a_form() -> None:
    document = spec(*NETWORKS["dilated-few-channels"])
    assert choices(document, 2 * BLOCK, BLOCK) == 2


@needs_blocks
@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_any_number_of_samples_after_the_first(name: str) -> None:
    document = spec(*NETWORKS[name])
    numbers = [2 * BLOCK, 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 3, 2 * BLOCK]
    assert_same_run(document, [batch(document, samples) for samples in numbers])


@needs_blocks
def test_a_larger_number_that_comes_again_and_again_gets_its_own_form() -> None:
    document = spec(*NETWORKS["plain"])
    few, many = batch(document, 3), batch(document, 2 * BLOCK)
    trainer, plain = Trainer(document, seed=2), Trainer(document, seed=2, fast=False)
    made = []
    for samples in [
        few,
        *[many] * MAX_OVERSIZED_STEPS,
        few,
        *[many] * (MAX_OVERSIZED_STEPS + 1),
        *[few] * (MAX_OVERSIZED_STEPS + 1),
    ]:
        assert trainer.step(*samples)["loss"] == pytest.approx(plain.step(*samples)["loss"], rel=1e-5)
        made.append(trainer._engine.step_runners.state.batch_size)
    assert made == [3] * (2 + 2 * MAX_OVERSIZED_STEPS) + [2 * BLOCK] * (MAX_OVERSIZED_STEPS + 2)


def test_a_session_without_such_forms_stays() -> None:
    document = spec(*NETWORKS["plain"])
    trainer = Trainer(document, seed=2, fast=False)
    trainer.step(*batch(document, 3))
    first = trainer._engine.step_runners.runner
    for _ in range(MAX_OVERSIZED_STEPS + 1):
        trainer.step(*batch(document, BLOCK))
    trainer.fit(*batch(document, 2 * BLOCK), batch_size=BLOCK, epochs=1)
    assert trainer._engine.step_runners.runner is first


@needs_blocks
def test_a_fit_gets_the_form_of_its_batches() -> None:
    document = spec(*NETWORKS["plain"])
    trainer = Trainer(document, seed=2)
    trainer.step(*batch(document, 3))
    trainer.fit(*batch(document, 3 * BLOCK), batch_size=BLOCK, epochs=1)
    assert trainer._engine.step_runners.state.batch_size == BLOCK


class SaveAt:
    """Saves after a step, and asks to stop there."""

    def __init__(self, trainer: Trainer, path: Path, step: int) -> None:
        self.trainer, self.path, self.step = trainer, path, step

    def on_step(self, step: int, figures: dict[str, float]) -> None:
        if self.trainer.steps == self.step:
            self.trainer.save_checkpoint(self.path)
            signal.raise_signal(signal.SIGTERM)


@needs_blocks
@pytest.mark.parametrize("first", [[], [{"type": "RandomFlip", "seed": 3}]], ids=["plain", "augmented"])
def test_a_run_that_goes_on_before_an_epochs_last_batch_has_the_same_bits(
    first: list[dict[str, Any]], tmp_path: Path
) -> None:
    layers, shape = NETWORKS["plain"]
    document = spec([*first, *layers], shape)
    data, how = batch(document, 2 * BLOCK + 5), {"batch_size": BLOCK, "epochs": 3}
    whole, broken, resumed = (Trainer(document, seed=4) for _ in range(3))
    whole.fit(*data, **how)
    path = tmp_path / "c.safetensors"
    broken.fit(*data, **how, callbacks=[SaveAt(broken, path, 5)])
    resumed.step(*data)
    resumed.load_checkpoint(path)
    resumed.fit(*data, **how)
    assert resumed.steps == whole.steps == 9
    for name, expected in whole.weights().items():
        assert (resumed.weights()[name] == expected).all(), name


@needs_blocks
def test_a_sample_may_hold_several_images() -> None:
    layer = {"type": "TimeDistributed", "layer": conv(16, activation="relu")}
    document = spec([layer, layer, {"type": "Reshape", "target_shape": [8, -1, 16]}], (4, 8, 8, 16))
    assert choices(document, 6, BLOCK) == 2  # 24 images
    assert_same_steps(document, *batch(document, 6))


def test_what_has_no_such_form() -> None:
    document = spec(*NETWORKS["plain"])
    assert choices(document, 32) == 2
    assert choices(document, 9) == 0  # would leave half of a block empty
    assert choices(spec([conv(16, 4), conv(16)], (12, 10, 1)), 32) == 1  # few weights a filter
    assert choices(spec([conv(16), conv(24, dilation_rate=2)]), 32) == 1  # a quarter of its blocks would be empty
    assert choices(spec([conv(16), conv(16, groups=2)]), 32) == 1
    assert choices(spec([conv(16), conv(16, 1)]), 32) == 1


def test_a_form_is_chosen_once_for_all() -> None:
    """Every gradient asks the same question, which is answered once."""
    made = to_nchwc(
        plan_training(check_spec(spec(*NETWORKS["several-blocks"]))).train, Target(block_size=16, expected_batch=32)
    )
    assert (operators(made).count("If"), operators(made).count("Equal")) == (3, 1)


def correlation(layer: dict[str, Any], shape: tuple[int, ...], *behind: dict[str, Any], samples: int = 32) -> Node:
    """The convolution that gives the gradient of a layer's weights."""
    document = spec([conv(shape[-1]), layer, *behind], shape)
    made = to_nchwc(plan_training(check_spec(document)).train, Target(block_size=16, expected_batch=samples, threads=2))
    choice = [node for node in made.nodes if node.op == "If"][len(behind)]
    convolutions = [node for node in choice.attributes["then_branch"].nodes if node.domain and node.op == "Conv"]
    (found,) = (node for node in convolutions if node.attributes["kernel_shape"] != [1, 1])
    return found


def moves(layer: dict[str, Any], shape: tuple[int, ...], *behind: dict[str, Any]) -> tuple[int, int]:
    """How many channels the image of the gradient of a layer's weights has, and how many filters move over it."""
    found = correlation(layer, shape, *behind)
    stride, apart = found.attributes["dilations"]
    return apart // stride, found.outputs[0].shape[1] // found.attributes["group"]


def test_the_side_of_fewer_channels_is_the_image() -> None:
    """It is what is framed, put in another order and cut into strips; a kernel takes several blocks of the other."""
    assert moves(conv(16), (12, 10, 32)) == (16, 32)
    assert moves(conv(64), (12, 10, 32)) == (32, 64)
    assert moves(conv(24), (12, 10, 40)) == (24, 48)
    assert moves(conv(8, activation="relu"), (12, 10, 32), conv(16)) == (8, 32)
    assert moves(conv(40), (12, 10, 48)) == (48, 48)  # as many blocks
    assert moves(conv(16, padding="valid"), (48, 48, 32)) == (16, 32)
    assert moves(conv(16, padding="valid"), (12, 10, 32)) == (32, 16)  # the other has many more places
    assert moves(conv(16, strides=2), (12, 10, 32)) == (32, 16)


def cuts(filters: int, shape: tuple[int, ...], samples: int) -> int:
    """How many rows of places a strip has."""
    rows: int = correlation(conv(filters, use_bias=False), shape, samples=samples).attributes["kernel_shape"][0]
    return rows


def test_an_image_that_is_not_large_stays_whole() -> None:
    assert cuts(16, (32, 32, 16), 64) == 32
    assert cuts(32, (32, 32, 32), 64) == 8
    assert cuts(16, (64, 64, 16), 64) == 8
    assert cuts(64, (16, 16, 64), 64) == 16
    assert cuts(64, (16, 16, 64), 16) == 8  # three rows of results cannot be shared out to two threads


@needs_blocks
def test_filters_of_very_many_places_are_laid_out_in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    document = spec(*NETWORKS["fewer-filters-in-strips"])
    steps = []
    for most in (conv_weight_gradient.MAX_FILTER_CHUNKS, 0):
        monkeypatch.setattr(conv_weight_gradient, "MAX_FILTER_CHUNKS", most)
        made = to_nchwc(plan_training(check_spec(document)).train, Target(block_size=16, expected_batch=BLOCK))
        ways = [node.attributes["then_branch"].nodes for node in made.nodes if node.op == "If"]
        steps.append(sum(node.op == "ReorderInput" for way in ways for node in way))
        assert_same_steps(document, *batch(document, BLOCK))
    assert steps[0] < steps[1]


@needs_blocks
def test_long_sums_are_exact_enough() -> None:
    """A gradient over many places, by the weights of one large step, against one in float64."""
    document = spec([conv(16, use_bias=False)], (64, 48, 16))
    document["training"]["optimizer"] = {"type": "sgd", "learning_rate": 1.0}
    x, y = batch(document, 2 * BLOCK)
    trainer = Trainer(document, seed=1)
    before = trainer.weights()
    trainer.step(x, y)
    moved = (before["conv2d/kernel"] - trainer.weights()["conv2d/kernel"]).astype(np.float64)
    pooled = convolved(x.astype(np.float64), before["conv2d/kernel"]).mean((1, 2))
    error = pooled @ before["dense/kernel"].astype(np.float64) + before["dense/bias"] - y
    of_pooled = (2 * error / error.size) @ before["dense/kernel"].T.astype(np.float64) / (64 * 48)
    padded = np.pad(x.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    sums = np.array([[padded[:, i : i + 64, j : j + 48].sum((1, 2)) for j in range(3)] for i in range(3)])
    expected = np.einsum("ijnc,no->ijco", sums, of_pooled)
    np.testing.assert_allclose(moved / np.abs(expected).max(), expected / np.abs(expected).max(), atol=3e-6)


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    high, wide = x.shape[1:3]
    return sum(
        padded[:, i : i + high, j : j + wide] @ kernel[i, j].astype(np.float64) for i in range(3) for j in range(3)
    )


@needs_blocks
def test_images_of_very_many_places_are_put_in_plain_order_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their order place by place would be too large a constant."""
    monkeypatch.setattr(conv_weight_gradient, "MAX_IMAGE_CHUNKS", 0)
    document = spec(*NETWORKS["several-blocks"])
    assert_same_steps(document, *batch(document, 2 * BLOCK))
