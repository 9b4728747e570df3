"""Functions of keras.ops that gather, sort and accumulate along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import attr
from ...core.limits import MAX_ELEMENTS_PER_SAMPLE
from ...core.types import Dim, TensorType, broadcast, product, require
from ..axes import MAX_SLICE_BOUND, axis_of
from .base import (
    ConstantArgument,
    ConstantOperand,
    DType,
    MultiTensorOp,
    Operation,
    as_dtype,
    compute_dtype,
    constant_argument,
    is_float_dtype,
    operation,
    require_numbers,
    sum_dtype,
)
from .shape import slice_axis

if TYPE_CHECKING:
    from ...ir import Builder, Value

# -- gathering -------------------------------------------------------------------------------------------------------


class GatherOp(MultiTensorOp):
    """Base class of functions that gather along an axis; negative indices count from the end."""

    arity = (2, 2)
    tensors = ("x", "indices")

    x: ConstantArgument | None = constant_argument("x")
    indices: ConstantArgument | None = constant_argument("indices")
    axis: int | None = attr(None, doc="Axis to gather along; null flattens the tensor.")


@operation("take")
class Take(GatherOp):
    """Takes slices along an axis by index; negative indices count from the end."""

    formula = "y = take(x, indices, axis)"

    def result_type(self, x: Any, indices: Any) -> TensorType:
        shape = (product(x.shape),) if self.axis is None else x.shape
        source = TensorType(x.dtype, shape)
        axis = 0 if self.axis is None else axis_of(source, self.axis)
        require_integer_indices(indices)
        check_index_range(indices, source.shape[axis])
        return source.with_shape((*shape[:axis], *indices.shape, *shape[axis + 1 :]))

    def emit(self, g: Builder, x: Any, indices: Any) -> Any:
        x = as_dtype(g, x, x.dtype)
        source = g.reshape(x, (product(x.shape),)) if self.axis is None else x
        return g.Gather(
            source, as_dtype(g, indices, "int64"), axis=0 if self.axis is None else axis_of(x.type, self.axis)
        )


def require_integer_indices(indices: Any) -> None:
    """Raises ShapeError unless the indices are integers."""
    is_integer = indices.dtype != "string" and not is_float_dtype(indices.dtype)
    require(is_integer, f"needs integers as indices, got {indices.dtype}", "use ops.cast to convert them")


def check_index_range(indices: Any, size: Dim) -> None:
    """Raises ShapeError if a constant index is out of range."""
    if isinstance(indices, ConstantOperand) and isinstance(size, int):
        outside = [index for index in indices.flat_values() if not -size <= index < size]
        require(
            not outside,
            f"takes element {outside[0] if outside else None} of an axis of size {size}",
            code="out-of-range",
        )


@operation("take_along_axis")
class TakeAlongAxis(GatherOp):
    """Takes elements along an axis, with separate indices for every other position."""

    formula = "y = take_along_axis(x, indices, axis)"

    def result_type(self, x: Any, indices: Any) -> TensorType:
        require_integer_indices(indices)
        if self.axis is None:
            require(indices.rank == 1, "needs one row of indices where axis is null")
            check_index_range(indices, product(x.shape))
            return TensorType(x.dtype, indices.shape)
        axis = axis_of(TensorType(x.dtype, x.shape), self.axis)
        require(x.rank == indices.rank, f"needs indices of rank {x.rank}, got {list(indices.shape)}")
        check_index_range(indices, x.shape[axis])
        return TensorType(x.dtype, self._broadcast_shapes(x, indices, axis)[1])

    def _broadcast_shapes(self, x: Any, indices: Any, axis: int) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        """The shapes of both after broadcasting all axes except `axis`."""
        others = [(*value.shape[:axis], 1, *value.shape[axis + 1 :]) for value in (x, indices)]
        merged = broadcast(others[0], others[1])
        require(
            merged is not None,
            f"has indices of shape {list(indices.shape)} for {x}, which differ on another axis than {axis}",
        )
        assert merged is not None
        a, b = ((*merged[:axis], value.shape[axis], *merged[axis + 1 :]) for value in (x, indices))
        return a, b

    def emit(self, g: Builder, x: Any, indices: Any) -> Any:
        x, indices = as_dtype(g, x, x.dtype), as_dtype(g, indices, "int64")
        if self.axis is None:
            return g.Gather(g.reshape(x, (product(x.shape),)), indices, axis=0)
        axis = axis_of(x.type, self.axis)
        x_shape, indices_shape = self._broadcast_shapes(x, indices, axis)
        operands = [
            value if value.shape == shape else g.refine(g.Expand(value, g.sizes(shape, x, indices)), shape)
            for value, shape in ((x, x_shape), (indices, indices_shape))
        ]
        return g.refine(g.GatherElements(*operands, axis=axis), indices_shape)


@operation("one_hot")
class OneHot(Operation):
    """1 at the position given by each integer along a new axis, else 0."""

    formula = "y = moveaxis(x[..., None] == arange(num_classes), -1, axis)"
    num_classes: int = attr(doc="Size of the new axis.", minimum=1)
    axis: int = attr(-1, doc="Position of the new axis in the result.")
    dtype: DType | None = attr(None, doc="Element type of the result; null for float32.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        require(not is_float_dtype(x.dtype), f"needs integers, got {x}", "use ops.cast to convert them")
        axis = self._axis(x)
        return TensorType(self.dtype or "float32", (*x.shape[:axis], self.num_classes, *x.shape[axis:]))

    def _axis(self, x: TensorType) -> int:
        require(-x.rank - 1 <= self.axis <= x.rank, f"has the new axis {self.axis}, got {x}")
        return self.axis % (x.rank + 1)

    def lower(self, g: Builder, x: Value) -> Any:
        axis = self._axis(x.type)
        classes = g.positions(self.num_classes, "int64")
        positions = g.reshape(classes, [self.num_classes, *[1] * (x.rank - axis)])
        return as_dtype(g, g.Equal(g.Unsqueeze(as_dtype(g, x, "int64"), [axis]), positions), self.dtype or "float32")


# -- sorting ---------------------------------------------------------------------------------------------------------


def sorted_with_indices(g: Builder, x: Value, axis: int, count: Any, largest: int) -> tuple[Value, Value]:
    """Emits the `count` largest or smallest elements along an axis and their indices, sorted and stable."""
    values, indices = g.TopK(as_dtype(g, x, compute_dtype(x.dtype)), count, axis=axis, largest=largest, outputs=2)
    return as_dtype(g, values, x.dtype), g.cast(indices, "int32")


class SortOp(Operation):
    """Base class of functions that sort along an axis."""

    axis: int = attr(-1, doc="Axis to sort along.")
    topk_output: ClassVar[int]

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axis_of(x, self.axis)
        return x.with_dtype("int32") if self.topk_output else x

    def lower(self, g: Builder, x: Value) -> Any:
        axis = axis_of(x.type, self.axis)
        return g.refine(sorted_with_indices(g, x, axis, g.sizes([x.shape[axis]], x), 0)[self.topk_output], x.shape)


@operation("sort")
class Sort(SortOp):
    """Sorts the elements along an axis in ascending order."""

    formula = "y = sort(x, axis)"
    topk_output = 0


@operation("argsort")
class Argsort(SortOp):
    """Indices that sort the elements along an axis in ascending order."""

    formula = 'y = argsort(x, axis, kind="stable")'
    topk_output = 1


@operation("top_k")
class TopK(Operation):
    """The k largest elements along the last axis, in descending order; their indices are the output `indices`."""

    formula = """
        indices = argsort(-x, axis=-1, kind="stable")[..., :k]
        y = take_along_axis(x, indices, axis=-1)
    """
    k: int = attr(doc="Number of elements.", minimum=1)
    sorted: bool = attr(True, doc="Whether the elements must be sorted; they always are.")

    def output_names(self) -> tuple[str, ...]:
        return ("indices",)

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        require_numbers(x)
        require(x.rank > 0, f"needs an axis, got {x}")
        size = x.shape[-1]
        require(not isinstance(size, int) or size >= self.k, f"takes {self.k} elements of {size}, got {x}")
        return x.with_last(self.k), x.with_last(self.k).with_dtype("int32")

    def lower(self, g: Builder, x: Value) -> Any:
        return sorted_with_indices(g, x, x.rank - 1, [self.k], 1)


# -- accumulation ----------------------------------------------------------------------------------------------------


class CumulativeOp(Operation):
    """Base class of cumulative sums and products."""

    axis: int | None = attr(None, doc="Axis to accumulate along; null flattens the tensor.")
    dtype: DType | None = attr(None, doc="Element type of the result; null for the argument's.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        shape = (product(x.shape),) if self.axis is None else x.shape
        axis = 0 if self.axis is None else axis_of(x, self.axis)
        self.check(x.with_shape(shape), axis)
        return TensorType(self.dtype or sum_dtype(x.dtype), shape)

    def check(self, x: TensorType, axis: int) -> None:
        """Raises ShapeError if the function does not support an axis."""

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        raise NotImplementedError

    def lower(self, g: Builder, x: Value) -> Any:
        dtype = self.dtype or sum_dtype(x.dtype)
        y = as_dtype(g, g.reshape(x, (product(x.shape),)) if self.axis is None else x, compute_dtype(dtype))
        return as_dtype(g, self.accumulate(g, y, 0 if self.axis is None else axis_of(x.type, self.axis)), dtype)


@operation("cumsum")
class Cumsum(CumulativeOp):
    """Cumulative sum along an axis."""

    formula = "y = cumsum(x, axis)"

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        return g.CumSum(x, g.const(axis, "int64"))


@operation("cumprod")
class Cumprod(CumulativeOp):
    """Cumulative product along an axis."""

    formula = "y = cumprod(x, axis)"

    def max_operators(self) -> int:
        return super().max_operators() + 4 * MAX_ELEMENTS_PER_SAMPLE.bit_length()

    def check(self, x: TensorType, axis: int) -> None:
        x.static_size(axis)

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        """Multiplies by the element 1, 2, 4, ... positions before: each pass doubles the length of the products."""
        reach = 1
        while reach < x.shape[axis]:
            pads = [reach if other == axis else 0 for other in range(x.rank)] + [0] * x.rank
            before = g.Pad(slice_axis(g, x, axis, 0, -reach), pads, g.const(1, x.dtype))
            x, reach = g.Mul(x, g.refine(before, x.shape)), reach * 2
        return x


@operation("diff")
class Diff(Operation):
    """Differences between consecutive elements along an axis."""

    formula = "y = diff(x, n, axis)"
    n: int = attr(1, doc="Number of times to take the difference.", minimum=0)
    axis: int = attr(-1, doc="Axis to take the difference along.")

    def max_operators(self) -> int:
        return super().max_operators() + 3 * self.n

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        axis = axis_of(x, self.axis)
        size = x.shape[axis]
        require(
            not isinstance(size, int) or size > self.n, f"needs more than {self.n} elements on axis {axis}, got {x}"
        )
        return x.with_shape((*x.shape[:axis], size - self.n, *x.shape[axis + 1 :]))

    def lower(self, g: Builder, x: Value) -> Any:
        axis, y = axis_of(x.type, self.axis), as_dtype(g, x, compute_dtype(x.dtype))
        for _ in range(self.n):
            shape = (*y.shape[:axis], y.shape[axis] - 1, *y.shape[axis + 1 :])
            parts = [g.refine(slice_axis(g, y, axis, *bounds), shape) for bounds in ((1, MAX_SLICE_BOUND), (0, -1))]
            y = g.Sub(*parts)
        return as_dtype(g, y, x.dtype)
