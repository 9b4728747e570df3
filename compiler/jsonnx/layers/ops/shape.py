"""Functions of keras.ops that reshape, permute, join and split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.limits import MAX_LAYER_OUTPUTS
from ...core.types import BATCH, Dim, Size, TensorType, product, require, shape_text
from ..axes import MIN_SLICE_BOUND, Axes, axes_of, axis_of
from ..base import padding_mask
from .base import Operation, as_dtype, operation, promoted_dtype

if TYPE_CHECKING:
    from ...ir import Builder, Value


def as_tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    """One or several numbers as a tuple."""
    return (value,) if isinstance(value, int) else tuple(value)


def new_axes(count: int, axes: int | Sequence[int]) -> list[int]:
    """The positions of new axes in a result of rank `count`, counted from 0."""
    positions = sorted(axis % count for axis in as_tuple(axes) if -count <= axis < count)
    fits = len(positions) == len(as_tuple(axes)) == len(set(positions))
    require(fits, f"has the new axes {list(as_tuple(axes))}, where there are {count}", "each axis once; the batch is 0")
    return positions


def slice_axis(g: Builder, x: Value, axis: int, start: int, stop: int) -> Value:
    """Slices one axis."""
    return g.Slice(x, [start], [stop], [axis], [1])


def reverse_axes(g: Builder, x: Value, *axes: int) -> Value:
    """Reverses whole axes. Partial backward slices are avoided, as onnxruntime's WebGPU provider gets them wrong."""
    count = len(axes)
    return g.Slice(x, [-1] * count, [MIN_SLICE_BOUND] * count, list(axes), [-1] * count) if axes else x


# -- reshaping -------------------------------------------------------------------------------------------------------


@operation("reshape")
class Reshape(Operation):
    """Reshapes a tensor, batch axis included; the order of elements is kept."""

    formula = "y = reshape(x, newshape)"
    keeps_unbounded = True
    newshape: Axes = attr(doc="Sizes of all axes, batch included; one may be -1 to be inferred.", minimum=-1)

    def infer(self, x: TensorType) -> TensorType:
        shape = as_tuple(self.newshape)
        require(0 not in shape, f"cannot have an axis of size 0, got {list(shape)}")
        require(shape.count(-1) <= 1, f"can infer one axis of size -1, got {list(shape)}")
        target_elements, elements = product(size for size in shape if size != -1), product(x.shape)
        assert isinstance(target_elements, int)
        text = f"cannot reshape the {elements} elements of {x} to {list(shape)}"
        if -1 not in shape:
            require(elements == target_elements, text, "write -1 for the axis that varies; the batch is an axis too")
            return x.with_shape(shape)
        per_sample = isinstance(elements, Size) and elements.terms == ((str(BATCH), elements.terms[0][1]),)
        factor = elements if isinstance(elements, int) else elements.terms[0][1] if per_sample else 0
        require(factor % target_elements == 0, f"{text}: {elements} is not a multiple of {target_elements}")
        inferred: Dim = elements // target_elements
        return x.with_shape(inferred if size == -1 else size for size in shape)

    def lower(self, g: Builder, x: Value) -> Any:
        return g.reshape(x, self.infer(x.type).shape)


@operation("ravel")
class Ravel(Operation):
    """Flattens a tensor to one axis, batch axis included."""

    formula = "y = reshape(x, -1)"

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((product(x.shape),))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.reshape(x, (product(x.shape),))


@operation("squeeze")
class Squeeze(Operation):
    """Removes axes of size 1."""

    formula = "y = squeeze(x, axis)"
    keeps_unbounded = True
    axis: Axes | None = attr(None, doc="Axis or list of axes to remove; null for all of size 1.")

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
    """Inserts axes of size 1."""

    formula = "y = expand_dims(x, axis)"
    keeps_unbounded = True
    axis: Axes = attr(doc="Position or positions of the new axes in the result.")

    def infer(self, x: TensorType) -> TensorType:
        axes = new_axes(x.rank + len(as_tuple(self.axis)), self.axis)
        sizes = iter(x.shape)
        return x.with_shape(1 if axis in axes else next(sizes) for axis in range(x.rank + len(axes)))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        mask = padding_mask(masks[0])
        if mask is None:
            return None
        rank = inputs[0].rank + len(as_tuple(self.axis))
        kept = [axis for axis in range(rank) if axis not in new_axes(rank, self.axis)]
        return mask.moved(kept[mask.axis])

    def lower(self, g: Builder, x: Value) -> Any:
        return g.Unsqueeze(x, new_axes(x.rank + len(as_tuple(self.axis)), self.axis))


@operation("broadcast_to")
class BroadcastTo(Operation):
    """Broadcasts a tensor to a shape."""

    formula = """
        sizes = [size or x.shape[axis] for axis, size in enumerate(shape, x.ndim - len(shape))]
        y = broadcast_to(x, sizes)
    """
    shape: tuple[int | None, ...] = attr(
        doc="Sizes of all axes; null keeps the argument's size, e.g. that of the batch."
    )

    def infer(self, x: TensorType) -> TensorType:
        added = len(self.shape) - x.rank
        fits = added >= 0 and None not in self.shape[:added]
        require(fits, f"cannot broadcast {x} to {len(self.shape)} axes")
        sizes: list[Dim] = [size for size in self.shape[:added] if size is not None]
        for input_size, size in zip(x.shape, self.shape[added:], strict=True):
            require(size in (None, input_size) or input_size == 1, f"cannot broadcast {x} to {shape_text(self.shape)}")  # type: ignore[arg-type]
            sizes.append(input_size if size is None else size)
        return x.with_shape(sizes)

    def lower(self, g: Builder, x: Value) -> Any:
        shape = self.infer(x.type).shape
        return x if shape == x.shape else g.refine(g.Expand(x, g.sizes(shape, x)), shape)


# -- permuting -------------------------------------------------------------------------------------------------------


class Permutation(Operation):
    """Base class of functions that permute the axes."""

    def order(self, x: TensorType) -> list[int]:
        """The input axis of each output axis."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape(x.shape[axis] for axis in self.order(x))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        mask, order = padding_mask(masks[0]), self.order(inputs[0])
        return None if mask is None or order[0] else mask.moved(order.index(mask.axis))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.transpose(x, self.order(x.type))


@operation("transpose")
class Transpose(Permutation):
    """Permutes the axes."""

    formula = "y = transpose(x, axes)"
    keeps_unbounded = True
    axes: tuple[int, ...] | None = attr(None, doc="The input axis of each output axis; null reverses the axes.")

    def order(self, x: TensorType) -> list[int]:
        if self.axes is None:
            return list(range(x.rank))[::-1]
        order = [axis_of(x, axis) for axis in self.axes]
        require(sorted(order) == list(range(x.rank)), f"needs each of {x.rank} axes once, got {list(self.axes)}")
        return order


@operation("swapaxes")
class Swapaxes(Permutation):
    """Swaps two axes."""

    formula = "y = swapaxes(x, axis1, axis2)"
    axis1: int = attr(doc="First axis.")
    axis2: int = attr(doc="Second axis.")

    def order(self, x: TensorType) -> list[int]:
        a, b = axis_of(x, self.axis1), axis_of(x, self.axis2)
        return [b if axis == a else a if axis == b else axis for axis in range(x.rank)]


@operation("moveaxis")
class Moveaxis(Permutation):
    """Moves axes to other positions; the other axes keep their order."""

    formula = "y = moveaxis(x, source, destination)"
    source: Axes = attr(doc="Axis or list of axes to move.")
    destination: Axes = attr(doc="New position of each.")

    def order(self, x: TensorType) -> list[int]:
        axes_of(x, self.source), axes_of(x, self.destination)
        source, destination = (
            [axis_of(x, axis) for axis in as_tuple(axes)] for axes in (self.source, self.destination)
        )
        require(len(source) == len(destination), "needs as many destinations as sources")
        others = iter(axis for axis in range(x.rank) if axis not in source)
        source_of = dict(zip(destination, source, strict=True))
        return [source_of[axis] if axis in source_of else next(others) for axis in range(x.rank)]


# -- joining ---------------------------------------------------------------------------------------------------------


class JoinOp(Operation):
    """Base class of functions that join tensors; their element types are promoted."""

    arity = (1, None)
    axis: int = attr(0, doc="Axis to join along; the batch axis is 0.")


@operation("concatenate")
class Concatenate(JoinOp):
    """Concatenates tensors along an existing axis."""

    formula = "y = concatenate(xs, axis)"

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        axis = axis_of(first, self.axis)
        size: Dim = 0
        for x in inputs:
            fits = x.rank == first.rank and all(
                a == b for other, (a, b) in enumerate(zip(x.shape, first.shape, strict=False)) if other != axis
            )
            require(fits, f"joins tensors that differ only on axis {axis}, got {first} and {x}")
            size = x.shape[axis] + size
        return TensorType(promoted_dtype(*inputs), (*first.shape[:axis], size, *first.shape[axis + 1 :]))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        dtype = promoted_dtype(*inputs)
        return g.Concat(*(as_dtype(g, x, dtype) for x in inputs), axis=axis_of(inputs[0].type, self.axis))


@operation("stack")
class Stack(JoinOp):
    """Stacks tensors along a new axis."""

    formula = "y = stack(xs, axis)"

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        (axis,) = new_axes(first.rank + 1, self.axis)
        for x in inputs:
            require(x.shape == first.shape, f"stacks tensors of one shape, got {first} and {x}")
        return TensorType(promoted_dtype(*inputs), (*first.shape[:axis], len(inputs), *first.shape[axis:]))

    def lower(self, g: Builder, *inputs: Value) -> Any:
        dtype, (axis,) = promoted_dtype(*inputs), new_axes(inputs[0].rank + 1, self.axis)
        return g.Concat(*(g.Unsqueeze(as_dtype(g, x, dtype), [axis]) for x in inputs), axis=axis)


# -- splitting -------------------------------------------------------------------------------------------------------


class MultiOutputOp(Operation):
    """Base class of functions with several outputs; those after the first are named 1, 2, ..."""

    def output_count(self) -> int:
        raise NotImplementedError

    def output_names(self) -> tuple[str, ...]:
        return tuple(map(str, range(1, min(self.output_count(), MAX_LAYER_OUTPUTS))))

    def require_few_outputs(self) -> None:
        text = f"splits its input into {self.output_count()} parts, the limit is {MAX_LAYER_OUTPUTS}"
        require(self.output_count() <= MAX_LAYER_OUTPUTS, text, code="too-large")


@operation("split")
class Split(MultiOutputOp):
    """Splits a tensor along an axis. The first part is the layer itself, the others are `name.1`, `name.2`, ..."""

    formula = "y = split(x, indices_or_sections, axis)"
    indices_or_sections: Axes = attr(doc="Number of equal parts, or list of indices to split at.", minimum=1)
    axis: int = attr(0, doc="Axis to split; the batch axis is 0.")

    def output_count(self) -> int:
        cuts = self.indices_or_sections
        return cuts if isinstance(cuts, int) else len(cuts) + 1

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = axis_of(x, self.axis)
        self.require_few_outputs()
        return tuple(x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in self._sizes(x, axis))

    def _sizes(self, x: TensorType, axis: int) -> list[Dim]:
        cuts, size = self.indices_or_sections, x.shape[axis]
        if isinstance(cuts, int):
            divides = not isinstance(size, int) or size % cuts == 0
            require(divides, f"cannot cut axis {axis} of {x} into {cuts} equal parts")
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
    """Splits an axis into its elements. The first is the layer itself, the others are `name.1`, `name.2`, ..."""

    formula = "y = [take(x, i, axis) for i in range(num)]"
    num: int = attr(doc="Size of the axis.", minimum=1)
    axis: int = attr(0, doc="Axis to split; the batch axis is 0.")

    def output_count(self) -> int:
        return self.num

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = axis_of(x, self.axis)
        self.require_few_outputs()
        require(x.shape[axis] == self.num, f"unstacks {self.num} elements of axis {axis}, got {x}")
        return (x.with_shape(x.shape[:axis] + x.shape[axis + 1 :]),) * self.num

    def lower(self, g: Builder, x: Value) -> Any:
        axis = axis_of(x.type, self.axis)
        parts = [x] if self.num == 1 else g.Split(x, axis=axis, num_outputs=self.num, outputs=self.num)
        return tuple(g.Squeeze(part, [axis]) for part in parts)
