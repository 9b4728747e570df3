"""The gradient of overlapping max poolings in the NCHWc layout, tap by tap along rows, then columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.tuning.cpu.nchwc.maxpool_gradient import MAX_WINDOW_TAPS, WindowAxis, maxpool_gradient_1d
from support.nchwc_graphs import (
    BLOCK,
    BLOCKS,
    all_nodes,
    assert_same_results,
    conv,
    evaluate_blocked,
    image_spec,
    nchwc_nodes,
    nchwc_training_graph,
)
from support.training_steps import training_graph

SHAPE = (9, 8, 3)


def pool(pool_size: Any = 3, strides: Any = 2, padding: str = "same") -> dict[str, Any]:
    return {"type": "MaxPooling2D", "pool_size": pool_size, "strides": strides, "padding": padding}


POOLS = {
    "stride-of-two": pool(),
    "valid": pool(padding="valid"),
    "rows-and-columns-differ": pool([3, 2], [2, 1]),
    "stride-of-one": pool(2, 1),
    "windows-that-tile": pool(3, 3),
    "one-row": pool([1, 3], [1, 2]),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", POOLS)
def test_results_are_those_of_the_plain_graph(name: str, block: int) -> None:
    spec = image_spec([conv(16, activation="tanh"), POOLS[name], conv(16)], SHAPE)
    assert_same_results(nchwc_training_graph(spec, block=block), training_graph(spec), block, samples=2)


@pytest.mark.parametrize("name", POOLS)
def test_no_plain_pooling_or_scatter_is_left(name: str) -> None:
    graph = nchwc_training_graph(image_spec([conv(16), POOLS[name], conv(16)], SHAPE))
    assert not {node.op for node in all_nodes(graph) if not node.domain} & {"MaxPool", "ScatterElements", "Resize"}


def test_a_window_takes_as_many_taps_as_its_height_and_width() -> None:
    """The last tap of an axis receives the rest, so it needs no comparison."""
    graph = nchwc_training_graph(image_spec([conv(16), pool([4, 3], 1), conv(16)], SHAPE))
    comparisons = [node for node in nchwc_nodes(graph) if node.attribute("activation") == "HardSigmoid"]
    assert len(comparisons) == (4 - 1) + (3 - 1)


def test_windows_that_leave_gaps_or_have_very_many_taps_stay_plain() -> None:
    for layer in (pool(2, 3), pool([MAX_WINDOW_TAPS - 1, 2], 1)):
        graph = nchwc_training_graph(image_spec([conv(16), layer, conv(16)], (30, 8, 3)))
        assert not any(node.attribute("activation") == "HardSigmoid" for node in nchwc_nodes(graph)), layer


def row_axis(taps: int, stride: int, pad: int, pad_after: int, input_size: int) -> WindowAxis:
    window_count = (input_size + pad + pad_after - taps) // stride + 1
    return WindowAxis(2, taps, stride, pad, pad_after, input_size, window_count)


AXES = [
    row_axis(3, 2, 1, 1, 9),
    row_axis(3, 2, 0, 1, 8),
    row_axis(2, 1, 0, 1, 5),
    row_axis(5, 3, 2, 2, 10),
    row_axis(3, 2, 0, 0, 10),
]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_phase_and_start_give_the_element_under_a_tap(axis: WindowAxis) -> None:
    for tap in range(axis.taps):
        assert axis.stride * axis.start(tap) + axis.phase(tap) == tap - axis.pad
        elements = [axis.stride * window + tap - axis.pad for window in range(axis.window_count)]
        assert axis.in_bounds(tap).tolist() == [0 <= element < axis.input_size for element in elements]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_the_extent_of_a_phase_holds_every_element_and_every_tap(axis: WindowAxis) -> None:
    end = axis.first_start + axis.phase_extent
    assert end * axis.stride >= axis.input_size
    assert end == max(
        -(-axis.input_size // axis.stride), *(axis.start(tap) + axis.window_count for tap in range(axis.taps))
    )


def test_attributes_and_sizes_of_an_axis() -> None:
    rows, columns = row_axis(3, 2, 1, 0, 9), row_axis(3, 2, 1, 0, 9)._replace(axis=3)
    assert rows.window_attributes == {"kernel_shape": [3, 1], "strides": [2, 1], "pads": [1, 0, 0, 0]}
    assert columns.window_attributes == {"kernel_shape": [1, 3], "strides": [1, 2], "pads": [0, 1, 0, 0]}
    image = TensorType("float32", (2, BLOCK, 9, 8))
    assert rows.with_size(image, 4).shape == (2, BLOCK, 4, 8)
    assert columns.with_size(image, 4).shape == (2, BLOCK, 9, 4)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("distinct", [True, False], ids=["distinct-elements", "ties"])
def test_the_first_maximum_of_a_window_receives_its_gradient(axis: WindowAxis, distinct: bool) -> None:
    rng = np.random.default_rng(0)
    size = (1, BLOCK, axis.input_size, 2)
    x = rng.normal(size=size).astype(np.float32) if distinct else rng.integers(-2, 1, size).astype(np.float32)
    dy = rng.normal(size=(1, BLOCK, axis.window_count, 2)).astype(np.float32)
    x_type = TensorType("float32", x.shape)
    actual = evaluate_blocked(
        lambda ctx, *blocks: ctx.from_blocked(maxpool_gradient_1d(ctx, axis, *blocks), x_type), x, dy
    )
    expected = np.zeros_like(x)
    for window in range(axis.window_count):
        start = window * axis.stride - axis.pad
        begin, end = max(0, start), min(axis.input_size, start + axis.taps)
        row = begin + x[:, :, begin:end].argmax(axis=2)
        np.add.at(expected, (*np.indices(row.shape)[:2], row, np.indices(row.shape)[2]), dy[:, :, window])
    np.testing.assert_allclose(actual, expected, atol=1e-6)
