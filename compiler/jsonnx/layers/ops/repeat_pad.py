"""Functions of keras.ops that repeat, reverse, roll and pad, and triangles of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ...core.components import ArrayCodec, IntegerCodec, UnionCodec, attr
from ...core.limits import require_constant_size
from ...core.types import Size, TensorType, product, require
from ..axes import MAX_SLICE_BOUND, Axes, axes_of, axis_of, is_list_of_numbers
from ..base import require_in_range
from .base import Operation, as_dtype, compute_dtype, operation, require_numbers
from .shape import as_tuple, reverse_axes, slice_axis

if TYPE_CHECKING:
    from ...ir import Builder, Value

# -- repeating, rolling, padding -------------------------------------------------------------------------------------


@operation("tile")
class Tile(Operation):
    """Repeats the whole tensor along axes."""

    formula = "y = tile(x, repeats)"
    repeats: Axes = attr(doc="Number of repetitions per axis, for the last axes if there are fewer.", minimum=1)

    def _repeats(self, x: TensorType) -> list[int]:
        repeats = as_tuple(self.repeats)
        return [1] * (x.rank - len(repeats)) + list(repeats)

    def infer(self, x: TensorType) -> TensorType:
        repeats = self._repeats(x)
        shape = (1,) * (len(repeats) - x.rank) + x.shape
        return x.with_shape(size * repeat for size, repeat in zip(shape, repeats, strict=True))

    def lower(self, g: Builder, x: Value) -> Any:
        repeats, shape = self._repeats(x.type), self.infer(x.type).shape
        if len(repeats) > x.rank:
            x = g.Unsqueeze(x, list(range(len(repeats) - x.rank)))
        return g.refine(g.Tile(x, g.const(repeats, "int64")), shape)


@operation("repeat")
class Repeat(Operation):
    """Repeats each element of an axis."""

    formula = "y = repeat(x, repeats, axis)"
    repeats: Axes = attr(doc="Number of repetitions: one number, or one per element of the axis.", minimum=1)
    axis: int | None = attr(None, doc="Axis to repeat along; null flattens the tensor.")

    def infer(self, x: TensorType) -> TensorType:
        source = x if self.axis is not None else x.with_shape((product(x.shape),))
        axis = 0 if self.axis is None else axis_of(x, self.axis)
        size = source.shape[axis]
        if isinstance(self.repeats, int):
            size = size * self.repeats
        else:
            fits = len(self.repeats) in (1, source.static_size(axis))
            require(fits, f"has {len(self.repeats)} repeats for axis {axis} of {source}")
            size = sum(self.repeats) if len(self.repeats) > 1 else source.static_size(axis) * self.repeats[0]
            if len(self.repeats) > 1:
                require_constant_size(f"needs {size} indices", size, element_bytes=8)
        return source.with_shape((*source.shape[:axis], size, *source.shape[axis + 1 :]))

    def lower(self, g: Builder, x: Value) -> Any:
        shape = self.infer(x.type).shape
        source = x if self.axis is not None else g.reshape(x, (product(x.shape),))
        axis = 0 if self.axis is None else axis_of(x.type, self.axis)
        if not isinstance(self.repeats, int) and len(self.repeats) > 1:
            import numpy as np

            indices = np.repeat(np.arange(len(self.repeats)), self.repeats)
            return g.Gather(source, g.const(indices, "int64"), axis=axis)
        times, is_symbolic = as_tuple(self.repeats)[0], isinstance(source.shape[axis], Size)
        tiles = [times if other == axis + 1 else 1 for other in range(source.rank + 1)]
        repeated = g.Tile(g.Unsqueeze(source, [axis + 1]), g.const(tiles, "int64"))
        sizes = [-1 if other == axis and is_symbolic else size for other, size in enumerate(shape)]
        return g.refine(g.Reshape(repeated, g.sizes(sizes, source)), shape)


@operation("flip")
class Flip(Operation):
    """Reverses the order of the elements along axes."""

    formula = "y = flip(x, axis)"
    axis: Axes | None = attr(None, doc="Axis or list of axes to reverse; null for all.")

    def _axes(self, x: TensorType) -> list[int]:
        return list(range(x.rank)) if self.axis is None else axes_of(x, self.axis)

    def infer(self, x: TensorType) -> TensorType:
        self._axes(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return g.refine(reverse_axes(g, x, *self._axes(x.type)), x.shape)


@operation("roll")
class Roll(Operation):
    """Shifts the elements along axes. Elements that leave at one end enter at the other."""

    formula = "y = roll(x, shift, axis)"
    shift: Axes = attr(doc="Number of positions to shift towards the end: one number, or one per axis.")
    axis: Axes | None = attr(None, doc="Axis or list of axes to shift along; null flattens the tensor.")

    def _axis_shifts(self, x: TensorType) -> list[tuple[int, int]]:
        if self.axis is None:
            return [(0, sum(as_tuple(self.shift)))]
        axes, shifts = [axis_of(x, axis) for axis in as_tuple(self.axis)], as_tuple(self.shift)
        require(len(shifts) in (1, len(axes)), f"has {len(shifts)} shifts for {len(axes)} axes")
        return list(zip(axes, shifts if len(shifts) == len(axes) else shifts * len(axes), strict=True))

    def infer(self, x: TensorType) -> TensorType:
        self._axis_shifts(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        y = g.reshape(x, (product(x.shape),)) if self.axis is None else x
        for axis, shift in self._axis_shifts(x.type):
            y = roll_axis(g, y, axis, shift)
        return y if y.shape == x.shape else g.refine(g.Reshape(y, g.sizes(x.shape, x)), x.shape)


def roll_axis(g: Builder, x: Value, axis: int, shift: int) -> Value:
    size = x.shape[axis]
    if isinstance(size, int):
        start = -shift % size
        parts = (slice_axis(g, x, axis, start, MAX_SLICE_BOUND), slice_axis(g, x, axis, 0, start))
        return g.Concat(*parts, axis=axis) if start else x
    count = g.Squeeze(g.Shape(x, start=axis, end=axis + 1), [0])
    indices = g.Mod(g.Sub(g.Range(g.const(0, "int64"), count, g.const(1, "int64")), shift), count)
    return g.refine(g.Gather(x, indices, axis=axis), x.shape)


PadWidth = Annotated[
    int | tuple[Any, ...],
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (is_list_of_numbers, ArrayCodec(IntegerCodec(), 2)),
        (lambda value: True, ArrayCodec(ArrayCodec(IntegerCodec(), 2))),
    ),
]
"""One number, a pair for all axes, or a pair per axis."""

PADDING_SLICES: dict[str, Callable[[int], tuple[tuple[int, int], tuple[int, int]]]] = {
    "reflect": lambda n: ((1, n + 1), (-1 - n, -1)),
    "symmetric": lambda n: ((0, n), (-n, MAX_SLICE_BOUND)),
    "wrap": lambda n: ((-n, MAX_SLICE_BOUND), (0, n)),
}
"""Slices of an axis that pad it by n before and after, per mode; they are reversed except in mode wrap."""


@operation("pad")
class Pad(Operation):
    """Pads the ends of axes with a constant or with the tensor's own elements."""

    formula = """
        options = {"constant_values": constant_values or 0} if mode == "constant" else {}
        y = pad(x, pad_width, mode, **options)
    """
    pad_width: PadWidth = attr(
        doc="Widths before and after: one number, a pair for all axes, or a list with a pair per axis."
    )
    mode: Literal["constant", "reflect", "symmetric", "edge", "wrap"] = attr("constant", doc="How to pad.")
    constant_values: float | None = attr(None, doc="Value of the padding in mode constant; null for 0.")

    def _widths(self, x: TensorType) -> list[tuple[int, int]]:
        width = self.pad_width
        pairs = [(width, width)] if isinstance(width, int) else [width] if is_list_of_numbers(width) else list(width)
        pairs = pairs * x.rank if len(pairs) == 1 else pairs
        require(len(pairs) == x.rank, f"has a pad_width for {len(pairs)} axes, got {x}", "the batch is an axis too")
        require(all(side >= 0 for pair in pairs for side in pair), "cannot pad by less than 0", code="out-of-range")
        return pairs

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        constant = self.mode == "constant" or self.constant_values is None
        require_in_range(self.constant_values or 0, x.dtype, "constant_values")
        require(constant, f"has constant_values in mode {self.mode}", "leave them out", "invalid-value")
        widths = self._widths(x)
        for size, pair in zip(x.shape, widths, strict=True):
            available = size - (self.mode == "reflect") if isinstance(size, int) else max(pair)
            fits = self.mode in ("constant", "edge") or max(pair) <= available
            require(fits, f"pads an axis of size {size} by {max(pair)} in mode {self.mode}: it has too few elements")
        return x.with_shape(size + sum(pair) for size, pair in zip(x.shape, widths, strict=True))

    def lower(self, g: Builder, x: Value) -> Any:
        shape, widths = self.infer(x.type).shape, self._widths(x.type)
        if not x.rank:
            return x
        if self.mode == "constant":
            pads = [pair[side] for side in (0, 1) for pair in widths]
            y = as_dtype(g, x, "int32") if x.dtype == "bool" else x
            return as_dtype(g, g.refine(g.Pad(y, pads, g.const(self.constant_values or 0, y.dtype)), shape), x.dtype)
        y = x
        for axis, pair in enumerate(widths):
            if any(pair):
                y = g.Concat(*self._padded_parts(g, y, axis, pair), axis=axis)
        return g.refine(y, shape)

    def _padded_parts(self, g: Builder, x: Value, axis: int, pair: tuple[int, int]) -> list[Value]:
        """The parts to concatenate along an axis: padding before, x, and padding after."""
        sides = []
        for side_index, width in enumerate(pair):
            if not width:
                continue
            if self.mode == "edge":
                end = slice_axis(g, x, axis, *((0, 1) if side_index == 0 else (-1, MAX_SLICE_BOUND)))
                repeats = [width if other == axis else 1 for other in range(x.rank)]
                sides.append((side_index, g.Tile(end, g.const(repeats, "int64"))))
            else:
                side = slice_axis(g, x, axis, *PADDING_SLICES[self.mode](width)[side_index])
                sides.append((side_index, side if self.mode == "wrap" else reverse_axes(g, side, axis)))
        before, after = ([side for index, side in sides if index == end] for end in (0, 1))
        return [*before, x, *after]


# -- triangles -------------------------------------------------------------------------------------------------------


class Triangle(Operation):
    """Base class of triangles of matrices."""

    k: int = attr(0, doc="Diagonal that bounds the triangle: 0 is the main one, positive ones are above it.")
    upper: ClassVar[int]

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        require(x.rank >= 2, f"needs matrices along the last two axes, got {x}")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        y = as_dtype(g, x, "int64") if compute_dtype(x.dtype) == "int32" else x
        return as_dtype(g, g.Trilu(y, g.const(self.k, "int64"), upper=self.upper), x.dtype)


@operation("tril")
class Tril(Triangle):
    """Lower triangle of matrices; other elements are 0."""

    formula = "y = tril(x, k)"
    upper = 0


@operation("triu")
class Triu(Triangle):
    """Upper triangle of matrices; other elements are 0."""

    formula = "y = triu(x, k)"
    upper = 1
