"""Functions of keras.ops that take the diagonals of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType, require
from ..axes import axis_of
from .base import Operation, as_dtype, compute_dtype, operation, require_numbers, sum_dtype

if TYPE_CHECKING:
    from ...ir import Builder, Value


class DiagonalOp(Operation):
    """Base of them: the batch is axis 0, so one of the axes is given nearly always."""

    offset: int = attr(0, doc="Which diagonal: 0 is the main one, above it are 1, 2, ...")
    axis1: int = attr(0, doc="Axis of the rows.")
    axis2: int = attr(1, doc="Axis of the columns.")

    def diagonal_indices(self, x: TensorType) -> tuple[list[int], list[int]]:
        """The axes with those of the matrices last; and where the diagonal is in a matrix written as one row."""
        require_numbers(x)
        one, other = axis_of(x, self.axis1), axis_of(x, self.axis2)
        require(one != other, f"needs two axes, got {self.axis1} twice", code="invalid-value")
        rows, columns = x.static_size(one), x.static_size(other)
        start = (max(-self.offset, 0), max(self.offset, 0))
        count = min(rows - start[0], columns - start[1])
        require(count > 0, f"takes the diagonal {self.offset} of matrices of {rows} by {columns}", code="out-of-range")
        axes = [axis for axis in range(x.rank) if axis not in (one, other)]
        first = start[0] * columns + start[1]
        return [*axes, one, other], [first + step * (columns + 1) for step in range(count)]

    def take_diagonals(self, g: Builder, x: Value) -> Value:
        """The diagonals, along the last axis."""
        axes, places = self.diagonal_indices(x.type)
        y = g.transpose(x, axes)
        rows = g.reshape(y, (*y.shape[:-2], y.type.static_size(-2) * y.type.static_size(-1)))
        return g.Gather(rows, g.const(places, "int64"), axis=-1)


@operation("diagonal")
class Diagonal(DiagonalOp):
    """The diagonals of the matrices along two axes, as the last axis in place of these."""

    def infer(self, x: TensorType) -> TensorType:
        axes, places = self.diagonal_indices(x)
        return x.with_shape((*(x.shape[axis] for axis in axes[:-2]), len(places)))

    def lower(self, g: Builder, x: Value) -> Any:
        return self.take_diagonals(g, x)


@operation("trace")
class Trace(DiagonalOp):
    """The sums of the diagonals of the matrices along two axes, without these."""

    def infer(self, x: TensorType) -> TensorType:
        axes, _ = self.diagonal_indices(x)
        return TensorType(sum_dtype(x.dtype), tuple(x.shape[axis] for axis in axes[:-2]))

    def lower(self, g: Builder, x: Value) -> Any:
        result = sum_dtype(x.dtype)
        return as_dtype(
            g, g.ReduceSum(as_dtype(g, self.take_diagonals(g, x), compute_dtype(result)), [-1], keepdims=0), result
        )
