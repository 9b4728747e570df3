"""Sizes of the correlation that gives a weight gradient, and that the correlation gives it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import GradientInfo, Value
from jsonnx.tuning.cpu.nchwc.conv_geometry import (
    MAX_CACHED_POSITIONS,
    MAX_SUMMED_POSITIONS,
    MAX_UNCUT_POSITIONS,
    CorrelationGeometry,
)

Pair = tuple[int, int]


def geometry(
    operand: Pair, taps: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1), pads: Pair = (0, 0), samples: int = 1
) -> CorrelationGeometry:
    """The geometry of a convolution of one channel with the same padding on both sides of an axis."""
    cotangent = output_size(operand, taps, strides, dilations, pads)
    x, dy, weights = (
        Value(TensorType("float32", (n, 1, *size))) for n, size in ((BATCH, operand), (BATCH, cotangent), (1, taps))
    )
    correlation = CorrelationGeometry.of(gradient_info(x, dy, strides, dilations, pads), weights, samples)
    assert correlation is not None
    return correlation


def gradient_info(x: Value, dy: Value, strides: Pair, dilations: Pair, pads: Pair, auto_pad: str = "") -> GradientInfo:
    attributes: dict[str, Any] = {"strides": list(strides), "dilations": list(dilations), "pads": [*pads, *pads]}
    return GradientInfo("Conv", x, dy, {"group": 1, "auto_pad": auto_pad, **attributes})


def output_size(operand: Pair, taps: Pair, strides: Pair, dilations: Pair, pads: Pair) -> Pair:
    axes = zip(operand, taps, strides, dilations, pads, strict=True)
    rows, columns = ((n + 2 * pad - (k - 1) * d - 1) // s + 1 for n, k, s, d, pad in axes)
    return rows, columns


def correlate(image: np.ndarray, filters: np.ndarray, strides: Pair, taps: Pair) -> np.ndarray:
    """The sums of an image times a filter, shifted by every tap; the rows of the filter are a stride apart."""
    rows, columns = (np.arange(n) * s for n, s in zip(filters.shape, strides, strict=True))
    return np.array(
        [[(image[np.ix_(rows + i, columns + j)] * filters).sum() for j in range(taps[1])] for i in range(taps[0])]
    )


CONVOLUTIONS = {
    "valid": ((7, 6), (3, 2)),
    "padded": ((7, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    "more-padding-than-a-window-needs": ((5, 5), (2, 2), (1, 1), (1, 1), (3, 1)),
    "strides": ((9, 8), (3, 3), (2, 3), (1, 1), (1, 0)),
    "stride-with-a-rest": ((9, 10), (2, 2), (3, 4)),
    "dilations": ((9, 10), (3, 2), (1, 1), (2, 3), (2, 1)),
    "dilation-of-one-axis": ((8, 9), (3, 3), (1, 2), (3, 1), (3, 1)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_correlation_of_all_phases_is_the_weight_gradient(name: str) -> None:
    operand, taps, strides, dilations, pads = (*CONVOLUTIONS[name], (1, 1), (1, 1), (0, 0))[:5]
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=operand), rng.normal(size=output_size(operand, taps, strides, dilations, pads))
    correlation = geometry(operand, taps, strides, dilations, pads)
    image = padded(x, correlation.pads)
    filters = padded(dy, (0, 0, *correlation.cotangent_padding))
    total = np.zeros(taps)
    for row, column in product(range(dilations[0]), range(dilations[1])):
        phase = image[row :: dilations[0], column :: dilations[1]][
            : correlation.image_size[0], : correlation.image_size[1]
        ]
        phase_filters = filters[row :: dilations[0], column :: dilations[1]]
        assert (phase.shape, phase_filters.shape) == (correlation.image_size, correlation.cotangent_size)
        total += correlate(phase, phase_filters, strides, taps)
    np.testing.assert_allclose(total, weight_gradient(x, dy, taps, strides, dilations, pads), atol=1e-12)


def weight_gradient(
    x: np.ndarray, dy: np.ndarray, taps: Pair, strides: Pair, dilations: Pair, pads: Pair
) -> np.ndarray:
    """By the definition: dw[i, j] = sum over p, q of dy[p, q] * x[s p + d i - pad, s q + d j - pad]."""
    image = np.pad(x, [(pads[0], pads[0]), (pads[1], pads[1])])
    gradient = np.zeros(taps)
    for i, j, p, q in product(*map(range, (*taps, *dy.shape))):
        row, column = strides[0] * p + dilations[0] * i, strides[1] * q + dilations[1] * j
        gradient[i, j] += dy[p, q] * image[row, column]
    return gradient


def padded(x: np.ndarray, pads: tuple[int, int, int, int]) -> np.ndarray:
    above, left, below, right = pads
    return np.pad(x, [(above, below), (left, right)])


@pytest.mark.parametrize("pads", [(0, 0), (1, 1), (2, 1)])
def test_correlation_with_swapped_roles_gives_the_weights_in_reverse(pads: Pair) -> None:
    operand, taps = (7, 6), (3, 2)
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=operand), rng.normal(size=output_size(operand, taps, (1, 1), (1, 1), pads))
    correlation = geometry(operand, taps, pads=pads)
    image_size = correlation.image_size[0] - 2 * pads[0], correlation.image_size[1] - 2 * pads[1]
    assert image_size == operand
    swapped = correlation.swapped
    if pads == (0, 0):
        assert swapped is None  # the operand has far more positions than the cotangent
        return
    assert swapped is not None
    assert (swapped.cotangent_size, swapped.strip_rows) == (operand, operand[0])
    image = padded(dy, swapped.pads)
    assert image.shape == swapped.image_size
    reverse = correlate(image, x, (1, 1), taps)
    np.testing.assert_allclose(reverse[::-1, ::-1], weight_gradient(x, dy, taps, (1, 1), (1, 1), pads), atol=1e-12)


def test_roles_are_not_swapped_with_strides_dilations_or_much_padding() -> None:
    assert geometry((8, 8), (3, 3), pads=(1, 1)).swapped is not None
    assert geometry((8, 8), (3, 3), strides=(1, 2), pads=(1, 1)).swapped is None
    assert geometry((8, 8), (3, 3), dilations=(2, 1), pads=(2, 1)).swapped is None
    assert geometry((8, 8), (2, 2), pads=(2, 1)).swapped is None  # a tap would lie outside of the padded cotangent


def test_padding_at_the_end_reaches_what_the_last_window_reads() -> None:
    correlation = geometry((12, 10), (3, 3), pads=(1, 1))
    assert (correlation.pads, correlation.image_size, correlation.cotangent_size) == ((1, 1, 1, 1), (14, 12), (12, 10))
    correlation = geometry((9, 10), (2, 2), strides=(3, 4))
    assert (correlation.pads, correlation.image_size, correlation.cotangent_size) == ((0, 0, 0, 0), (9, 10), (3, 3))


def test_phases_are_samples_of_a_smaller_image() -> None:
    correlation = geometry((9, 9), (3, 3), dilations=(2, 2), pads=(2, 2), samples=4)
    assert correlation.samples == 16
    assert (correlation.cotangent_size, correlation.cotangent_padding) == ((5, 5), (1, 1))
    assert (correlation.image_size, correlation.full_image_size) == ((7, 7), (14, 14))
    assert correlation.pads == (2, 2, 3, 3)


def test_phase_indices_list_the_positions_of_each_phase() -> None:
    correlation = geometry((9, 9), (3, 3), dilations=(2, 3), pads=(2, 3))
    positions = np.arange(4 * 6).reshape(4, 6)
    expected = [positions[row::2, column::3].ravel() for row in range(2) for column in range(3)]
    np.testing.assert_array_equal(correlation.phase_indices((2, 2)), np.concatenate(expected))


def test_no_geometry_with_automatic_padding_or_a_stride_and_a_dilation_on_one_axis() -> None:
    x, dy, weights = (Value(TensorType("float32", (1, 1, n, n))) for n in (8, 3, 3))
    strided_and_dilated = gradient_info(x, dy, (2, 1), (2, 1), (1, 1))
    assert CorrelationGeometry.of(strided_and_dilated, weights, 1) is None
    automatic = gradient_info(x, dy, (1, 1), (1, 1), (0, 0), auto_pad="SAME_UPPER")
    assert CorrelationGeometry.of(automatic, weights, 1) is None


def test_strips_are_the_largest_that_stay_in_a_cache_and_larger_ones() -> None:
    correlation = geometry((32, 32), (3, 3), pads=(1, 1))
    assert MAX_CACHED_POSITIONS == 16 * 32
    assert MAX_SUMMED_POSITIONS == 32 * 32
    assert correlation.strip_row_candidates(1) == [16, 32]
    assert correlation.strip_row_candidates(2) == [8, 16, 32]
    assert correlation.strip_row_candidates(1000) == [1, 2, 4, 8, 16, 32]
    assert geometry((31, 64), (3, 3), pads=(1, 1)).strip_row_candidates(1) == [1]
    assert geometry((1, 2 * MAX_SUMMED_POSITIONS), (1, 3), pads=(0, 1)).strip_row_candidates(1) == []


def test_an_image_of_few_positions_may_stay_whole() -> None:
    assert MAX_UNCUT_POSITIONS == 32 * 32
    assert geometry((32, 32), (3, 3), pads=(1, 1)).fits_uncut(1)
    assert not geometry((32, 32), (3, 3), pads=(1, 1)).fits_uncut(2)
    assert geometry((16, 16), (3, 3), pads=(1, 1)).fits_uncut(4)


def test_strips_overlap_by_the_rows_that_a_window_reaches_further() -> None:
    one_strip = geometry((32, 32), (3, 3), pads=(1, 1))
    assert (one_strip.strip_count, one_strip.image_rows_per_strip, one_strip.overlap_ratio) == (1, 34, 1.0)
    cut = replace(one_strip, strip_rows=8)
    assert (cut.strip_count, cut.image_rows_per_strip) == (4, 10)
    assert cut.overlap_ratio == pytest.approx(40 / 34)
    strided = replace(geometry((16, 16), (3, 3), strides=(2, 2), pads=(1, 1)), strip_rows=4)
    assert (strided.strip_count, strided.image_rows_per_strip) == (2, 17 - 4 * 2)
