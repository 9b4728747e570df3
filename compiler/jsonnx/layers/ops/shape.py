"""Functions of keras.ops that rearrange, join, repeat and pad."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import BATCH, Dim, Size, TensorType, product, require, shape_text
from ..axes import Axes, axes_of, axis_of
from .base import Operation, as_dtype, operation, promoted_dtype

if TYPE_CHECKING:
    from ...ir import Builder, Value

MIN_SLICE_BOUND, MAX_SLICE_BOUND = -(2**63), 2**63 - 1
"""Bounds of a slice that reach any end of an axis."""


def as_tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    """One number, or several, as several."""
    return (value,) if isinstance(value, int) else tuple(value)


def new_axes(count: int, axes: int | Sequence[int]) -> list[int]:
    """Axes of a result that has so many, counted from 0."""
    found = sorted(axis % count for axis in as_tuple(axes) if -count <= axis < count)
    fits = len(found) == len(as_tuple(axes)) == len(set(found))
    require(fits, f"has the new axes {list(as_tuple(axes))}, where there are {count}", "each axis once; the batch is 0")
    return found


def slice_axis(g: Builder, x: Value, axis: int, start: int, stop: int) -> Value:
    """A slice along one axis."""
    return g.Slice(x, [start], [stop], [axis], [1])


def reverse_axes(g: Builder, x: Value, *axes: int) -> Value:
    """The other way round along axes, and whole: parts of an axis backwards are wrong in onnxruntime's WebGPU."""
    count = len(axes)
    return g.Slice(x, [-1] * count, [MIN_SLICE_BOUND] * count, list(axes), [-1] * count) if axes else x


# -- another shape ---------------------------------------------------------------------------------------------------


@operation("reshape")
class Reshape(Operation):
    """The same elements in the same order, in another shape, the batch included."""

    newshape: Axes = attr(doc="Sizes of all axes, the batch included; one may be -1, for what is left.", minimum=-1)

    def infer(self, x: TensorType) -> TensorType:
        shape = as_tuple(self.newshape)
        require(0 not in shape, f"cannot have an axis of size 0, got {list(shape)}")
        require(shape.count(-1) <= 1, f"can infer one axis of size -1, got {list(shape)}")
        known, elements = product(size for size in shape if size != -1), product(x.shape)
        assert isinstance(known, int)
        text = f"cannot bring the {elements} elements of {x} to {list(shape)}"
        if -1 not in shape:
            require(elements == known, text, "write -1 for the axis that varies; the batch is an axis too")
            return x.with_shape(shape)
        samples = elements.terms == ((str(BATCH), elements.terms[0][1]),) if isinstance(elements, Size) else False
        counted = elements if isinstance(elements, int) else elements.terms[0][1] if samples else 0
        require(counted % known == 0, f"{text}: {elements} is no multiple of {known}")
        rest: Dim = elements // known
        return x.with_shape(rest if size == -1 else size for size in shape)

    def lower(self, g: Builder, x: Value) -> Any:
        return g.reshape(x, self.infer(x.type).shape)


@operation("ravel")
class Ravel(Operation):
    """All elements as one row, the batch included."""

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((product(x.shape),))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.reshape(x, (product(x.shape),))


@operation("squeeze")
class Squeeze(Operation):
    """Without axes of size 1."""

    axis: Axes | None = attr(None, doc="Axis, or list of axes, to remove; null is all of size 1.")

    def _axes(self, x: TensorType) -> list[int]:
        if self.axis is None:
            return [axis for axis, size in enumerate(x.shape) if size == 1]
        axes = axes_of(x, self.axis)
        for axis in axes:
            require(x.shape[axis] == 1, f"removes axis {axis}, whose size is not 1, got {x}")
        return axes

    def infer(self, x: TensorType) -> TensorType:
        axes = self._axes(x)
        return x.with_shape(size for axis, size in enumerate(x.shape) if axis not in axes)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = self._axes(x.type)
        return g.Squeeze(x, axes) if axes else x


@operation("expand_dims")
class ExpandDims(Operation):
    """With new axes of size 1."""

    axis: Axes = attr(doc="Where the new axis, or each of several, stands in the result.")

    def infer(self, x: TensorType) -> TensorType:
        axes = new_axes(x.rank + len(as_tuple(self.axis)), self.axis)
        sizes = iter(x.shape)
        return x.with_shape(1 if axis in axes else next(sizes) for axis in range(x.rank + len(axes)))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.Unsqueeze(x, new_axes(x.rank + len(as_tuple(self.axis)), self.axis))


@operation("broadcast_to")
class BroadcastTo(Operation):
    """Repeated along axes of size 1, to a shape."""

    shape: tuple[int | None, ...] = attr(doc="Sizes of all axes; null is the argument's, such as that of the batch.")

    def infer(self, x: TensorType) -> TensorType:
        more = len(self.shape) - x.rank
        fits = more >= 0 and None not in self.shape[:more]
        require(fits, f"cannot broadcast {x} to {len(self.shape)} axes")
        sizes: list[Dim] = [size for size in self.shape[:more] if size is not None]
        for own, size in zip(x.shape, self.shape[more:], strict=True):
            require(size in (None, own) or own == 1, f"cannot broadcast {x} to {shape_text(self.shape)}")  # type: ignore[arg-type]
            sizes.append(own if size is None else size)
        return x.with_shape(sizes)

    def lower(self, g: Builder, x: Value) -> Any:
        shape = self.infer(x.type).shape
        return x if shape == x.shape else g.refine(g.Expand(x, g.sizes(shape, x)), shape)


# -- axes in another order -------------------------------------------------------------------------------------------


class Permutation(Operation):
    """Base of the functions that change the order of the axes."""

    def order(self, x: TensorType) -> list[int]:
        """The axis of the argument for every axis of the result."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape(x.shape[axis] for axis in self.order(x))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.transpose(x, self.order(x.type))


@operation("transpose")
class Transpose(Permutation):
    """The axes in another order."""

    axes: tuple[int, ...] | None = attr(None, doc="The axis of the argument for every axis; null turns them around.")

    def order(self, x: TensorType) -> list[int]:
        if self.axes is None:
            return list(range(x.rank))[::-1]
        found = [axis_of(x, axis) for axis in self.axes]
        require(sorted(found) == list(range(x.rank)), f"needs each of {x.rank} axes once, got {list(self.axes)}")
        return found


@operation("swapaxes")
class Swapaxes(Permutation):
    """Two axes swapped."""

    axis1: int = attr(doc="One axis.")
    axis2: int = attr(doc="The other axis.")

    def order(self, x: TensorType) -> list[int]:
        a, b = axis_of(x, self.axis1), axis_of(x, self.axis2)
        return [b if axis == a else a if axis == b else axis for axis in range(x.rank)]


@operation("moveaxis")
class Moveaxis(Permutation):
    """Some axes at other places, the others in their order."""

    source: Axes = attr(doc="Axis, or list of axes, to move.")
    destination: Axes = attr(doc="Where each of them goes.")

    def order(self, x: TensorType) -> list[int]:
        axes_of(x, self.source), axes_of(x, self.destination)
        source, destination = (
            [axis_of(x, axis) for axis in as_tuple(axes)] for axes in (self.source, self.destination)
        )
        require(len(source) == len(destination), "needs as many destinations as sources")
        others = iter(axis for axis in range(x.rank) if axis not in source)
        places = dict(zip(destination, source, strict=True))
        return [places[axis] if axis in places else next(others) for axis in range(x.rank)]


# -- joined ----------------------------------------------------------------------------------------------------------


class JoinOp(Operation):
    """Base of the functions of several tensors side by side; they meet in one element type."""

    arity = (1, None)
    axis: int = attr(0, doc="The axis along which they stand; the batch is 0.")


@operation("concatenate")
class Concatenate(JoinOp):
    """The tensors behind one another along an axis they have."""

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        axis = axis_of(first, self.axis)
        size: Dim = 0
        for x in inputs:
            alike = x.rank == first.rank and all(
                a == b for place, (a, b) in enumerate(zip(x.shape, first.shape, strict=False)) if place != axis
            )
            require(alike, f"joins tensors that differ in axis {axis} alone, got {first} and {x}")
            size = x.shape[axis] + size
        return TensorType(promoted_dtype(*inputs), (*first.shape[:axis], size, *first.shape[axis + 1 :]))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        dtype = promoted_dtype(*inputs)
        return g.Concat(*(as_dtype(g, x, dtype) for x in inputs), axis=axis_of(inputs[0].type, self.axis))


@operation("stack")
class Stack(JoinOp):
    """The tensors behind one another along a new axis."""

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        (axis,) = new_axes(first.rank + 1, self.axis)
        for x in inputs:
            require(x.shape == first.shape, f"stacks tensors of one shape, got {first} and {x}")
        return TensorType(promoted_dtype(*inputs), (*first.shape[:axis], len(inputs), *first.shape[axis:]))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        dtype, (axis,) = promoted_dtype(*inputs), new_axes(inputs[0].rank + 1, self.axis)
        return g.Concat(*(g.Unsqueeze(as_dtype(g, x, dtype), [axis]) for x in inputs), axis=axis)


# -- in parts --------------------------------------------------------------------------------------------------------


MAX_OUTPUTS = 65536
"""Results that a layer may have."""


class MultiOutputOp(Operation):
    """Base of the functions of several results, the further ones of which are called 1, 2, ..."""

    def output_count(self) -> int:
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        pieces = self.output_count()
        require(
            pieces <= MAX_OUTPUTS, f"takes its input into {pieces} parts, the limit is {MAX_OUTPUTS}", code="too-large"
        )
        return tuple(map(str, range(1, pieces)))


@operation("split")
class Split(MultiOutputOp):
    """The parts of an axis: the first is the layer itself, the others are `name.1`, `name.2`, ..."""

    indices_or_sections: Axes = attr(doc="How many equal parts, or the list of the places to cut at.", minimum=1)
    axis: int = attr(0, doc="Axis to cut; the batch is 0.")

    def output_count(self) -> int:
        cuts = self.indices_or_sections
        return cuts if isinstance(cuts, int) else len(cuts) + 1

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = axis_of(x, self.axis)
        return tuple(x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in self._sizes(x, axis))

    def _sizes(self, x: TensorType, axis: int) -> list[Dim]:
        cuts, size = self.indices_or_sections, x.shape[axis]
        if isinstance(cuts, int):
            whole = not isinstance(size, int) or size % cuts == 0
            require(whole, f"cannot cut axis {axis} of {x} into {cuts} equal parts")
            return [size // cuts] * cuts
        ends = [0, *cuts, x.static_size(axis)]
        require(ends == sorted(set(ends)), f"cannot cut axis {axis} of {x} at {list(cuts)}", "cut in order, inside it")
        return [end - start for start, end in pairwise(ends)]

    def lower(self, g: Builder, x: Value) -> Any:
        axis = axis_of(x.type, self.axis)
        sizes = self._sizes(x.type, axis)
        if len(sizes) == 1:
            return x
        if isinstance(x.shape[axis], int):
            return g.Split(x, g.const(sizes, "int64"), axis=axis, outputs=len(sizes))
        return g.Split(x, axis=axis, num_outputs=len(sizes), outputs=len(sizes))


@operation("unstack")
class Unstack(MultiOutputOp):
    """What stands at every place of an axis: the first is the layer itself, the others are `name.1`, `name.2`, ..."""

    num: int = attr(doc="How many there are: the size of the axis.", minimum=1)
    axis: int = attr(0, doc="Axis to take apart; the batch is 0.")

    def output_count(self) -> int:
        return self.num

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = axis_of(x, self.axis)
        require(x.shape[axis] == self.num, f"takes apart {self.num} places of axis {axis}, got {x}")
        return (x.with_shape(x.shape[:axis] + x.shape[axis + 1 :]),) * self.num

    def lower(self, g: Builder, x: Value) -> Any:
        axis = axis_of(x.type, self.axis)
        parts = [x] if self.num == 1 else g.Split(x, axis=axis, num_outputs=self.num, outputs=self.num)
        return tuple(g.Squeeze(part, [axis]) for part in parts)
