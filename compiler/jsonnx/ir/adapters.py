"""Low-rank adapters (LoRA): what layers compute with in place of a frozen weight."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

from ..core.reserved_names import LORA_A, LORA_B, LORA_MAGNITUDE
from ..core.types import TensorType
from .emitter import Emitter
from .graph import Adapter, Parameter, Value
from .weight_shapes import require_same_shape, require_weight_size

MIN_SQUARED_NORM = 1e-30
"""Keeps the factor of a column of zeros, whose magnitude is zero, finite."""


class AdapterSettings(Protocol):
    """The size of an adapter, the factor of its product, and the initializers of its weights."""

    @property
    def rank(self) -> int: ...
    @property
    def scale(self) -> float: ...
    @property
    def use_dora(self) -> bool:
        """Whether it has a magnitude (DoRA)."""

    @property
    def a_initializer(self) -> Any: ...
    @property
    def b_initializer(self) -> Any: ...
    @property
    def magnitude_initializer(self) -> Any: ...


def adapted_weight(g: Emitter, weight: Parameter, settings: AdapterSettings) -> Value:
    """Emits the weight with its adapter, which is declared if this is the first call of the layer."""
    inputs, outputs = matrix_shape(weight)
    a = _declare(g, weight, LORA_A, (inputs, settings.rank), settings.a_initializer)
    b = _declare(g, weight, LORA_B, (settings.rank, outputs), settings.b_initializer)
    magnitude = None
    if settings.use_dora:
        magnitude = _declare(g, weight, LORA_MAGNITUDE, (outputs,), settings.magnitude_initializer)
    adapter = Adapter(weight, a, b, settings.scale, magnitude)
    product = g.MatMul(a, b)
    product = product if settings.scale == 1.0 else g.Mul(product, settings.scale)
    adapted = g.Add(weight, from_matrix(g, product, adapter))
    if magnitude is not None:
        adapted = g.Mul(adapted, g.reshape(column_factors(g, adapter), broadcast_shape(adapter)))
    g.adapters[adapted] = adapter
    return adapted


def _declare(g: Emitter, weight: Parameter, suffix: str, shape: tuple[int, ...], initializer: Any) -> Parameter:
    """A trained weight of an adapter."""
    name, type = weight.name + suffix, TensorType(weight.dtype, shape)
    require_weight_size(name, type)
    declared = Parameter(name, type, initializer)
    return require_same_shape(name, g.parameters.setdefault(name, declared), declared)


def matrix_shape(weight: Parameter) -> tuple[int, int]:
    """The numbers of inputs and outputs of a weight, as a matrix."""
    inputs = prod(weight.shape[axis] for axis in weight.input_axes or ())
    return inputs, prod(weight.shape) // inputs


def column_factors(g: Emitter, adapter: Adapter) -> Value:
    """The factors m / |V| of an adapter with a magnitude, [outputs]. The norm counts as constant in the gradient.

    The norms are computed without a value of the size of V = W + s A B:
    |V|^2 = |W|^2 + 2 s sum(B * (A^T W)) + s^2 sum(B * (A^T A B)), summed over the inputs, or the rank.
    """
    weight, a, b, scale = adapter.weight, adapter.a, adapter.b, adapter.scale
    with g.detached():
        squares = g.ReduceSumSquare(weight, list(adapter.input_axes), keepdims=0)
        squares = g.reshape(squares, (b.shape[1],))
        transposed = g.transpose(a, [1, 0])
        products = g.Add(
            g.Mul(g.MatMul(transposed, to_matrix(g, weight, adapter)), 2.0 * scale),
            g.Mul(g.MatMul(g.MatMul(transposed, a), b), scale * scale),
        )
        squares = g.Add(squares, g.ReduceSum(g.Mul(b, products), [0], keepdims=0))
        norms = g.Sqrt(g.Max(squares, MIN_SQUARED_NORM))
    assert adapter.magnitude is not None
    return g.Div(adapter.magnitude, norms)


def to_matrix(g: Emitter, weight: Value, adapter: Adapter) -> Value:
    """A value in the shape of the weight as a matrix [inputs, outputs]."""
    ordered = g.transpose(weight, [*adapter.input_axes, *adapter.output_axes])
    return g.reshape(ordered, matrix_shape(adapter.weight))


def from_matrix(g: Emitter, matrix: Value, adapter: Adapter) -> Value:
    """A matrix [inputs, outputs] in the shape of the weight."""
    order = [*adapter.input_axes, *adapter.output_axes]
    ordered = g.reshape(matrix, tuple(adapter.weight.shape[axis] for axis in order))
    return g.transpose(ordered, [order.index(axis) for axis in range(len(order))])


def broadcast_shape(adapter: Adapter) -> Sequence[int]:
    """The shape in which a vector [outputs] is multiplied by the weight."""
    return [1 if axis in adapter.input_axes else size for axis, size in enumerate(adapter.weight.shape)]
