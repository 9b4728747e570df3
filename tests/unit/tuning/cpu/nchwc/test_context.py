"""Blocked forms of images and filters, the expected batch and fused convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Dim, Size, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.tuning.cpu.nchwc.context import FusedConv, NchwcContext, pad_with_conv
from support.nchwc_graphs import BLOCK, BLOCKS, evaluate, nchwc_context
from support.nchwc_reference import from_blocked, plain_filters, to_blocked


def context(
    shape: tuple[Dim, ...], block: int = BLOCK, expected_batch: int | None = None
) -> tuple[NchwcContext, Value]:
    """A context for a graph with an input of this shape."""
    g = Builder()
    x = g.input("x", TensorType("float32", shape))
    return nchwc_context(g.graph({"y": g.Neg(x)}), expected_batch, block), x


def evaluated(ctx: NchwcContext, y: Value, x: np.ndarray) -> np.ndarray:
    """The value y for the input x."""
    graph: Graph = ctx.g.graph({"y": y})
    return evaluate(graph, {"x": x}, ctx.block_size)["y"]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("channels", "block", "padded"), [(1, 16, 16), (16, 16, 16), (17, 16, 32), (17, 8, 24)])
def test_channels_are_padded_to_whole_blocks(channels: int, block: int, padded: int) -> None:
    ctx, x = context((BATCH, channels, 3, 2), block)
    assert ctx.padded_channels(channels) == padded
    assert ctx.padded_type(x.type).shape == (BATCH, padded, 3, 2)
    assert ctx.fills_blocks(x) == (channels == padded)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("channels", [16, 20, 22])
def test_a_blocked_form_has_the_channels_of_a_block_last(channels: int, block: int) -> None:
    ctx, x = context((2, channels, 3, 4), block)
    blocked = ctx.to_blocked(x)
    array = random(2, channels, 3, 4)
    padded = np.pad(array, [(0, 0), (0, ctx.padded_channels(channels) - channels), (0, 0), (0, 0)])
    np.testing.assert_array_equal(evaluated(ctx, blocked, array), to_blocked(padded, block))


def test_a_value_has_one_blocked_form() -> None:
    ctx, x = context((2, 16, 3, 4))
    assert x not in ctx
    assert ctx.to_blocked(x) is ctx.to_blocked(x)
    assert x in ctx
    plain = ctx.from_blocked(ctx.to_blocked(x), x.type)
    assert ctx.to_blocked(plain) is ctx.to_blocked(x)


@pytest.mark.parametrize("channels", [16, 20])
@pytest.mark.parametrize("is_blocked", [True, False])
def test_channels_last_from_blocks_or_from_the_plain_value(channels: int, is_blocked: bool) -> None:
    ctx, x = context((2, channels, 3, 4))
    if is_blocked:
        ctx.to_blocked(x)
    array = random(2, channels, 3, 4)
    np.testing.assert_array_equal(evaluated(ctx, ctx.channels_last(x), array), array.transpose(0, 2, 3, 1))
    assert any(node.op == "Transpose" for node in ctx.g.nodes) != is_blocked  # a Transpose runs on one thread


@pytest.mark.parametrize("channels", [16, 32])
def test_a_blocked_form_of_a_channels_last_value_needs_no_transpose(channels: int) -> None:
    g = Builder()
    last = g.input("x", TensorType("float32", (2, 3, 4, channels)))
    x = g.Transpose(last, perm=[0, 3, 1, 2])
    ctx = nchwc_context(g.graph({"y": x}))
    ctx.set_channels_last(x, last)
    array = random(2, 3, 4, channels)
    expected = to_blocked(array.transpose(0, 3, 1, 2), BLOCK)
    np.testing.assert_array_equal(evaluated(ctx, ctx.to_blocked(x), array), expected)
    assert not any(node.op == "Transpose" for node in ctx.g.nodes)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("outputs", "inputs"), [(16, 16), (32, 16), (20, 24), (16, 3), (20, 36)])
@pytest.mark.parametrize("flipped", [False, True])
def test_blocked_filters_are_the_weights(outputs: int, inputs: int, flipped: bool, block: int) -> None:
    """Flipped ones exchange inputs and outputs, and reverse the taps, as an input gradient needs them."""
    ctx, w = context((outputs, inputs, 3, 2), block)
    array = random(outputs, inputs, 3, 2)
    filters = plain_filters(evaluated(ctx, ctx.blocked_filters(w, flipped=flipped), array), block, depthwise=False)
    expected = array.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1] if flipped else array
    rows, columns = expected.shape[:2]
    np.testing.assert_array_equal(filters[:rows, :columns], expected)
    assert not filters[rows:].any()
    assert not filters[:, columns:].any()


def test_flipped_filters_of_a_phase_have_its_taps() -> None:
    ctx, w = context((16, 16, 3, 3))
    array = random(16, 16, 3, 3)
    blocked = ctx.blocked_filters(w, flipped=True, taps=(range(0, 3, 2), range(1, 3, 2)))
    filters = plain_filters(evaluated(ctx, blocked, array), BLOCK, depthwise=False)
    np.testing.assert_array_equal(filters, array.transpose(1, 0, 2, 3)[:, :, ::2, 1::2][:, :, ::-1, ::-1])


@pytest.mark.parametrize("flipped", [False, True])
def test_depthwise_filters_are_the_weights(flipped: bool) -> None:
    ctx, w = context((32, 1, 3, 2))
    array = random(32, 1, 3, 2)
    filters = plain_filters(evaluated(ctx, ctx.depthwise_filters(w, flipped=flipped), array), BLOCK, depthwise=True)
    np.testing.assert_array_equal(filters, array[:, :, ::-1, ::-1] if flipped else array)


@pytest.mark.parametrize(
    ("first_axis", "expected"),
    [
        (BATCH, 32),
        (BATCH * 4, 128),
        (BATCH + 1, None),
        (Size.named("rows"), None),
        (BATCH * Size.named("rows"), None),
        (7, None),
    ],
    ids=str,
)
def test_rows_are_expected_for_multiples_of_the_batch(first_axis: Dim, expected: int | None) -> None:
    ctx, x = context((first_axis, 16, 3, 2), expected_batch=32)
    assert ctx.expected_rows(x) == expected
    unknown, x = context((first_axis, 16, 3, 2))
    assert unknown.expected_rows(x) is None


def test_the_batch_size_is_checked_once_for_all_values_of_as_many_rows() -> None:
    ctx, x = context((BATCH, 16, 3, 2), expected_batch=5)
    check = ctx.has_expected_batch(x)
    assert ctx.has_expected_batch(ctx.g.Neg(x)) is check
    assert evaluated(ctx, check, random(5, 16, 3, 2)).all()
    assert not evaluated(ctx, check, random(6, 16, 3, 2)).any()


def test_a_convolution_is_fusable_if_one_node_uses_it() -> None:
    for uses in (1, 2):
        ctx, x = context((2, 16, 3, 2))
        weights = ctx.g.const(np.ones((16, 1, 1, 1)), "float32")
        conv = FusedConv(ctx.to_blocked(x), weights, {"group": 16, "kernel_shape": [1, 1]})
        y = ctx.emit_conv(conv, x.type)
        ctx.use_counts[y] = uses
        assert (ctx.fusable_conv(y) is conv) == (uses == 1)


def test_a_convolution_accepts_one_summand_before_its_activation() -> None:
    _, x = context((2, 16, 3, 2))
    assert FusedConv(x, x, {}).accepts_summand
    assert not FusedConv(x, x, {}, summand=x).accepts_summand
    assert not FusedConv(x, x, {"activation": "Relu"}).accepts_summand


def test_a_convolution_by_ones_pads_an_image_with_zeros() -> None:
    ctx, x = context((2, 32, 3, 2))
    padded = pad_with_conv(ctx.g, ctx.to_blocked(x), (1, 2, 3, 0))
    assert padded.shape == (2, 32, 7, 4)
    array = random(2, 32, 3, 2)
    expected = np.pad(array, [(0, 0), (0, 0), (1, 3), (2, 0)])
    np.testing.assert_array_equal(from_blocked(evaluated(ctx, padded, array), BLOCK), expected)
