"""Scales, zero points and integers, compared with QuantizeLinear of onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder
from jsonnx.passes.quantization import quantization_parameters, quantized_weight, weight_scales
from jsonnx.passes.quantization.integers import MAX_BIAS, quantized_bias, scales_for_bias
from support.harness import run

RANGES = [(-1.0, 1.0), (0.0, 6.0), (0.5, 6.0), (-3.0, -1.0), (-0.1, 5.0), (-1e-30, 1e-30), (0.0, 1e38), (-7.0, 0.0)]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_zero_is_exact_and_the_range_is_covered(low: float, high: float, dtype: str) -> None:
    scale, zero_point = quantization_parameters(low, high, dtype)
    bounds = np.iinfo(dtype)
    assert bounds.min <= zero_point <= bounds.max
    g = Builder()
    x = g.input("x", TensorType("float32", (4,)))
    parameters = g.const(scale, "float32"), g.const(zero_point, dtype)
    graph = g.graph({"y": g.DequantizeLinear(g.QuantizeLinear(x, *parameters), *parameters)})
    values = np.array([0, low, high, (low + high) / 2], np.float32)
    rounded = run(graph, {"x": values}, optimize=False)["y"]
    assert rounded[0] == 0
    np.testing.assert_allclose(rounded, values, atol=float(scale) * 0.501)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_range_from_zero_uses_all_integers(dtype: str) -> None:
    scale, zero_point = quantization_parameters(0.0, 2.55, dtype)
    assert zero_point == np.iinfo(dtype).min
    assert scale == np.float32(2.55) / np.float32(255)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_an_empty_range_has_a_scale_of_one(dtype: str) -> None:
    assert quantization_parameters(0.0, 0.0, dtype)[0] == 1


@pytest.mark.parametrize("bounds", [(0, np.inf), (-np.inf, 0), (np.nan, 1), (0, np.nan), (1, -1), (-3e38, 3e38)])
def test_ranges_without_a_scale_are_errors(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"finite range|too wide"):
        quantization_parameters(*bounds)


@pytest.mark.parametrize("bits", [4, 7, 8])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_weights_are_rounded_by_half_a_step_at_most(axis: int | None, bits: int) -> None:
    weight = np.random.default_rng(bits).normal(size=(3, 4, 5)).astype(np.float32)
    weight[1] = 0
    scales = weight_scales(weight, axis, bits)
    assert scales.shape == (() if axis is None else (weight.shape[axis],))
    integers = quantized_weight(weight, scales, axis, bits)
    assert np.abs(integers).max() == 2 ** (bits - 1) - 1
    shape = [-1 if index == axis else 1 for index in range(3)]
    factors = scales if axis is None else scales.reshape(shape)
    assert (np.abs(integers * factors - weight) <= factors * np.float32(0.5001)).all()
    assert not integers[1].any()


def test_blocks_have_their_own_scales() -> None:
    weight = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    scales = weight_scales(weight, 0, 4, 32)
    assert scales.shape == (3, 3)
    np.testing.assert_array_equal(scales[2], np.abs(weight[64:]).max(0) / np.float32(7))
    integers = quantized_weight(weight, scales, 0, 4, 32)
    np.testing.assert_array_equal(integers[64:], np.round(weight[64:] / scales[2]))


def test_weights_are_rounded_as_by_onnxruntime() -> None:
    weight = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 127.0]], np.float32)
    g = Builder()
    x = g.input("x", TensorType("float32", weight.shape))
    graph = g.graph({"y": g.QuantizeLinear(x, g.const(1.0), g.const(0, "int8"))})
    expected = run(graph, {"x": weight}, optimize=False)["y"]
    np.testing.assert_array_equal(quantized_weight(weight, weight_scales(weight, 0, 8), 0, 8), expected)


def test_scales_grow_until_the_bias_fits() -> None:
    bias = np.array([1.0, 1e6], np.float32)
    scales = scales_for_bias(np.array([1e-3, 1e-7], np.float32), 1e-3, bias)
    assert scales[0] == np.float32(1e-3)
    integers = quantized_bias(bias, scales * np.float32(1e-3))
    assert integers[1] >= MAX_BIAS * 0.999
    np.testing.assert_allclose(integers * scales * 1e-3, bias, rtol=1e-3)
    assert scales_for_bias(np.float32(1e-7), 1e-3, bias).shape == ()
