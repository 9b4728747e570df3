"""Functions of keras.ops that pick, sort and add up along an axis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import Json, attr
from ...core.types import Dim, Size, TensorType, broadcast, product, require
from ..axes import axis_of
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
from .shape import MAX_SLICE_BOUND, MIN_SLICE_BOUND, reverse_axes, slice_axis

if TYPE_CHECKING:
    from ...ir import Builder, Value

# -- x[...] ----------------------------------------------------------------------------------------------------------

KEY_SYNTAX = (
    'each is an integer, a slice such as "1:-1" or "::2", "..." or null for a new axis, as in x[1, :, ..., None]'
)


class KeyCodec:
    """What stands between brackets in Python: integers, slices as text, `...` as text, null for a new axis."""

    def schema(self) -> dict[str, Json]:
        return {"type": "array", "items": {"type": ["integer", "string", "null"]}}

    def read(self, value: Json) -> tuple[Any, ...]:
        return tuple(int(item) if isinstance(item, float) else item for item in value)

    def write(self, value: tuple[Any, ...]) -> Json:
        return list(value)


Key = Annotated[tuple[Any, ...], KeyCodec()]


def parse_slice(text: str) -> slice:
    """A slice from its text; ShapeError where it is none."""
    found = re.fullmatch(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?", text)
    require(found is not None, f"cannot read {text!r} in its key", KEY_SYNTAX, "invalid-value")
    assert found is not None
    start, stop, step = (None if part is None else int(part) for part in found.groups())
    require(step != 0, f"has a slice with step 0, {text!r}", code="invalid-value")
    return slice(start, stop, 1 if step is None else step)


def slice_length(size: Dim, part: slice) -> Dim:
    """How many elements a slice takes of an axis, by name where its size is known by name only."""
    if isinstance(size, int):
        return len(range(*part.indices(size)))
    start, stop, step = part.start, part.stop, part.step
    if step < 0:
        whole = start is None and stop is None
        require(whole, f"has a slice backwards over a part of an axis of size {size}", "flip first, then cut")
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
    """A part of the argument, as `x[key]`."""

    key: Key = attr(doc="What stands between the brackets, the batch's place first: " + KEY_SYNTAX + ".")

    def _indexers(self, x: TensorType) -> list[Any]:
        """For every axis of x an integer or a slice, and None between them for a new axis."""
        key = list(self.key)
        require(key.count("...") <= 1, 'has "..." twice in its key', code="invalid-value")
        given = sum(item is not None and item != "..." for item in key)
        require(given <= x.rank, f"has {given} places in its key, got {x}", "the batch is the first axis")
        rest = [slice(None, None, 1)] * (x.rank - given)
        at = key.index("...") if "..." in key else len(key)
        key = [*key[:at], *rest, *key[at + 1 :]]
        return [parse_slice(item) if isinstance(item, str) else item for item in key]

    def infer(self, x: TensorType) -> TensorType:
        sizes = iter(x.shape)
        shape: list[Dim] = []
        for place in self._indexers(x):
            if place is None:
                shape.append(1)
                continue
            size = next(sizes)
            if isinstance(place, slice):
                shape.append(slice_length(size, place))
            else:
                inside = not isinstance(size, int) or -size <= place < size
                require(inside, f"takes place {place} of an axis of size {size}, got {x}", code="out-of-range")
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        shape, places = self.infer(x.type).shape, self._indexers(x.type)
        own = [place for place in places if place is not None]
        cuts = {axis: part for axis, part in enumerate(own) if part != slice(None, None, 1)}
        y = x
        if cuts:
            parts = [part if isinstance(part, slice) else one_element_slice(part) for part in cuts.values()]
            known = {axis: size for axis in cuts if isinstance(size := x.shape[axis], int)}
            turns = [axis for axis, part in zip(cuts, parts, strict=True) if axis in known and part.step < 0]
            parts = [
                forward_slice(part, known[axis]) if axis in turns else part
                for axis, part in zip(cuts, parts, strict=True)
            ]
            starts = [(0 if part.step > 0 else MAX_SLICE_BOUND) if part.start is None else part.start for part in parts]
            stops = [
                (MAX_SLICE_BOUND if part.step > 0 else MIN_SLICE_BOUND) if part.stop is None else part.stop
                for part in parts
            ]
            y = reverse_axes(g, g.Slice(y, starts, stops, list(cuts), [part.step for part in parts]), *turns)
            y = g.refine(y, [slice_length(size, as_slice(part)) for size, part in zip(x.shape, own, strict=True)])
        dropped = [axis for axis, part in enumerate(own) if not isinstance(part, slice)]
        y = g.Squeeze(y, dropped) if dropped else y
        kept = [place for place in places if place is None or isinstance(place, slice)]
        added = [axis for axis, place in enumerate(kept) if place is None]
        y = g.Unsqueeze(y, added) if added else y
        return g.refine(y, shape) if y is not x else y


def forward_slice(part: slice, size: int) -> slice:
    """The places of a slice that goes backwards over an axis, from the lowest on."""
    places = range(*part.indices(size))
    return slice(places[-1], places[0] + 1, -part.step) if places else slice(0, 0, 1)


def one_element_slice(place: int) -> slice:
    """The slice of one place."""
    return slice(place, place + 1 if place != -1 else None, 1)


def as_slice(place: Any) -> slice:
    """The slice that a place of a key is; of an integer one of a single element."""
    return place if isinstance(place, slice) else slice(0, 1, 1)


# -- picked by numbers -----------------------------------------------------------------------------------------------


class GatherOp(MultiTensorOp):
    """Base of what is taken of an axis, at places that are counted from the end where they are below 0."""

    arity = (2, 2)
    tensors = ("x", "indices")

    x: ConstantArgument | None = constant_argument("x")
    indices: ConstantArgument | None = constant_argument("indices")
    axis: int | None = attr(None, doc="Axis; null takes all elements as one row.")


@operation("take")
class Take(GatherOp):
    """The slices of an axis at places, which are counted from the end where they are below 0."""

    def result_type(self, x: Any, indices: Any) -> TensorType:
        shape = (product(x.shape),) if self.axis is None else x.shape
        row = TensorType(x.dtype, shape)
        axis = 0 if self.axis is None else axis_of(row, self.axis)
        require_integer_indices(indices)
        check_index_range(indices, row.shape[axis])
        return row.with_shape((*shape[:axis], *indices.shape, *shape[axis + 1 :]))

    def emit(self, g: Builder, x: Any, indices: Any) -> Any:
        x = as_dtype(g, x, x.dtype)
        row = g.reshape(x, (product(x.shape),)) if self.axis is None else x
        return g.Gather(row, as_dtype(g, indices, "int64"), axis=0 if self.axis is None else axis_of(x.type, self.axis))


def require_integer_indices(indices: Any) -> None:
    """ShapeError where indices are no integers."""
    whole = indices.dtype != "string" and not is_float_dtype(indices.dtype)
    require(whole, f"needs integers as indices, got {indices.dtype}", "ops.cast makes integers")


def check_index_range(indices: Any, size: Dim) -> None:
    """ShapeError where a constant place is outside an axis."""
    if isinstance(indices, ConstantOperand) and isinstance(size, int):
        outside = [place for place in indices.flat_values() if not -size <= place < size]
        require(not outside, f"takes place {outside[:1]} of an axis of size {size}", code="out-of-range")


@operation("take_along_axis")
class TakeAlongAxis(GatherOp):
    """Elements of an axis, at places of their own for every other place."""

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
        """The shapes of both, alike but along the axis."""
        open = [(*value.shape[:axis], 1, *value.shape[axis + 1 :]) for value in (x, indices)]
        both = broadcast(open[0], open[1])
        require(both is not None, f"has indices of shape {list(indices.shape)} for {x}: they differ beside the axis")
        assert both is not None
        a, b = ((*both[:axis], value.shape[axis], *both[axis + 1 :]) for value in (x, indices))
        return a, b

    def emit(self, g: Builder, x: Any, indices: Any) -> Any:
        x, indices = as_dtype(g, x, x.dtype), as_dtype(g, indices, "int64")
        if self.axis is None:
            return g.Gather(g.reshape(x, (product(x.shape),)), indices, axis=0)
        axis = axis_of(x.type, self.axis)
        whole, places = self._broadcast_shapes(x, indices, axis)
        both = [
            value if value.shape == shape else g.refine(g.Expand(value, g.sizes(shape, x, indices)), shape)
            for value, shape in ((x, whole), (indices, places))
        ]
        return g.refine(g.GatherElements(*both, axis=axis), places)


@operation("one_hot")
class OneHot(Operation):
    """1 at the place that an integer says along a new axis, else 0."""

    num_classes: int = attr(doc="Size of the new axis.", minimum=1)
    axis: int = attr(-1, doc="Where the new axis stands in the result.")
    dtype: DType | None = attr(None, doc="Element type of the result; null is float32.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        require(not is_float_dtype(x.dtype), f"needs integers, got {x}", "ops.cast makes integers")
        axis = self._axis(x)
        return TensorType(self.dtype or "float32", (*x.shape[:axis], self.num_classes, *x.shape[axis:]))

    def _axis(self, x: TensorType) -> int:
        require(-x.rank - 1 <= self.axis <= x.rank, f"has the new axis {self.axis}, got {x}")
        return self.axis % (x.rank + 1)

    def lower(self, g: Builder, x: Value) -> Any:
        axis = self._axis(x.type)
        row = g.const(list(range(self.num_classes)), "int64")
        places = g.reshape(row, [self.num_classes, *[1] * (x.rank - axis)])
        return as_dtype(g, g.Equal(g.Unsqueeze(as_dtype(g, x, "int64"), [axis]), places), self.dtype or "float32")


# -- in order --------------------------------------------------------------------------------------------------------


def sorted_with_indices(g: Builder, x: Value, axis: int, count: Any, largest: int) -> tuple[Value, Value]:
    """The greatest or least elements along an axis and their places, in order; of equal ones the first comes first."""
    values, places = g.TopK(as_dtype(g, x, compute_dtype(x.dtype)), count, axis=axis, largest=largest, outputs=2)
    return as_dtype(g, values, x.dtype), g.cast(places, "int32")


class SortOp(Operation):
    """Base of the functions that sort an axis."""

    axis: int = attr(-1, doc="Axis to sort.")
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
    """The elements of an axis from the least to the greatest."""

    topk_output = 0


@operation("argsort")
class Argsort(SortOp):
    """The places of the elements of an axis, from the least element to the greatest."""

    topk_output = 1


@operation("top_k")
class TopK(Operation):
    """The greatest elements of the last axis, from the greatest on; their places are the output `indices`."""

    k: int = attr(doc="How many.", minimum=1)
    sorted: bool = attr(True, doc="Whether they have to be in order; they always are.")

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


# -- added up --------------------------------------------------------------------------------------------------------


class CumulativeOp(Operation):
    """Base of the sums and products of all elements up to each."""

    axis: int | None = attr(None, doc="Axis; null takes all elements as one row.")
    dtype: DType | None = attr(None, doc="Element type of the result; null is that of the argument.")

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        shape = (product(x.shape),) if self.axis is None else x.shape
        axis = 0 if self.axis is None else axis_of(x, self.axis)
        self.check(x.with_shape(shape), axis)
        return TensorType(self.dtype or sum_dtype(x.dtype), shape)

    def check(self, x: TensorType, axis: int) -> None:
        """ShapeError where the function cannot go along an axis."""

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        raise NotImplementedError

    def lower(self, g: Builder, x: Value) -> Any:
        dtype = self.dtype or sum_dtype(x.dtype)
        y = as_dtype(g, g.reshape(x, (product(x.shape),)) if self.axis is None else x, compute_dtype(dtype))
        return as_dtype(g, self.accumulate(g, y, 0 if self.axis is None else axis_of(x.type, self.axis)), dtype)


@operation("cumsum")
class Cumsum(CumulativeOp):
    """The sum of all elements up to each, itself included."""

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        return g.CumSum(x, g.const(axis, "int64"))


@operation("cumprod")
class Cumprod(CumulativeOp):
    """The product of all elements up to each, itself included."""

    def check(self, x: TensorType, axis: int) -> None:
        x.static_size(axis)

    def accumulate(self, g: Builder, x: Value, axis: int) -> Value:
        """Each times the one 1, 2, 4, ... places before it: the products of twice as many each time."""
        reach = 1
        while reach < x.shape[axis]:
            pads = [reach if place == axis else 0 for place in range(x.rank)] + [0] * x.rank
            before = g.Pad(slice_axis(g, x, axis, 0, -reach), pads, g.const(1, x.dtype))
            x, reach = g.Mul(x, g.refine(before, x.shape)), reach * 2
        return x


@operation("diff")
class Diff(Operation):
    """Every element of an axis less the one before it."""

    n: int = attr(1, doc="How many times in turn.", minimum=0)
    axis: int = attr(-1, doc="Axis along which to go.")

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
