"""Where the NCHWc layout is profitable: which blocks are well filled, and which padding pays."""

from __future__ import annotations

import pytest
from jsonnx.core.types import BATCH, Dim, Size, TensorType
from jsonnx.ir import Builder, Value
from jsonnx.tuning.cpu.nchwc.context import NchwcContext, is_well_filled
from nchwc_graphs import nchwc_context


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (16, 16, True),
        (32, 20, True),
        (3, 16, True),  # inputs that fill no block are read as they are
        (16, 12, False),  # the outputs fill no block
        (18, 16, False),  # no multiple of 4
        (20, 20, False),  # 32 * 32 products for 20 * 20
        (28, 28, True),
        (Size.named("channels"), 16, False),
    ],
)
def test_channels_fill_blocks_well_if_padding_is_not_most_of_the_work(
    inputs: Dim, outputs: int, expected: bool
) -> None:
    assert is_well_filled(16, inputs, outputs) == expected


def context(samples: int) -> NchwcContext:
    g = Builder()
    return nchwc_context(g.graph({"y": g.Neg(g.input("x", TensorType("float32", (BATCH,))))}), samples)


def weights_and_result(filters: int, channels: int, taps: int) -> tuple[Value, Value]:
    """The operands of `is_profitable` for images of 14x14."""
    shapes = ((filters, channels, taps, taps), (BATCH, filters, 14, 14))
    weights, result = (Value(TensorType("float32", shape)) for shape in shapes)
    return weights, result


def test_padded_blocks_are_profitable_for_many_products() -> None:
    few_filters = weights_and_result(filters=6, channels=3, taps=5)
    assert context(samples=128).is_profitable(*few_filters)
    assert not context(samples=1).is_profitable(*few_filters)


def test_padded_blocks_of_one_tap_are_not_profitable() -> None:
    assert not context(samples=128).is_profitable(*weights_and_result(filters=6, channels=3, taps=1))


def test_full_blocks_are_profitable_for_any_number_of_products() -> None:
    assert context(samples=1).is_profitable(*weights_and_result(filters=16, channels=16, taps=1))


def test_a_number_of_channels_that_no_reordering_takes_is_not_profitable() -> None:
    assert not context(samples=128).is_profitable(*weights_and_result(filters=32, channels=18, taps=5))
