"""Emits weights that are stored as integers.

onnxruntime computes a node with constant operands once, when it loads the model, unless it is a DequantizeLinear: it
keeps that for a kernel on integers. So a product reads a DequantizeLinear, which it becomes one kernel with, and an
operator without such a kernel reads Cast and Mul, which leave it as fast as in the float model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...core.numpy_types import INT4_NAME, numpy_dtype
from ...core.types import TensorType
from ...ir import Builder, Constant, Value
from .integers import quantized_weight, weight_scales
from .quantization_plan import WeightQuantizer

INT4_BITS = 4
INT4_OFFSET = 8
"""What is added to 4-bit integers to store them without a sign."""
LOW_BITS = 15


class StoredWeights:
    """Emits the integers of weights; nodes that share a weight share its integers."""

    def __init__(self, g: Builder) -> None:
        self._g = g
        self._constants: dict[tuple[object, ...], Constant] = {}

    def integer_operand(self, quantizer: WeightQuantizer, scales: np.ndarray, op: str) -> Value:
        """The weight of an operator that runs on integers.

        There are no kernels for integers of 4 bits, which are widened to 8; Gemm has one only for weights with zero
        points.
        """
        integers = self._g.cast(self._integers(quantizer, scales, _storage_dtype(quantizer)), "int8")
        zero_points = self._g.const(np.zeros(scales.shape), "int8") if op == "Gemm" else None
        return self._dequantize(quantizer, scales, integers, zero_points)

    def dequantized(self, quantizer: WeightQuantizer) -> Value:
        """The weight of a product, by DequantizeLinear."""
        scales = scales_of(quantizer)
        return self._dequantize(quantizer, scales, self._integers(quantizer, scales, _storage_dtype(quantizer)))

    def _dequantize(
        self, quantizer: WeightQuantizer, scales: np.ndarray, integers: Value, zero_points: Value | None = None
    ) -> Value:
        attributes = {} if quantizer.axis is None else {"axis": quantizer.axis}
        if quantizer.block_size:
            attributes["block_size"] = quantizer.block_size
        factors = self._scales(quantizer, scales)
        result: Value = self._g.DequantizeLinear(integers, factors, zero_points, **attributes)
        return self._g.refine(result, quantizer.weight.shape)

    def multiplied(self, quantizer: WeightQuantizer) -> Value:
        """The weight of an operator in floating point, by Cast and Mul."""
        scales = scales_of(quantizer)
        integers = self._integers(quantizer, scales, _storage_dtype(quantizer))
        shape = [1] * integers.rank
        if quantizer.axis is not None:
            shape[quantizer.axis] = -1
        result: Value = self._g.Mul(self._g.cast(integers, "float32"), self._scales(quantizer, scales.reshape(shape)))
        return result

    def gathered_rows(self, quantizer: WeightQuantizer, indices: Value) -> Value:
        """The rows of a table, of which only those that are read are converted."""
        g, scales = self._g, scales_of(quantizer)
        if _is_packed(quantizer):
            byte = g.Gather(self._packed(quantizer, scales), indices, axis=0)
            low = g.BitwiseAnd(byte, g.const(LOW_BITS, "uint8"))
            high = g.BitShift(byte, g.const(INT4_BITS, "uint8"), direction="RIGHT")
            rows = g.Sub(g.cast(g.Concat(low, high, axis=-1), "float32"), float(INT4_OFFSET))
        else:
            rows = g.cast(g.Gather(self._integers(quantizer, scales, "int8"), indices, axis=0), "float32")
        factors = self._scales(quantizer, scales.reshape((-1, *[1] * (quantizer.weight.rank - 1))))
        result: Value = g.Mul(rows, g.Gather(factors, indices, axis=0))
        return result

    def _integers(self, quantizer: WeightQuantizer, scales: np.ndarray, dtype: str) -> Constant:
        def array() -> np.ndarray:
            rounding = quantizer.axis, quantizer.bits, quantizer.block_size
            return quantized_weight(_array(quantizer), scales, *rounding).astype(numpy_dtype(dtype))

        return self._constant((quantizer.weight, scales.tobytes(), quantizer.axis, dtype), array, dtype, quantizer)

    def _packed(self, quantizer: WeightQuantizer, scales: np.ndarray) -> Constant:
        """A table of 4-bit integers: a byte has one of the first half of the columns in its low bits, and one of the
        second half in its high bits. Gather has no kernel for integers of 4 bits."""

        def array() -> np.ndarray:
            integers = quantized_weight(_array(quantizer), scales, quantizer.axis, quantizer.bits)
            low, high = np.split((integers + INT4_OFFSET).astype(np.uint8), 2, axis=-1)
            return low | (high << np.uint8(INT4_BITS))

        return self._constant((quantizer.weight, "packed"), array, "uint8", quantizer)

    def _scales(self, quantizer: WeightQuantizer, scales: np.ndarray) -> Constant:
        return self._constant(
            (quantizer.weight, "scale", scales.shape, scales.tobytes()), lambda: scales, "float32", quantizer, "/scale"
        )

    def _constant(
        self,
        key: tuple[object, ...],
        array: Callable[[], np.ndarray],
        dtype: str,
        quantizer: WeightQuantizer,
        suffix: str = "",
    ) -> Constant:
        if key not in self._constants:
            elements, name = array(), getattr(quantizer.weight, "name", "")
            self._constants[key] = Constant(TensorType(dtype, elements.shape), elements, name and f"{name}{suffix}")
        return self._constants[key]


def scales_of(quantizer: WeightQuantizer) -> np.ndarray:
    """The scales of a constant weight."""
    return weight_scales(_array(quantizer), quantizer.axis, quantizer.bits, quantizer.block_size)


def _array(quantizer: WeightQuantizer) -> np.ndarray:
    if not isinstance(quantizer.weight, Constant):
        raise ValueError(f"the weight of {quantizer.layer!r} is not a constant")
    return quantizer.weight.array


def _storage_dtype(quantizer: WeightQuantizer) -> str:
    return INT4_NAME if quantizer.bits <= INT4_BITS else "int8"


def _is_packed(quantizer: WeightQuantizer) -> bool:
    columns = quantizer.weight.shape[-1]
    return quantizer.bits <= INT4_BITS and isinstance(columns, int) and columns % 2 == 0
