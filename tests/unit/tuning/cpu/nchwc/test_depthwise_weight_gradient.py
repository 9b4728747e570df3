"""The weight gradient of a depthwise convolution as a depthwise convolution over the channels of all samples."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import GradientInfo, Graph, Node, Value
from jsonnx.tuning.cpu.nchwc.depthwise_weight_gradient import DepthwiseWeightGradient
from support.nchwc_graphs import BLOCK, BLOCKS, assert_same_results, conv, image_spec, nchwc_nodes, nchwc_training_graph
from support.training_steps import training_graph

SHAPE = (9, 8, 16)


def depthwise(kernel_size: Any = 3, **attributes: Any) -> dict[str, Any]:
    return {"type": "DepthwiseConv2D", "kernel_size": kernel_size, "padding": "same", **attributes}


LAYERS = {
    "same": depthwise(),
    "valid": depthwise([3, 2], padding="valid"),
    "strides": depthwise(strides=2),
    "stride-with-a-rest": depthwise(2, strides=3, padding="valid"),
    "dilations": depthwise([3, 2], dilation_rate=2),
}


@pytest.mark.costly(2)
@pytest.mark.parametrize("samples", [3, 5], ids=["expected-batch", "another-batch"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", LAYERS)
def test_results_are_those_of_the_plain_graph(name: str, block: int, samples: int) -> None:
    spec = image_spec([conv(16), LAYERS[name]], SHAPE)
    assert_same_results(nchwc_training_graph(spec, 3, block), training_graph(spec), block, samples)


def as_large_as_the_cotangent(graph: Graph, size: tuple[int, int] = SHAPE[:2]) -> list[Node]:
    """Convolutions, in branches or loops, whose filter is a whole cotangent."""
    return [node for node in nchwc_nodes(graph) if node.attribute("kernel_shape") == list(size)]


def test_the_channels_of_all_samples_are_those_of_one_convolution_for_the_expected_batch() -> None:
    graph = nchwc_training_graph(image_spec([conv(16), depthwise()], SHAPE), samples=5)
    assert sorted(node.attribute("group") for node in as_large_as_the_cotangent(graph)) == [16, 5 * 16]


def test_a_batch_of_unknown_size_is_processed_sample_by_sample() -> None:
    graph = nchwc_training_graph(image_spec([conv(16), depthwise()], SHAPE))
    assert [node.attribute("group") for node in as_large_as_the_cotangent(graph)] == [16]
    assert sum(node.op == "Scan" for node in graph.nodes) == 1


def test_channels_that_do_not_fill_their_blocks_have_no_such_gradient() -> None:
    graph = nchwc_training_graph(image_spec([conv(20), depthwise()], SHAPE), samples=5)
    assert not as_large_as_the_cotangent(graph)


def test_several_filters_of_a_channel_have_no_such_gradient() -> None:
    graph = nchwc_training_graph(image_spec([conv(16), depthwise(depth_multiplier=2)], SHAPE), samples=5)
    assert not as_large_as_the_cotangent(graph)


def form(operand: int, cotangent: int, taps: int, stride: int, dilation: int, pad: int) -> DepthwiseWeightGradient:
    """The convolution for a square image."""
    sides = ((BATCH, operand), (BATCH, cotangent), (BLOCK, taps))
    x, dy, weights = (Value(TensorType("float32", (count, BLOCK, side, side))) for count, side in sides)
    attributes = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": [pad] * 4, "group": BLOCK}
    return DepthwiseWeightGradient.of(GradientInfo("Conv", x, dy, attributes), weights)


def test_strides_and_dilations_are_exchanged() -> None:
    gradient = form(operand=9, cotangent=4, taps=3, stride=2, dilation=1, pad=0)
    assert gradient.conv_attributes == {"kernel_shape": [4, 4], "strides": [1, 1], "dilations": [2, 2], "pads": [0] * 4}
    gradient = form(operand=9, cotangent=9, taps=3, stride=1, dilation=2, pad=2)
    assert gradient.conv_attributes == {"kernel_shape": [9, 9], "strides": [2, 2], "dilations": [1, 1], "pads": [2] * 4}


def test_the_result_has_the_rows_of_the_weights_and_more_if_a_stride_leaves_a_rest() -> None:
    assert form(operand=9, cotangent=9, taps=3, stride=1, dilation=1, pad=1).rows == 3
    assert form(operand=9, cotangent=4, taps=3, stride=2, dilation=1, pad=0).rows == 3
    assert form(operand=10, cotangent=4, taps=3, stride=2, dilation=1, pad=0).rows == 4


def test_no_more_padding_at_the_end_than_the_last_window_reads() -> None:
    assert form(operand=8, cotangent=4, taps=3, stride=2, dilation=1, pad=1).conv_attributes["pads"] == [1, 1, 0, 0]
