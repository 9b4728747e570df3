"""Rounding in floating point, compared with QuantizeLinear and DequantizeLinear, and its gradient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.ir import Builder, Value
from jsonnx.passes.quantization.fake_quantization import (
    as_vector,
    fake_quantized,
    rounded_bias,
    rounded_to_multiples,
    rounding_of_range,
    scale_for_bias,
    weight_scale,
)
from jsonnx.passes.quantization.integers import (
    INTEGER_BOUNDS,
    quantization_parameters,
    quantized_bias,
    quantized_weight,
    scales_for_bias,
    weight_bound,
    weight_scales,
)
from support.harness import run

SCALAR, VECTOR = TensorType("float32", ()), TensorType("float32", (BATCH,))
LARGEST = np.finfo(np.float32).max


def ranges(rng: np.random.Generator) -> Iterator[tuple[np.float32, np.float32]]:
    """Ranges of all magnitudes: around zero, on one side of it, symmetric, denormal, empty."""
    for _ in range(60):
        low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-30, 30)).astype(np.float32)
        yield from ((low, high), (np.float32(0), abs(high)), (-abs(low), np.float32(0)), (-abs(low), abs(low)))
    for low, high in ((0, 0), (-1e-40, 1e-40), (0, 1e-45), (-1, 1), (0, 255), (-128, 127)):
        yield np.float32(low), np.float32(high)


def edges(scale: np.float32, rng: np.random.Generator) -> np.ndarray:
    """Random numbers, ties, their neighbours, numbers far out of range, denormals and zeros."""
    with np.errstate(over="ignore"):
        ties = (np.arange(-300, 600) + np.float32(0.5)) * scale
        values = np.concatenate([rng.normal(size=500) * 300 * scale, ties, ties + scale / 2, [1e-42, 0.0, -0.0]])
        values = np.clip(values, -LARGEST, LARGEST).astype(np.float32)
    neighbours = [np.nextafter(values, np.float32(bound)) for bound in (0, LARGEST, -LARGEST)]
    return np.concatenate([values, *neighbours, np.array([LARGEST, -LARGEST], np.float32)])


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("dtype", INTEGER_BOUNDS)
def test_values_are_those_of_quantize_and_dequantize_linear(dtype: str, optimize: bool) -> None:
    g = Builder()
    x, low, high, scale = g.input("x", VECTOR), *(g.input(name, SCALAR) for name in ("low", "high", "scale"))
    zero_point = g.input("zero_point", TensorType(dtype, ()))
    rounding = rounding_of_range(g, low, high, dtype)
    dequantized = g.DequantizeLinear(g.QuantizeLinear(x, scale, zero_point), scale, zero_point)
    graph = g.graph({"fake": fake_quantized(g, x, rounding), "real": dequantized, "own_scale": rounding.scale})
    rng = np.random.default_rng(0)
    for low_number, high_number in ranges(rng):
        known_scale, known_zero_point = quantization_parameters(low_number, high_number, dtype)
        feeds = {"x": edges(known_scale, rng), "low": np.array(low_number), "high": np.array(high_number)}
        feeds |= {"scale": np.array(known_scale), "zero_point": np.array(known_zero_point, dtype)}
        results = run(graph, feeds, optimize=optimize)
        assert results["own_scale"] == known_scale
        np.testing.assert_array_equal(results["fake"], results["real"])


def test_zero_is_represented_whatever_the_range() -> None:
    g = Builder()
    x, low, high = g.input("x", VECTOR), g.input("low", SCALAR), g.input("high", SCALAR)
    graph = g.graph({"y": fake_quantized(g, x, rounding_of_range(g, low, high, "uint8"))})
    for bounds in ((1.0, 2.0), (-3.0, -1.0), (-0.37, 1.41)):
        feeds = {"x": np.zeros(1, np.float32)} | dict(zip(("low", "high"), map(np.float32, bounds), strict=True))
        assert run(graph, {name: np.asarray(value) for name, value in feeds.items()})["y"] == 0


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_rounded_weights_are_the_integers_of_the_model_times_their_scales(axis: int | None, bits: int) -> None:
    rng = np.random.default_rng(1)
    weight = (rng.normal(size=(40, 30)) * 10.0 ** rng.integers(-40, 30, (40, 30))).astype(np.float32)
    weight[3], weight[:, 5] = 0, 0
    weight[7, :] = np.linspace(-1, 1, 30) * np.float32(1e-42)
    g = Builder()
    x = g.input("x", TensorType("float32", weight.shape))
    scale = weight_scale(g, x, axis, bits)
    results = run(g.graph({"y": rounded_to_multiples(g, x, scale), "scale": scale}), {"x": weight})
    scales = weight_scales(weight, axis, bits)
    np.testing.assert_array_equal(results["scale"].ravel(), np.ravel(scales))
    integers = quantized_weight(weight, scales, axis, bits)
    assert np.abs(integers).max() == weight_bound(bits)
    broadcast = scales if axis is None else scales.reshape((-1, 1) if axis == 0 else (1, -1))
    np.testing.assert_array_equal(results["y"], integers.astype(np.float32) * broadcast)


@pytest.mark.parametrize("axis", [0, None])
def test_scales_and_integers_of_biases_are_those_of_the_model(axis: int | None) -> None:
    rng = np.random.default_rng(3)
    weight = (rng.normal(size=(64, 5)) * 10.0 ** rng.integers(-30, 3, (64, 1))).astype(np.float32)
    bias, data_scale = rng.normal(size=64).astype(np.float32), np.float32(0.0173)
    g = Builder()
    values = {"weight": weight, "bias": bias, "data_scale": np.array(data_scale)}
    w, b, s = (g.input(name, TensorType("float32", array.shape)) for name, array in values.items())
    scale = scale_for_bias(g, weight_scale(g, w, axis, 8), s, b)
    bias_scale = g.Mul(as_vector(g, scale) if scale.rank else scale, s)
    results = run(g.graph({"scale": scale, "y": rounded_bias(g, b, bias_scale)}), values)
    scales = scales_for_bias(weight_scales(weight, axis, 8), float(data_scale), bias)
    np.testing.assert_array_equal(results["scale"].ravel(), scales.ravel())
    integers = quantized_bias(bias, scales * data_scale)
    np.testing.assert_array_equal(results["y"], integers.astype(np.float32) * (scales * data_scale))
    assert np.abs(integers).max() < 2**31 - 1
    np.testing.assert_allclose(results["y"], bias, atol=0.02)


def straight_through_gradient(x: np.ndarray, low: float, high: float, dy: np.ndarray) -> np.ndarray:
    """The gradient by its definition: that of a Clip to the range, whose bounds are integers times the scale."""
    scale, zero_point = quantization_parameters(low, high, "uint8")
    return np.where((x > -zero_point * scale) & (x < (255 - zero_point) * scale), dy, 0)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.0, 1.5), (-1.0, 0.0)])
def test_the_gradient_passes_the_rounding_where_nothing_is_clipped(low: float, high: float) -> None:
    g = Builder()
    x = g.input("x", VECTOR)
    y = fake_quantized(g, x, rounding_of_range(g, g.const(low), g.const(high), "uint8"))
    graph = g.graph({"y": y})
    backward = GradientBuilder.extending(graph)
    dy = backward.input("dy", VECTOR)
    dx = gradients(backward, graph, {y: dy}, [x])[x]
    rng = np.random.default_rng(2)
    feeds = {"x": rng.uniform(-3, 3, 400).astype(np.float32), "dy": rng.normal(size=400).astype(np.float32)}
    result = run(backward.graph({"dx": dx}), feeds)["dx"]
    np.testing.assert_array_equal(result, straight_through_gradient(feeds["x"], low, high, feeds["dy"]))
    assert (result == 0).any()


def test_the_gradient_of_a_weight_is_that_of_its_rounded_form_and_none_reaches_the_scale() -> None:
    g = Builder()
    weight = g.input("weight", TensorType("float32", (5, 3)))
    y = rounded_to_multiples(g, weight, weight_scale(g, weight, -1, 8))
    graph = g.graph({"y": y})
    backward = GradientBuilder.extending(graph)
    dy = backward.input("dy", TensorType("float32", (5, 3)))
    assert gradients(backward, graph, {y: dy}, [weight])[weight] is dy


def test_a_rounding_outside_of_such_a_block_has_no_gradient() -> None:
    def gradient(emit) -> Value | None:
        g = Builder()
        x = g.input("x", VECTOR)
        graph = g.graph({"y": emit(g, x)})
        backward = GradientBuilder.extending(graph)
        return gradients(backward, graph, {graph.outputs["y"]: backward.input("dy", VECTOR)}, [x]).get(x)

    def straight(g: Builder, x: Value) -> Value:
        with g.straight_through():
            return g.Round(x)

    assert gradient(lambda g, x: g.Round(x)) is None
    assert gradient(straight) is not None
