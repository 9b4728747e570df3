"""Transposed convolutions with strides in the NCHWc layout, by phases or by zeros between the elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Value
from jsonnx.tuning.cpu.nchwc import conv_transpose
from jsonnx.tuning.cpu.nchwc.conv_transpose import crop_or_pad, insert_zeros, output_phases
from support.harness import assert_same_steps
from support.nchwc_graphs import (
    BLOCK,
    BLOCKS,
    all_nodes,
    assert_same_results,
    conv,
    evaluate_blocked,
    image_spec,
    nchwc_context,
    nchwc_nodes,
    nchwc_training_graph,
    needs_nchwc_kernels,
)
from support.training_steps import training_graph

SHAPE = (9, 8, 16)


def conv_transpose_layer(filters: int, kernel_size: Any, strides: Any, **attributes: Any) -> dict[str, Any]:
    return {**conv(filters, kernel_size, strides=strides, **attributes), "type": "Conv2DTranspose"}


DEPTHWISE = {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": 2, "padding": "same"}
NETWORKS = {
    "strides": [conv(16), conv(32, strides=2), conv(16, [3, 2], strides=[2, 1])],
    "strides-of-three": [conv(16), conv(16, 4, strides=3), conv(32, strides=[3, 2], padding="valid")],
    "one-tap": [conv(16), conv(32, 1, strides=2), conv(16, 1, strides=[3, 2])],
    "depthwise": [conv(16), DEPTHWISE, {**DEPTHWISE, "kernel_size": 2, "padding": "valid"}],
    "layers": [
        conv(16),
        conv_transpose_layer(16, 3, 2),
        conv_transpose_layer(32, [2, 3], [2, 1], padding="valid", activation="relu"),
    ],
    "padded-blocks": [conv(20), conv(36, strides=2), conv_transpose_layer(20, 3, 2, activation="tanh")],
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_those_of_the_plain_graph(name: str, block: int) -> None:
    spec = image_spec(NETWORKS[name], SHAPE)
    assert_same_results(nchwc_training_graph(spec, block=block), training_graph(spec), block, samples=2)


@pytest.mark.parametrize(
    ("taps", "stride", "pad"), [(1, 1, 0), (3, 1, 1), (2, 2, 0), (3, 2, 0), (4, 2, 1), (5, 2, 1), (3, 3, 0), (5, 3, 1)]
)
def test_phases_together_are_the_transposed_convolution(taps: int, stride: int, pad: int) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=4), rng.normal(size=taps)
    expected = transposed_convolution(x, w, stride, pad)
    result = np.zeros(-(-len(expected) // stride) * stride)
    phases = output_phases(taps, stride, pad, len(x), len(expected))
    assert sorted(tap for phase in phases for tap in phase.taps) == list(range(taps))
    for start, phase in enumerate(phases):
        padded = np.pad(x, (phase.pad_before, phase.pad_after))
        result[start::stride] = np.correlate(padded, w[phase.taps][::-1])
    np.testing.assert_allclose(result[: len(expected)], expected, atol=1e-12)


def transposed_convolution(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """By the definition: every element adds a copy of the window, which it scales."""
    y = np.zeros((len(x) - 1) * stride + len(w))
    for index, element in enumerate(x):
        y[index * stride : index * stride + len(w)] += element * w
    return y[pad : len(y) - pad]


def test_phases_without_taps_and_negative_paddings_show() -> None:
    """`conv_by_phases` has no form for these."""
    assert [len(phase.taps) for phase in output_phases(taps=2, stride=3, pad=0, input_size=4, output_size=11)] == [
        1,
        1,
        0,
    ]
    assert output_phases(taps=2, stride=1, pad=2, input_size=4, output_size=1)[0].pad_before < 0


def test_phases_of_a_same_convolution_of_stride_two() -> None:
    even, odd = output_phases(taps=3, stride=2, pad=0, input_size=4, output_size=8)
    assert (list(even.taps), even.pad_before, even.pad_after) == ([0, 2], 1, 0)
    assert (list(odd.taps), odd.pad_before, odd.pad_after) == ([1], 0, 0)


def test_every_phase_is_a_convolution_with_its_part_of_the_window() -> None:
    graph = nchwc_training_graph(image_spec([conv(16), conv(16, strides=2)], (8, 8, 16)))
    assert not any(node.op == "ConvTranspose" for node in graph.nodes)
    sizes = [
        tuple(node.inputs[1].shape[2:]) for node in nchwc_nodes(graph) if node.scope == "conv2d_1" and node.inputs[1]
    ]
    assert sizes == [(3, 3), (2, 2), (2, 1), (1, 2), (1, 1)]  # the layer, then the phases of its input gradient


def test_every_phase_applies_the_bias_and_the_activation() -> None:
    layers = [conv(16), conv_transpose_layer(16, 4, 2, activation="relu"), conv(16)]
    graph = nchwc_training_graph(image_spec(layers, SHAPE))
    phases = [node for node in nchwc_nodes(graph) if node.attribute("activation") == "Relu"]
    assert len(phases) == 2 * 2
    assert all(node.input(2) is not None for node in phases)
    assert not any(node.op == "Relu" for node in graph.nodes)


def test_dilated_transposed_convolutions_with_strides_stay_plain() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 16, 5, 5)))
    w = g.input("w", TensorType("float32", (16, 16, 3, 3)))
    y = g.ConvTranspose(x, w, strides=[2, 2], dilations=[2, 2], pads=[0, 0, 0, 0])
    ctx = nchwc_context(g.graph({"y": y}))
    assert conv_transpose.convert_strided_conv_transpose(ctx, g.nodes[-1], None, depthwise=False) is None


@pytest.mark.parametrize("name", ["depthwise", "one-tap"])
def test_zeros_are_inserted_by_a_mask_into_small_images_and_by_a_gather_into_large_ones(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = image_spec(NETWORKS[name], SHAPE)
    assert nchwc_nodes(nchwc_training_graph(spec), "Upsample")
    monkeypatch.setattr(conv_transpose, "MIN_GATHER_ELEMENTS", 0)
    graph = nchwc_training_graph(spec)
    assert not nchwc_nodes(graph, "Upsample")
    assert any(node.op == "Gather" for node in all_nodes(graph))
    assert_same_results(graph, training_graph(spec), BLOCK, samples=2)


@needs_nchwc_kernels
@pytest.mark.parametrize("name", ["depthwise", "one-tap"])
def test_steps_with_zeros_from_a_gather_are_those_without_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_transpose, "MIN_GATHER_ELEMENTS", 0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, *SHAPE), np.float32), rng.standard_normal((6, 3), np.float32)
    assert_same_steps(image_spec(NETWORKS[name], SHAPE), x, y)


@pytest.mark.parametrize("min_gather_elements", [0, 1 << 21])
def test_zeros_lie_between_the_elements(min_gather_elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_transpose, "MIN_GATHER_ELEMENTS", min_gather_elements)
    image = random_image(3, 2)
    expected = np.zeros((2, BLOCK, 6, 6), np.float32)
    expected[:, :, ::2, ::3] = image
    type = TensorType("float32", expected.shape)
    result = evaluate_blocked(lambda ctx, x: ctx.from_blocked(insert_zeros(ctx, x, [2, 3]), type), image)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("size", [(4, 5), (3, 5), (6, 7), (3, 7), (4, 2)])
def test_rows_and_columns_at_the_end_are_cropped_or_padded(size: tuple[int, int]) -> None:
    image = random_image(4, 5)
    target = Value(TensorType("float32", (2, BLOCK, *size)))
    expected = np.pad(image, [(0, 0), (0, 0), (0, 4), (0, 4)])[:, :, : size[0], : size[1]]
    np.testing.assert_array_equal(evaluate_blocked(lambda ctx, x: crop_or_pad(ctx, x, target), image), expected)


def random_image(height: int, width: int) -> np.ndarray:
    """Two samples of one block of channels."""
    return np.random.default_rng(0).normal(size=(2, BLOCK, height, width)).astype(np.float32)
