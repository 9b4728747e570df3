"""Regularizers: penalties on weights and outputs that are added to the loss, as in Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ...core.components import Component, Registry, attr
from ...core.limits import require_constant_size
from ...core.types import Dim, require, shape_text
from ..numerics import square_sum, unit_vectors

if TYPE_CHECKING:
    from ...ir import Builder, Value

REGULARIZERS = Registry(
    "regularizer",
    "A penalty on a weight or on an output, added to the loss.",
    keras_format="keras.regularizers.{class_name}",
)


class Regularizer(Component):
    registry = REGULARIZERS

    def check(self, shape: Sequence[Dim]) -> None:
        """Raises ShapeError if the regularizer does not accept a tensor of this shape."""

    @property
    def restricts_shape(self) -> bool:
        """Whether the regularizer does not accept tensors of all shapes."""
        return False

    def penalty(self, g: Builder, x: Value) -> Value:
        """The scalar penalty of a tensor."""
        raise NotImplementedError


def scaled_absolute_sum(g: Builder, x: Value, factor: float) -> Value:
    return g.Mul(g.ReduceSum(g.Abs(x), keepdims=0), factor)


def scaled_square_sum(g: Builder, x: Value, factor: float) -> Value:
    return g.Mul(square_sum(g, x), factor)


@REGULARIZERS.register()
class L1(Regularizer):
    """The sum of absolute values, times a factor."""

    formula = "penalty = l1 * sum(abs(x))"
    l1: float = attr(0.01, doc="Factor of the penalty.", minimum=0)

    def penalty(self, g: Builder, x: Value) -> Value:
        return scaled_absolute_sum(g, x, self.l1)


@REGULARIZERS.register()
class L2(Regularizer):
    """The sum of squares, times a factor."""

    formula = "penalty = l2 * sum(x ** 2)"
    l2: float = attr(0.01, doc="Factor of the penalty.", minimum=0)

    def penalty(self, g: Builder, x: Value) -> Value:
        return scaled_square_sum(g, x, self.l2)


@REGULARIZERS.register("l1_l2", "l1l2")
class L1L2(Regularizer):
    """The sum of absolute values and the sum of squares, each times a factor."""

    formula = "penalty = l1 * sum(abs(x)) + l2 * sum(x ** 2)"
    l1: float = attr(0.0, doc="Factor of the absolute values.", minimum=0)
    l2: float = attr(0.0, doc="Factor of the squares.", minimum=0)

    def penalty(self, g: Builder, x: Value) -> Value:
        terms = [scaled_absolute_sum(g, x, self.l1)] if self.l1 or not self.l2 else []
        return g.Sum(*terms, scaled_square_sum(g, x, self.l2)) if self.l2 else terms[0]


@REGULARIZERS.register()
class OrthogonalRegularizer(Regularizer):
    """Makes the rows (or columns) of a matrix orthogonal: the mean of the absolute cosines of all pairs, times a
    factor."""

    formula = """
        u = x if mode == "rows" else x.T
        u = u / maximum(sqrt(sum(u ** 2, axis=1, keepdims=True)), 1e-7)
        n = len(u)
        penalty = factor * sum(abs((u @ u.T) * (1 - eye(n)))) / (n * (n - 1))
    """
    factor: float = attr(0.01, doc="Factor of the penalty.", minimum=0)
    mode: Literal["rows", "columns"] = attr("rows", doc="Which vectors become orthogonal.")

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
        unit = unit_vectors(g, vectors, 1)
        products = g.MatMul(unit, g.Transpose(unit, perm=[1, 0]))
        off_diagonal, pairs = off_diagonal_mask(g, vectors)
        total = g.ReduceSum(g.Abs(g.Mul(products, off_diagonal)), keepdims=0)
        return g.Mul(total, g.Div(self.factor * 0.5, pairs))


def off_diagonal_mask(g: Builder, vectors: Value) -> tuple[Value, Value]:
    """A square matrix, 0 on the diagonal and 1 elsewhere, with one row for each vector; and the number of pairs of
    vectors."""
    count = vectors.shape[0]
    if isinstance(count, int):
        import numpy as np

        require_constant_size(f"has a regularizer that needs a matrix of {count} by {count} numbers", count, count)
        mask = 1.0 - np.eye(count)
        return g.const(mask, vectors.dtype), g.const(max(1.0, count * (count - 1) / 2), vectors.dtype)
    rows = g.Shape(vectors, start=0, end=1)
    indices = g.refine(g.Range(g.const(0, "int64"), g.Squeeze(rows, [0]), g.const(1, "int64")), [count])
    off_diagonal = g.cast(g.Not(g.Equal(g.Unsqueeze(indices, [1]), indices)), vectors.dtype)
    return off_diagonal, g.Mul(g.Max(g.ReduceSum(off_diagonal, keepdims=0), 2.0), 0.5)
