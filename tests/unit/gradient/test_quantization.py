"""Gradient rules of quantizers: rounding passes the gradient, saturation does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, MissingRule, gradients
from jsonnx.ir import Builder, Value
from ml_dtypes import iinfo, int4
from support.harness import run

SHAPE = (3, 4, 2)
ZERO = np.array(0, np.int8)
SCALES = np.float32([0.02, 0.05, 0.01, 0.004])


class Quantizer(NamedTuple):
    """Scale and zero point of a tensor [3, 4, 2], in the shapes in which they broadcast to it, and their attributes."""

    id: str
    scale: np.ndarray
    zero_point: np.ndarray | None
    attributes: dict[str, int] = {}
    broadcast_shape: tuple[int, ...] = ()

    @property
    def parameters(self) -> list[np.ndarray]:
        return [np.asarray(each) for each in (self.scale, self.zero_point) if each is not None]

    def quantize(self, g: Builder, x: Value) -> Value:
        return g.QuantizeLinear(x, *self.parameters, **self.attributes)

    def dequantize(self, g: Builder, q: Value) -> Value:
        return g.DequantizeLinear(q, *self.parameters, **self.attributes)

    def is_unsaturated(self, x: np.ndarray) -> np.ndarray:
        dtype = np.uint8 if self.zero_point is None else self.zero_point.dtype
        zero_point = np.zeros_like(self.scale) if self.zero_point is None else self.zero_point.astype(np.float32)
        if "block_size" in self.attributes:
            axis, size = self.attributes["axis"], self.attributes["block_size"]
            scale, zero_point = (np.repeat(each, size, axis).take(range(4), axis) for each in (self.scale, zero_point))
        else:
            scale, zero_point = (np.reshape(each, self.broadcast_shape) for each in (self.scale, zero_point))
        rounded, bounds = np.round(x / scale) + zero_point, iinfo(dtype)
        return (rounded >= bounds.min) & (rounded <= bounds.max)


CHANNELS = (1, 4, 1)
QUANTIZERS = [
    Quantizer("uint8-without-zero-point", np.float32(0.01), None),
    Quantizer("uint8", np.float32(0.01), np.uint8(128)),
    Quantizer("int8", np.float32(0.01), np.int8(0)),
    Quantizer("int8-asymmetric", np.float32(0.02), np.int8(-100)),
    Quantizer("one-number-in-a-vector", np.float32([0.01]), np.int8([3]), {"axis": 1}, (1,)),
    Quantizer("per-axis", SCALES, np.int8([0, -5, 7, 100]), {"axis": 1}, CHANNELS),
    Quantizer("per-axis-from-the-end", SCALES, np.uint8([0, 200, 128, 7]), {"axis": -2}, CHANNELS),
    Quantizer("blocks", SCALES[:2].reshape(1, 2, 1).repeat(3, 0).repeat(2, 2), None, {"axis": 1, "block_size": 2}),
    Quantizer(
        "blocks-of-unequal-size",
        np.float32([[[0.01, 0.02], [0.05, 0.03]]] * 3),
        np.int8([[[0, 5], [-7, 100]]] * 3),
        {"axis": 1, "block_size": 3},
    ),
    Quantizer("int16", np.float32(4e-5), np.array(100, np.int16)),
    Quantizer("int4", np.float32(0.2), np.array(-3, int4)),
    Quantizer("per-axis-by-default", SCALES, np.int8([0, 0, 0, 0]), {}, CHANNELS),
]


def slope(function: Callable[[Builder, Value], Value], x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The gradient of a weighted sum of a function's results, in onnxruntime."""
    g = GradientBuilder()
    operand = g.input("x", TensorType("float32", (BATCH, *x.shape[1:])))
    loss = g.ReduceSum(g.Mul(function(g, operand), weights), keepdims=0)
    found = gradients(g, g.graph({"loss": loss}), {loss: g.const(1.0)}, [operand])
    return run(g.graph({"slope": found[operand]}), {"x": x})["slope"]


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda quantizer: quantizer.id)
def test_the_gradient_passes_where_the_integers_are_not_saturated(quantizer: Quantizer) -> None:
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, *SHAPE)).astype(np.float32) * 2
    found = slope(lambda g, x: quantizer.dequantize(g, quantizer.quantize(g, x)), x, weights)
    is_unsaturated = quantizer.is_unsaturated(x)
    assert 3 < is_unsaturated.sum() < x.size
    np.testing.assert_allclose(found, np.where(is_unsaturated, weights, 0), rtol=1e-6)


def test_the_gradient_at_the_bounds_of_the_integers() -> None:
    """127.4 rounds to 127, and 127.6 is saturated."""
    x = np.float32([[-129, -128.6, -128.4, -128, 0, 127, 127.4, 127.6, 128, 1e30]])
    found = slope(lambda g, x: g.DequantizeLinear(g.QuantizeLinear(x, 1.0, ZERO), 1.0, ZERO), x, x * 0 + 1)
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 1, 1, 1, 0, 0, 0]])


def test_other_scales_of_the_dequantization_scale_the_gradient() -> None:
    x = np.float32([[0.5, -0.5]])
    found = slope(lambda g, x: g.DequantizeLinear(g.QuantizeLinear(x, 0.1, ZERO), 0.3, np.array(2, np.int8)), x, x)
    np.testing.assert_allclose(found, 3 * x, rtol=1e-6)


MOVES: dict[str, Callable[[Builder, Value], Value]] = {
    "Reshape": lambda g, q: g.Reshape(q, [-1, 8]),
    "Flatten": lambda g, q: g.Flatten(q),
    "Transpose": lambda g, q: g.Transpose(q, perm=[0, 2, 1]),
    "Squeeze": lambda g, q: g.Squeeze(g.Unsqueeze(q, [1]), [1]),
    "Slice": lambda g, q: g.Slice(q, [1], [3], [1]),
    "Concat": lambda g, q: g.Concat(q, q, axis=2),
    "Identity": lambda g, q: g.Identity(q),
}


@pytest.mark.parametrize("move", MOVES)
def test_the_gradient_passes_operators_that_move_integers(move: str) -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32) * 2
    quantizer = QUANTIZERS[2]
    moved = slope(lambda g, x: MOVES[move](g, g.Mul(x, 1.0)), x, np.float32(1.5))
    found = slope(lambda g, x: quantizer.dequantize(g, MOVES[move](g, quantizer.quantize(g, x))), x, np.float32(1.5))
    np.testing.assert_allclose(found, np.where(quantizer.is_unsaturated(x), moved, 0), rtol=1e-6)


def test_the_gradient_passes_a_dequantization_by_cast_and_product() -> None:
    x = np.float32([[0.5, -0.5, 20]])
    found = slope(lambda g, x: g.Mul(g.Cast(g.QuantizeLinear(x, 0.1, ZERO), to=1), 0.1), x, np.float32(2))
    np.testing.assert_allclose(found, [[2, 2, 0]], rtol=1e-6)


def test_a_scale_gets_no_gradient() -> None:
    g = GradientBuilder()
    x, scale = g.input("x", TensorType("float32", (BATCH, 2))), g.input("scale", TensorType("float32", ()))
    y = g.DequantizeLinear(g.QuantizeLinear(x, scale, ZERO), scale, ZERO)
    loss = g.ReduceSum(y, keepdims=0)
    assert set(gradients(g, g.graph({"loss": loss}), {loss: g.const(1.0)}, [x, scale])) == {x}


def test_an_operator_that_computes_with_integers_has_no_gradient() -> None:
    """It is an error, unlike a conversion to integers, whose gradient is zero."""

    def product(g: Builder, x: Value) -> Value:
        q = g.QuantizeLinear(x, 0.1, ZERO)
        return g.Cast(g.MatMulInteger(q, np.ones((2, 2), np.int8)), to=1)

    with pytest.raises(MissingRule, match="operator MatMulInteger has no gradient rule for quantized integers"):
        slope(product, np.ones((3, 2), np.float32), np.float32(1))
