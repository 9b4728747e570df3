"""The gradient of a 2x2 max pooling in the NCHWc layout, by comparisons of pairs of rows and pairs of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, GradientInfo
from jsonnx.tuning.cpu.nchwc.context import NchwcContext
from jsonnx.tuning.cpu.nchwc.maxpool_2x2_gradient import maxpool_2x2_gradient
from support.nchwc_graphs import (
    BLOCK,
    BLOCKS,
    assert_same_results,
    conv,
    evaluate,
    image_spec,
    nchwc_context,
    nchwc_nodes,
    nchwc_training_graph,
)
from support.training_steps import training_graph

POOL: dict[str, Any] = {"type": "MaxPooling2D"}
TILING = {"kernel_shape": [2, 2], "strides": [2, 2]}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("size", [(8, 6), (9, 6), (8, 7), (9, 7)], ids=str)
def test_results_are_those_of_the_plain_graph(size: tuple[int, int], block: int) -> None:
    spec = image_spec([conv(16, activation="relu"), POOL, conv(20), POOL], (*size, 3))
    assert_same_results(nchwc_training_graph(spec, block=block), training_graph(spec), block, samples=2)


def test_rows_and_columns_are_compared_once_each() -> None:
    graph = nchwc_training_graph(image_spec([conv(16), POOL, conv(16)], (8, 6, 3)))
    comparisons = [node for node in nchwc_nodes(graph) if node.attribute("activation") == "HardSigmoid"]
    assert [node.attribute("kernel_shape") for node in comparisons] == [[1, 2], [2, 1]]
    assert [node.attribute("strides") for node in comparisons] == [[1, 2], [2, 1]]


def pool_gradient(
    x: np.ndarray, attributes: dict[str, Any], *, blocked: bool = True
) -> tuple[NchwcContext, Any, np.ndarray]:
    """A context, the gradient in it and the cotangent, for a pooling of x."""
    g = Builder()
    pooled = tuple(size // 2 for size in x.shape[2:])
    dy = np.random.default_rng(1).normal(size=(*x.shape[:2], *pooled)).astype(np.float32)
    image, cotangent = (g.input(name, TensorType("float32", array.shape)) for name, array in (("x", x), ("dy", dy)))
    gradient = g.Identity(image)
    ctx = nchwc_context(g.graph({"gradient": gradient, "dy": cotangent}))
    if blocked:
        ctx.to_blocked(image)
    return ctx, maxpool_2x2_gradient(ctx, GradientInfo("MaxPool", image, cotangent, attributes), gradient), dy


@pytest.mark.parametrize("size", [(4, 6), (5, 7)], ids=str)
def test_of_equal_elements_the_first_rows_first_receives_the_gradient(size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).integers(-1, 1, (2, BLOCK, *size)).astype(np.float32)
    ctx, gradient, dy = pool_gradient(x, TILING)
    actual = evaluate(ctx.g.graph({"dx": gradient}), {"x": x, "dy": dy}, BLOCK)["dx"]
    expected = np.zeros_like(x)
    for row, column in np.ndindex(*dy.shape[2:]):
        window = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(*x.shape[:2], 4)
        rows, columns = np.divmod(window.argmax(axis=2), 2)
        samples, channels = np.indices(rows.shape)
        expected[samples, channels, 2 * row + rows, 2 * column + columns] = dy[:, :, row, column]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 3], "strides": [2, 2]},
        {"kernel_shape": [2, 2], "strides": [1, 1]},
        {"kernel_shape": [2, 2]},
        {**TILING, "pads": [0, 0, 1, 1]},
        {**TILING, "auto_pad": "SAME_UPPER"},
        {**TILING, "dilations": [2, 2]},
    ],
    ids=str,
)
def test_other_windows_have_no_such_gradient(attributes: dict[str, Any]) -> None:
    assert pool_gradient(np.zeros((2, BLOCK, 4, 6), np.float32), attributes)[1] is None


def test_an_image_that_is_not_blocked_has_no_such_gradient() -> None:
    assert pool_gradient(np.zeros((2, BLOCK, 4, 6), np.float32), TILING, blocked=False)[1] is None
