"""Layers that reshape, permute, repeat, crop and pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from ..core.components import Json, attr
from ..core.types import Dim, TensorType, product, rank_help, require, shape_text
from .axes import MAX_SLICE_BOUND
from .base import Layer, layer, padding_mask
from .sliding_window import DATA_FORMAT, DataFormat, require_spatial, spatial_axes

if TYPE_CHECKING:
    from ..ir import Builder, Value

IMAGE_SIDES = "one number, [height, width] or [[top, bottom], [left, right]]"
VOLUME_SIDES = "one number, [depth, height, width] or [[front, back], [top, bottom], [left, right]]"


class MarginsCodec:
    """Codec of the widths before and after each spatial axis.

    JSON accepts one number for all, one per axis, or a pair per axis. For a single axis the number or pair is not
    nested in an array.
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def schema(self) -> dict[str, Json]:
        width = {"type": "integer", "minimum": 0}
        pair = {"type": "array", "items": width, "minItems": 2, "maxItems": 2}
        if self.rank == 1:
            return {"anyOf": [width, pair]}
        side = {"anyOf": [width, pair]}
        return {"anyOf": [width, {"type": "array", "items": side, "minItems": self.rank, "maxItems": self.rank}]}

    def read(self, value: Json) -> tuple[tuple[int, int], ...]:
        single = self.rank == 1 or not isinstance(value, (list, tuple))
        sides = [value] * self.rank if single else value
        pairs = [side if isinstance(side, (list, tuple)) else (side, side) for side in sides]
        return tuple((int(before), int(after)) for before, after in pairs)

    def write(self, value: tuple[tuple[int, int], ...]) -> Json:
        if any(before != after for before, after in value):
            return list(value[0]) if self.rank == 1 else [list(side) for side in value]
        sizes = [before for before, _ in value]
        return sizes[0] if len(set(sizes)) == 1 else sizes


@layer
class Flatten(Layer):
    """Flattens all axes but the batch into one, with the channels varying fastest."""

    formula = "y = reshape(x, (len(x), -1))"
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((x.shape[0], product(x.shape[1:])))

    def lower(self, g: Builder, x: Value) -> Any:
        if self.data_format == "channels_first" and x.rank > 2:
            x = g.transpose(x, [0, *range(2, x.rank), 1])
        return g.reshape(x, (x.shape[0], product(x.shape[1:])))


@layer
class Reshape(Layer):
    """Reshapes the input to a target shape; the order of elements is kept."""

    formula = "y = reshape(x, (len(x), *target_shape))"
    target_shape: tuple[int, ...] = attr(
        doc="Target shape without the batch axis; one size may be -1 to be inferred.", minimum=-1
    )

    def infer(self, x: TensorType) -> TensorType:
        require(0 not in self.target_shape, f"cannot have an axis of size 0, got {list(self.target_shape)}")
        require(self.target_shape.count(-1) <= 1, f"can infer one axis of size -1, got {list(self.target_shape)}")
        target_elements = product(size for size in self.target_shape if size != -1)
        input_elements = product(x.shape[1:])
        assert isinstance(target_elements, int)
        source = f"the {input_elements} elements of {shape_text(x.shape[1:])}"
        if -1 not in self.target_shape:
            text = f"cannot reshape {source} to {list(self.target_shape)}, which has {target_elements}"
            help = None if isinstance(input_elements, int) else "write -1 for the axis that varies"
            require(input_elements == target_elements, text, help)
        fits = not isinstance(input_elements, int) or input_elements % target_elements == 0
        text = f"cannot reshape {source} to {list(self.target_shape)}"
        require(fits, f"{text}: {input_elements} is not a multiple of {target_elements}")
        inferred: Dim = input_elements // target_elements
        return x.with_shape((x.shape[0], *(inferred if size == -1 else size for size in self.target_shape)))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        """A padding mask of axis 1 is kept if the axis is: analysis drops a mask that does not fit the result."""
        mask = padding_mask(masks[0])
        return mask if mask is not None and mask.axis == 1 else None

    def lower(self, g: Builder, x: Value) -> Any:
        return g.reshape(x, self.infer(x.type).shape)


@layer
class Permute(Layer):
    """Permutes the axes."""

    formula = "y = transpose(x, (0, *dims))"
    dims: tuple[int, ...] = attr(doc="The input axis of each output axis after the batch, counted from 1.", minimum=1)

    def infer(self, x: TensorType) -> TensorType:
        axes = list(range(1, len(self.dims) + 1))
        require(sorted(self.dims) == axes, f"needs each of {axes} once as its dims, got {list(self.dims)}")
        require(x.rank == len(self.dims) + 1, f"permutes {len(self.dims)} axes and the batch, got {x}")
        return x.with_shape((x.shape[0], *(x.shape[axis] for axis in self.dims)))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        mask = padding_mask(masks[0])
        return None if mask is None else mask.moved(1 + self.dims.index(mask.axis))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.transpose(x, [0, *self.dims])


@layer
class RepeatVector(Layer):
    """Repeats a vector n times, as the steps of a sequence."""

    formula = "y = repeat(x[:, None], n, axis=1)"
    n: int = attr(doc="Number of repetitions.", minimum=1)

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank == 2, f"needs an input of rank 2, [batch, features], got {x}", rank_help(x, 2))
        return x.with_shape((x.shape[0], self.n, x.shape[1]))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.refine(g.Expand(g.Unsqueeze(x, [1]), [1, self.n, 1]), self.infer(x.type).shape)


# -- cropping and padding --------------------------------------------------------------------------------------------

SideWidths = tuple[tuple[int, int], ...]
"""The widths before and after each spatial axis."""


class Cropping(Layer):
    """Base class of layers that crop both ends of every spatial axis."""

    cropping: SideWidths
    data_format: DataFormat | None = None

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, len(self.cropping), self.data_format)
        shape = list(x.shape)
        for axis, (front, back) in zip(spatial_axes(x.rank, self.data_format), self.cropping, strict=True):
            n = shape[axis]
            remaining = shape[axis] = n - front - back
            text = f"leaves nothing of axis {axis}: {n} - {front} - {back} = {remaining} of {x}"
            require(not isinstance(remaining, int) or remaining > 0, text)
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = spatial_axes(x.rank, self.data_format)
        starts, ends = zip(*((front, -back or MAX_SLICE_BOUND) for front, back in self.cropping), strict=True)
        return g.refine(g.Slice(x, list(starts), list(ends), axes), self.infer(x.type).shape)


@layer
class Cropping1D(Cropping):
    """Crops the first and last steps of a sequence."""

    formula = """
        ((front, back),) = cropping
        y = x[:, front : x.shape[1] - back]
    """
    cropping: Annotated[SideWidths, MarginsCodec(1)] = attr(
        (1, 1), doc="Steps to remove: one number, or [front, back]."
    )


@layer
class Cropping2D(Cropping):
    """Crops the outer rows and columns of an image."""

    formula = """
        (top, bottom), (left, right) = cropping
        y = x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
    """
    cropping: Annotated[SideWidths, MarginsCodec(2)] = attr(
        ((0, 0), (0, 0)), doc=f"Rows and columns to remove: {IMAGE_SIDES}."
    )
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


@layer
class Cropping3D(Cropping):
    """Crops the outer planes, rows and columns of a volume."""

    formula = """
        (front, back), (top, bottom), (left, right) = cropping
        y = x[:, front : x.shape[1] - back, top : x.shape[2] - bottom, left : x.shape[3] - right]
    """
    cropping: Annotated[SideWidths, MarginsCodec(3)] = attr(
        ((1, 1), (1, 1), (1, 1)), doc=f"Planes, rows and columns to remove: {VOLUME_SIDES}."
    )
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


class ZeroPadding(Layer):
    """Base class of layers that pad the spatial axes with zeros."""

    padding: SideWidths
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require(x.dtype != "string", f"needs numbers, got {x}")
        require_spatial(x, len(self.padding), self.data_format)
        shape = list(x.shape)
        for axis, sides in zip(spatial_axes(x.rank, self.data_format), self.padding, strict=True):
            shape[axis] += sum(sides)
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        pads = [[0] * x.rank, [0] * x.rank]
        for axis, sides in zip(spatial_axes(x.rank, self.data_format), self.padding, strict=True):
            pads[0][axis], pads[1][axis] = sides
        return g.refine(g.Pad(x, pads[0] + pads[1]), self.infer(x.type).shape)


@layer
class ZeroPadding1D(ZeroPadding):
    """Pads a sequence with steps of zeros at both ends."""

    formula = "y = pad(x, [(0, 0), *padding, (0, 0)])"
    padding: Annotated[SideWidths, MarginsCodec(1)] = attr(1, doc="Steps to add: one number, or [front, back].")


@layer
class ZeroPadding2D(ZeroPadding):
    """Pads an image with rows and columns of zeros."""

    formula = "y = pad(x, [(0, 0), *padding, (0, 0)])"
    padding: Annotated[SideWidths, MarginsCodec(2)] = attr((1, 1), doc=f"Rows and columns to add: {IMAGE_SIDES}.")


@layer
class ZeroPadding3D(ZeroPadding):
    """Pads a volume with planes, rows and columns of zeros."""

    formula = "y = pad(x, [(0, 0), *padding, (0, 0)])"
    padding: Annotated[SideWidths, MarginsCodec(3)] = attr(
        ((1, 1), (1, 1), (1, 1)), doc=f"Planes, rows and columns to add: {VOLUME_SIDES}."
    )
