"""Which convolutions are converted to the NCHWc layout."""

from __future__ import annotations

import pytest
from jsonnx.core.types import BATCH, Dim, Size, TensorType
from jsonnx.ir import Builder, Value
from jsonnx.tuning.cpu.nchwc.context import NchwcContext
from jsonnx.tuning.cpu.nchwc.profitability import is_profitable, is_well_filled
from jsonnx.tuning.cpu.target import Target


def context(expected_batch: int | None = None) -> NchwcContext:
    return NchwcContext(Builder().graph({}), Target(block_size=16, expected_batch=expected_batch))


def image(*shape: Dim) -> Value:
    return Value(TensorType("float32", shape))


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


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((16, 16, 5, 5), True),
        ((6, 3, 5, 5), True),  # few channels, whose plain kernel mostly copies windows
        ((6, 3, 1, 1), False),  # one tap: the plain kernel copies no windows
        ((2, 1, 3, 3), False),  # later operators would mostly compute padding channels
        ((18, 18, 5, 5), False),  # 18 channels are no multiple of 4
    ],
)
def test_a_conv_is_converted_if_padding_costs_less_than_the_copies_of_a_plain_kernel(
    weights: tuple[int, ...], expected: bool
) -> None:
    assert is_profitable(context(), image(*weights), image(BATCH, weights[0], 14, 14)) == expected


def test_a_conv_transpose_swaps_the_channels_of_its_weights() -> None:
    weights, y = image(32, 3, 3, 3), image(BATCH, 3, 14, 14)
    assert not is_profitable(context(), weights, y, transposed=True)
    assert is_profitable(context(), image(32, 16, 3, 3), image(BATCH, 16, 14, 14), transposed=True)


def test_a_conv_of_few_multiply_adds_is_converted_only_if_its_channels_fill_blocks() -> None:
    y = image(BATCH, 6, 14, 14)
    partial, full = image(6, 3, 5, 5), image(16, 16, 5, 5)
    assert is_profitable(context(expected_batch=128), partial, y)
    assert not is_profitable(context(expected_batch=1), partial, y)
    assert is_profitable(context(expected_batch=1), full, y)
