"""Penalties on weights and outputs: scalars that are added to the loss, as Keras 3 computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..core.components import Component, Registry, attr
from ..core.types import Dim, require, shape_text

if TYPE_CHECKING:
    from ..ir import Builder, Value

REGULARIZERS = Registry("regularizer", "A penalty on a weight or on an output, added to the loss.")

# Least norm by which Keras divides.
EPSILON = 1e-7


class Regularizer(Component):
    registry = REGULARIZERS

    def check(self, shape: Sequence[Dim]) -> None:
        """ShapeError where a tensor of this shape does not suit."""

    @property
    def restricts_shape(self) -> bool:
        """Whether there are shapes that do not suit."""
        return False

    def penalty(self, g: Builder, x: Value) -> Value:
        """The scalar penalty of a tensor."""
        raise NotImplementedError


def scaled_absolute_sum(g: Builder, x: Value, factor: float) -> Value:
    return g.Mul(g.ReduceSum(g.Abs(x), keepdims=0), factor)


def scaled_square_sum(g: Builder, x: Value, factor: float) -> Value:
    return g.Mul(g.ReduceSum(g.Mul(x, x), keepdims=0), factor)


@REGULARIZERS.register()
class L1(Regularizer):
    """`l1 * sum(|x|)`."""

    l1: float = attr(0.01, doc="Factor.", minimum=0)

    def penalty(self, g: Builder, x: Value) -> Value:
        return scaled_absolute_sum(g, x, self.l1)


@REGULARIZERS.register()
class L2(Regularizer):
    """`l2 * sum(x ** 2)`."""

    l2: float = attr(0.01, doc="Factor.", minimum=0)

    def penalty(self, g: Builder, x: Value) -> Value:
        return scaled_square_sum(g, x, self.l2)


@REGULARIZERS.register("l1_l2", "l1l2")
class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x ** 2)`."""

    l1: float = attr(0.0, doc="Factor of the absolute values.", minimum=0)
    l2: float = attr(0.0, doc="Factor of the squares.", minimum=0)

    def penalty(self, g: Builder, x: Value) -> Value:
        terms = [scaled_absolute_sum(g, x, self.l1)] if self.l1 or not self.l2 else []
        return g.Sum(*terms, scaled_square_sum(g, x, self.l2)) if self.l2 else terms[0]


@REGULARIZERS.register()
class OrthogonalRegularizer(Regularizer):
    """Pulls the rows (or columns) of a matrix, scaled to unit length, towards being orthogonal.

    `factor * sum(|off-diagonal of w @ wT|) / (pairs)`, w the scaled rows.
    """

    factor: float = attr(0.01, doc="Factor.", minimum=0)
    mode: Literal["rows", "columns"] = attr("rows", doc="Which vectors are to be orthogonal.")

    @property
    def restricts_shape(self) -> bool:
        return True

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            len(shape) == 2, f"has an {self.type_name} of a tensor of shape {shape_text(shape)}, which has not two axes"
        )

    def penalty(self, g: Builder, x: Value) -> Value:
        self.check(x.shape)
        vectors = x if self.mode == "rows" else g.Transpose(x, perm=[1, 0])
        squares = g.ReduceSum(g.Mul(vectors, vectors), [1], keepdims=1)
        unit = g.Mul(vectors, g.Reciprocal(g.Sqrt(g.Max(squares, EPSILON**2))))
        products = g.MatMul(unit, g.Transpose(unit, perm=[1, 0]))
        outside, pairs = off_diagonal_mask(g, vectors)
        total = g.ReduceSum(g.Abs(g.Mul(products, outside)), keepdims=0)
        return g.Mul(total, g.Div(self.factor * 0.5, pairs))


def off_diagonal_mask(g: Builder, vectors: Value) -> tuple[Value, Value]:
    """Which pairs of rows are of two rows, as a matrix of ones and zeros, and how many such pairs there are."""
    count = vectors.shape[0]
    if isinstance(count, int):
        apart = [[float(row != column) for column in range(count)] for row in range(count)]
        return g.const(apart, vectors.dtype), g.const(max(1.0, count * (count - 1) / 2), vectors.dtype)
    rows = g.Shape(vectors, start=0, end=1)
    places = g.refine(g.Range(g.const(0, "int64"), g.Squeeze(rows, [0]), g.const(1, "int64")), [count])
    outside = g.cast(g.Not(g.Equal(g.Unsqueeze(places, [1]), places)), vectors.dtype)
    return outside, g.Mul(g.Max(g.ReduceSum(outside, keepdims=0), 2.0), 0.5)
