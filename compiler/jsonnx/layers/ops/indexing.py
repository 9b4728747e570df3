"""Functions of keras.ops that index, sort and accumulate along an axis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import Json, attr
from ...core.types import Dim, Size, TensorType, broadcast, product, require
from ..axes import MAX_SLICE_BOUND, MIN_SLICE_BOUND, axis_of
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
from .shape import reverse_axes, slice_axis

if TYPE_CHECKING:
    from ...ir import Builder, Value

# -- x[...] ----------------------------------------------------------------------------------------------------------

KEY_SYNTAX = (
    'each is an integer, a slice such as "1:-1" or "::2", "..." or null for a new axis, as in x[1, :, ..., None]'
)


class KeyCodec:
    """Codec of a Python indexing key: integers, slices and `...` as text, null for a new axis."""

    def schema(self) -> dict[str, Json]:
        return {"type": "array", "items": {"type": ["integer", "string", "null"]}}

    def read(self, value: Json) -> tuple[Any, ...]:
        return tuple(int(item) if isinstance(item, float) else item for item in value)

    def write(self, value: tuple[Any, ...]) -> Json:
        return list(value)


Key = Annotated[tuple[Any, ...], KeyCodec()]


def parse_slice(text: str) -> slice:
    """Parses a slice. Raises ShapeError if the text is not a slice."""
    match = re.fullmatch(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?", text)
    require(match is not None, f"cannot read {text!r} in its key", KEY_SYNTAX, "invalid-value")
    assert match is not None
    start, stop, step = (None if part is None else int(part) for part in match.groups())
    require(step != 0, f"has a slice with step 0, {text!r}", code="invalid-value")
    return slice(start, stop, 1 if step is None else step)


def slice_length(size: Dim, part: slice) -> Dim:
    """Returns the number of elements of a slice, symbolic if the axis' size is."""
    if isinstance(size, int):
        return len(range(*part.indices(size)))
    start, stop, step = part.start, part.stop, part.step
    if step < 0:
        full = start is None and stop is None
        require(
            full,
            f"has a slice backwards over a part of an axis of size {size}",
            "reverse the whole axis first, then slice it",
        )
        length: Dim = size
    else:
        low = 0 if start is None else start
        if stop is None:
            length = size - low if low >= 0 else -low
        elif stop < 0:
            length = size + stop - low if low >= 0 else stop - low
        else:
            require(low >= 0, f"has a slice from the end to {stop} of an axis of size {size}")
            length = Size.named(f"min({size}, {stop})") - low
    return length if abs(step) == 1 else (length + (abs(step) - 1)) // abs(step)


@operation("get_item")
class GetItem(Operation):
    """Indexes a tensor, as `x[key]` in Python."""

    key: Key = attr(doc="Indices, starting with the batch axis:  " + KEY_SYNTAX + ".")

    def _indexers(self, x: TensorType) -> list[Any]:
        """Returns an integer or slice for every axis of x, and None between them for new axes."""
        key = list(self.key)
        require(key.count("...") <= 1, 'has "..." twice in its key', code="invalid-value")
        count = sum(item is not None and item != "..." for item in key)
        require(count <= x.rank, f"has {count} indices in its key, got {x}", "the batch is the first axis")
        full_slices = [slice(None, None, 1)] * (x.rank - count)
        ellipsis = key.index("...") if "..." in key else len(key)
        key = [*key[:ellipsis], *full_slices, *key[ellipsis + 1 :]]
        return [parse_slice(item) if isinstance(item, str) else item for item in key]

    def infer(self, x: TensorType) -> TensorType:
        sizes = iter(x.shape)
        shape: list[Dim] = []
        for indexer in self._indexers(x):
            if indexer is None:
                shape.append(1)
                continue
            size = next(sizes)
            if isinstance(indexer, slice):
                shape.append(slice_length(size, indexer))
            else:
                inside = not isinstance(size, int) or -size <= indexer < size
                require(inside, f"takes element {indexer} of an axis of size {size}, got {x}", code="out-of-range")
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        shape, indexers = self.infer(x.type).shape, self._indexers(x.type)
        by_axis = [indexer for indexer in indexers if indexer is not None]
        y = self._slice_axes(g, x, by_axis)
        dropped = [axis for axis, indexer in enumerate(by_axis) if not isinstance(indexer, slice)]
        y = g.Squeeze(y, dropped) if dropped else y
        remaining = [indexer for indexer in indexers if indexer is None or isinstance(indexer, slice)]
        added = [axis for axis, indexer in enumerate(remaining) if indexer is None]
        y = g.Unsqueeze(y, added) if added else y
        return g.refine(y, shape) if y is not x else y

    def _slice_axes(self, g: Builder, x: Value, by_axis: list[Any]) -> Value:
        """Slices every axis of x; an integer gives one element. Backward slices are emitted forward, then reversed."""
        cuts = {axis: part for axis, part in enumerate(by_axis) if part != slice(None, None, 1)}
        if not cuts:
            return x
        parts = [part if isinstance(part, slice) else one_element_slice(part) for part in cuts.values()]
        static = {axis: size for axis in cuts if isinstance(size := x.shape[axis], int)}
        reversed_axes = [axis for axis, part in zip(cuts, parts, strict=True) if axis in static and part.step < 0]
        parts = [
            forward_slice(part, static[axis]) if axis in reversed_axes else part
            for axis, part in zip(cuts, parts, strict=True)
        ]
        starts = [(0 if part.step > 0 else MAX_SLICE_BOUND) if part.start is None else part.start for part in parts]
        stops = [
            (MAX_SLICE_BOUND if part.step > 0 else MIN_SLICE_BOUND) if part.stop is None else part.stop
            for part in parts
        ]
        y = g.Slice(x, starts, stops, list(cuts), [part.step for part in parts])
        y = reverse_axes(g, y, *reversed_axes)
        return g.refine(y, [slice_length(size, as_slice(part)) for size, part in zip(x.shape, by_axis, strict=True)])


def forward_slice(part: slice, size: int) -> slice:
    """Returns the elements of a backward slice as a forward slice."""
    indices = range(*part.indices(size))
    return slice(indices[-1], indices[0] + 1, -part.step) if indices else slice(0, 0, 1)


def one_element_slice(index: int) -> slice:
    """Returns the slice of a single element."""
    return slice(index, index + 1 if index != -1 else None, 1)


def as_slice(indexer: Any) -> slice:
    """Returns a slice unchanged, and a one-element slice for an integer."""
    return indexer if isinstance(indexer, slice) else slice(0, 1, 1)


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

    def result_type(self, x: Any, indices: Any) -> TensorType:
        if self.axis is None:
            require(indices.rank == 1, "needs one row of indices where axis is null")
            return TensorType(x.dtype, indices.shape)
        axis = axis_of(TensorType(x.dtype, x.shape), self.axis)
        require(x.rank == indices.rank, f"needs indices of rank {x.rank}, got {list(indices.shape)}")
        require_integer_indices(indices)
        check_index_range(indices, x.shape[axis])
        return TensorType(x.dtype, self._broadcast_shapes(x, indices, axis)[1])

    def _broadcast_shapes(self, x: Any, indices: Any, axis: int) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        """Returns the shapes of both after broadcasting all axes except `axis`."""
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
        classes = g.const(list(range(self.num_classes)), "int64")
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

    topk_output = 0


@operation("argsort")
class Argsort(SortOp):
    """Indices that sort the elements along an axis in ascending order."""

    topk_output = 1


@operation("top_k")
class TopK(Operation):
    """The k largest elements along the last axis, in descending order; their indices are the output `indices`."""

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

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        return g.CumSum(x, g.const(axis, "int64"))


@operation("cumprod")
class Cumprod(CumulativeOp):
    """Cumulative product along an axis."""

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

    n: int = attr(1, doc="Number of times to take the difference.", minimum=0)
    axis: int = attr(-1, doc="Axis to take the difference along.")

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
