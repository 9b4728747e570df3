"""Operators that move whole blocks of channels: which ones are converted, and that they move the same channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Value
from jsonnx.tuning.cpu.nchwc.context import NchwcContext
from jsonnx.tuning.cpu.nchwc.data_movement import (
    convert_channel_pad,
    convert_concat,
    convert_gather,
    convert_reshape,
    convert_split,
)
from support.nchwc_graphs import BLOCKS, evaluate, nchwc_context

Build = Callable[[Builder, Value], Any]


def image(g: Builder, channels: int, name: str = "x") -> Value:
    return g.input(name, TensorType("float32", (BATCH, channels, 3, 2)))


def convert(
    converter: Callable[..., Any], build: Build, block: int, channels: int
) -> tuple[NchwcContext, list[Value] | None]:
    """What a converter makes of the last node that is built on a blocked image of so many channels."""
    g = Builder()
    x = image(g, channels)
    build(g, x)
    ctx = nchwc_context(g.graph({str(index): y for index, y in enumerate(g.nodes[-1].outputs)}), block=block)
    ctx.g.nodes.extend(g.nodes[:-1])
    ctx.to_blocked(x)
    results = converter(ctx, g.nodes[-1])
    return ctx, [results] if isinstance(results, Value) else results


def assert_moves_the_same_channels(converter: Callable[..., Any], build: Build, block: int, channels: int) -> None:
    """Compares the converted node with the plain one; the results are in blocks."""
    ctx, results = convert(converter, build, block, channels)
    assert results is not None
    assert all(result in ctx for result in results)
    g = Builder()
    build(g, image(g, channels))
    plain = g.graph({str(index): y for index, y in enumerate(g.nodes[-1].outputs)})
    feeds = {"x": np.random.default_rng(0).normal(size=(4, channels, 3, 2)).astype(np.float32)}
    actual = evaluate(ctx.g.graph({str(index): y for index, y in enumerate(results)}), feeds, block)
    for name, expected in evaluate(plain, feeds, block).items():
        np.testing.assert_array_equal(actual[name], expected)


def is_converted(converter: Callable[..., Any], build: Build, channels: int = 32, block: int = 16) -> bool:
    return convert(converter, build, block, channels)[1] is not None


@pytest.mark.parametrize("block", BLOCKS)
def test_a_reshape_joins_the_channels_of_several_images(block: int) -> None:
    assert_moves_the_same_channels(
        convert_reshape, lambda g, x: g.reshape(x, (BATCH // 2, 2 * 2 * block, 3, 2)), block, 2 * block
    )


def test_a_reshape_of_height_and_width_is_not_converted() -> None:
    assert not is_converted(convert_reshape, lambda g, x: g.reshape(x, (BATCH, 32, 2, 3)))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_gather_takes_whole_blocks_in_any_order(block: int) -> None:
    channels = [*range(2 * block, 3 * block), *range(block), *range(2 * block, 3 * block)]
    assert_moves_the_same_channels(
        convert_gather, lambda g, x: g.Gather(x, g.const(channels, "int64"), axis=1), block, 3 * block
    )


@pytest.mark.parametrize(
    "channels",
    [[*range(8, 24)], [*range(15, -1, -1)], [*range(0, 32, 2)]],
    ids=["not-aligned", "reversed", "every-second"],
)
def test_a_gather_of_parts_of_blocks_is_not_converted(channels: list[int]) -> None:
    assert not is_converted(convert_gather, lambda g, x: g.Gather(x, g.const(channels, "int64"), axis=1))


def test_a_gather_along_another_axis_is_not_converted() -> None:
    assert not is_converted(convert_gather, lambda g, x: g.Gather(x, g.const([0] * 16, "int64"), axis=2))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_concat_joins_images_of_which_the_last_may_leave_a_part_of_a_block(block: int) -> None:
    def joined(g: Builder, x: Value) -> Value:
        return g.Concat(x, g.Neg(x), g.Slice(x, [0], [block // 2], [1]), axis=1)

    assert_moves_the_same_channels(convert_concat, joined, block, block)


def test_a_concat_is_not_converted_if_another_part_leaves_a_part_of_a_block() -> None:
    assert not is_converted(convert_concat, lambda g, x: g.Concat(g.Slice(x, [0], [20], [1]), x, axis=1))


def test_a_concat_of_plain_images_or_along_another_axis_is_not_converted() -> None:
    assert not is_converted(convert_concat, lambda g, x: g.Concat(g.Neg(x), g.Abs(x), axis=1))
    assert not is_converted(convert_concat, lambda g, x: g.Concat(x, x, axis=2))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_split_takes_images_apart_of_which_the_last_may_leave_a_part_of_a_block(block: int) -> None:
    sizes = [2 * block, block, block // 2]
    assert_moves_the_same_channels(convert_split, lambda g, x: g.Split(x, sizes, axis=1, outputs=3), block, sum(sizes))


def test_a_split_inside_a_block_is_not_converted() -> None:
    assert not is_converted(convert_split, lambda g, x: g.Split(x, [8, 24], axis=1, outputs=2))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_pad_adds_whole_blocks_of_zeros(block: int) -> None:
    pads = [0, block, 0, 0, 0, 2 * block, 0, 0]
    assert_moves_the_same_channels(convert_channel_pad, lambda g, x: g.Pad(x, pads), block, 2 * block)


@pytest.mark.parametrize(
    "pads", [[0, 8, 0, 0, 0, 8, 0, 0], [0, 16, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 16, 0, 0]], ids=str
)
def test_a_pad_of_parts_of_blocks_or_of_other_axes_is_not_converted(pads: list[int]) -> None:
    assert not is_converted(convert_channel_pad, lambda g, x: g.Pad(x, pads))


def test_a_pad_by_repetition_is_not_converted() -> None:
    assert not is_converted(convert_channel_pad, lambda g, x: g.Pad(x, [0, 16, 0, 0, 0, 0, 0, 0], mode="edge"))
