"""Functions of keras.ops on the diagonals of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.limits import require_constant_size
from ...core.types import TensorType, require
from ..axes import axis_of
from .base import Operation, as_dtype, compute_dtype, operation, require_numbers, sum_dtype

if TYPE_CHECKING:
    from ...ir import Builder, Value


OWN_SAMPLE_HELP = 'each sample times itself needs no product with the others: Multiply, and ops.sum with "axis": -1'
"""Help for the diagonal of a matrix of all pairs of samples."""


class DiagonalOp(Operation):
    """Base class of functions of diagonals. The default axes include axis 0, which is the batch here."""

    offset: int = attr(0, doc="Offset from the main diagonal; positive is above it.")
    axis1: int = attr(0, doc="Axis of the matrix rows.")
    axis2: int = attr(1, doc="Axis of the matrix columns.")

    def diagonal_indices(self, x: TensorType) -> tuple[list[int], list[int]]:
        """The permutation that moves the matrix axes last, and the diagonal's indices in a flattened matrix."""
        require_numbers(x)
        row_axis, column_axis = axis_of(x, self.axis1), axis_of(x, self.axis2)
        require(row_axis != column_axis, f"needs two axes, got {self.axis1} twice", code="invalid-value")
        sizes = x.shape[row_axis], x.shape[column_axis]
        if 0 in (row_axis, column_axis):
            help = OWN_SAMPLE_HELP if sizes[0] == sizes[1] else 'axis 0 is the batch: "axis1" and "axis2" name others'
            require(x.is_static(row_axis, column_axis), f"needs a fixed size on axis 0, got {x}", help)
        rows, columns = x.static_size(row_axis), x.static_size(column_axis)
        start = (max(-self.offset, 0), max(self.offset, 0))
        count = min(rows - start[0], columns - start[1])
        require(count > 0, f"takes the diagonal {self.offset} of matrices of {rows} by {columns}", code="out-of-range")
        axes = [axis for axis in range(x.rank) if axis not in (row_axis, column_axis)]
        require_constant_size(f"needs {count} indices", count, element_bytes=8)
        first = start[0] * columns + start[1]
        return [*axes, row_axis, column_axis], [first + step * (columns + 1) for step in range(count)]

    def take_diagonals(self, g: Builder, x: Value) -> Value:
        """Emits the diagonals, along the last axis."""
        axes, indices = self.diagonal_indices(x.type)
        y = g.transpose(x, axes)
        rows = g.reshape(y, (*y.shape[:-2], y.type.static_size(-2) * y.type.static_size(-1)))
        return g.Gather(rows, g.const(indices, "int64"), axis=-1)


@operation("diagonal")
class Diagonal(DiagonalOp):
    """Diagonals of the matrices along two axes; the diagonal becomes the last axis."""

    formula = "y = diagonal(x, offset, axis1, axis2)"

    def infer(self, x: TensorType) -> TensorType:
        axes, indices = self.diagonal_indices(x)
        return x.with_shape((*(x.shape[axis] for axis in axes[:-2]), len(indices)))

    def lower(self, g: Builder, x: Value) -> Any:
        return self.take_diagonals(g, x)


@operation("trace")
class Trace(DiagonalOp):
    """Sums of the diagonals of the matrices along two axes."""

    formula = "y = sum(diagonal(x, offset, axis1, axis2), axis=-1)"

    def infer(self, x: TensorType) -> TensorType:
        axes, _ = self.diagonal_indices(x)
        return TensorType(sum_dtype(x.dtype), tuple(x.shape[axis] for axis in axes[:-2]))

    def lower(self, g: Builder, x: Value) -> Any:
        result = sum_dtype(x.dtype)
        return as_dtype(
            g, g.ReduceSum(as_dtype(g, self.take_diagonals(g, x), compute_dtype(result)), [-1], keepdims=0), result
        )
