"""Layers that rearrange, repeat, cut and pad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ..core.components import Json, attr
from ..core.types import Dim, TensorType, product, require, shape_text
from .base import Layer, layer
from .convolution.sliding_window import DATA_FORMAT, DataFormat, require_spatial, spatial_axes

if TYPE_CHECKING:
    from ..ir import Builder, Value

MAX_SLICE_BOUND = 2**63 - 1
"""The end of a slice that reaches the end of any axis."""

IMAGE_SIDES = "one number, [height, width] or [[top, bottom], [left, right]]"
VOLUME_SIDES = "one number, [depth, height, width] or [[front, behind], [top, bottom], [left, right]]"


class MarginsCodec:
    """Two sizes for every spatial axis, before and after: given so, or as one size an axis, or as one for all.

    Of a single axis the two sizes, or the one, stand alone.
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def schema(self) -> dict[str, Json]:
        one = {"type": "integer", "minimum": 0}
        pair = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
        if self.rank == 1:
            return {"anyOf": [one, pair]}
        each = {"anyOf": [one, pair]}
        return {"anyOf": [one, {"type": "array", "items": each, "minItems": self.rank, "maxItems": self.rank}]}

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
    """All axes but the batch as one, the channels varying fastest."""

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape((x.shape[0], product(x.shape[1:])))

    def lower(self, g: Builder, x: Value) -> Any:
        if self.data_format == "channels_first" and x.rank > 2:
            x = g.transpose(x, [0, *range(2, x.rank), 1])
        return g.reshape(x, (x.shape[0], product(x.shape[1:])))


@layer
class Reshape(Layer):
    """The same elements in the same order, in another shape."""

    target_shape: tuple[int, ...] = attr(
        doc="Shape without the batch; one size may be -1, for what is left.", minimum=-1
    )

    def infer(self, x: TensorType) -> TensorType:
        require(0 not in self.target_shape, f"cannot have an axis of size 0, got {list(self.target_shape)}")
        require(self.target_shape.count(-1) <= 1, f"can infer one axis of size -1, got {list(self.target_shape)}")
        known = product(size for size in self.target_shape if size != -1)
        elements = product(x.shape[1:])
        assert isinstance(known, int)
        given = f"the {elements} elements of {shape_text(x.shape[1:])}"
        if -1 not in self.target_shape:
            text = f"cannot bring {given} to {list(self.target_shape)}, which has {known}"
            require(elements == known, text, None if isinstance(elements, int) else "write -1 for the axis that varies")
        fits = not isinstance(elements, int) or elements % known == 0
        require(fits, f"cannot bring {given} to {list(self.target_shape)}: {elements} is no multiple of {known}")
        rest: Dim = elements // known
        return x.with_shape((x.shape[0], *(rest if size == -1 else size for size in self.target_shape)))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.reshape(x, self.infer(x.type).shape)


@layer
class Permute(Layer):
    """The axes in another order."""

    dims: tuple[int, ...] = attr(doc="The axis of the input for every axis of the output; the batch is 0.", minimum=1)

    def infer(self, x: TensorType) -> TensorType:
        axes = list(range(1, len(self.dims) + 1))
        require(sorted(self.dims) == axes, f"needs each of {axes} once as its dims, got {list(self.dims)}")
        require(x.rank == len(self.dims) + 1, f"permutes {len(self.dims)} axes and the batch, got {x}")
        return x.with_shape((x.shape[0], *(x.shape[axis] for axis in self.dims)))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.transpose(x, [0, *self.dims])


@layer
class RepeatVector(Layer):
    """A vector several times, as the steps of a sequence."""

    n: int = attr(doc="How many times.", minimum=1)

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank == 2, f"needs an input of rank 2, [batch, features], got {x}")
        return x.with_shape((x.shape[0], self.n, x.shape[1]))

    def lower(self, g: Builder, x: Value) -> Any:
        return g.refine(g.Expand(g.Unsqueeze(x, [1]), [1, self.n, 1]), self.infer(x.type).shape)


# -- cutting and padding ---------------------------------------------------------------------------------------------

SideWidths = tuple[tuple[int, int], ...]
"""For every spatial axis a size in front and one behind."""


class Cropping(Layer):
    """Base of the layers that cut off both ends of every spatial axis."""

    cropping: SideWidths
    data_format: DataFormat | None = None

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, len(self.cropping), self.data_format)
        shape = list(x.shape)
        for axis, (front, behind) in zip(spatial_axes(x.rank, self.data_format), self.cropping, strict=True):
            n = shape[axis]
            left = shape[axis] = n - front - behind
            text = f"leaves nothing of axis {axis}: {n} - {front} - {behind} = {left} of {x}"
            require(not isinstance(left, int) or left > 0, text)
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = spatial_axes(x.rank, self.data_format)
        starts, ends = zip(*((front, -behind or MAX_SLICE_BOUND) for front, behind in self.cropping), strict=True)
        return g.refine(g.Slice(x, list(starts), list(ends), axes), self.infer(x.type).shape)


@layer
class Cropping1D(Cropping):
    """A sequence without its first and last steps."""

    cropping: Annotated[SideWidths, MarginsCodec(1)] = attr(
        (1, 1), doc="Steps cut off: one number, or [front, behind]."
    )


@layer
class Cropping2D(Cropping):
    """An image without its outer rows and columns."""

    cropping: Annotated[SideWidths, MarginsCodec(2)] = attr(
        ((0, 0), (0, 0)), doc=f"Rows and columns cut off: {IMAGE_SIDES}."
    )
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


@layer
class Cropping3D(Cropping):
    """A volume without its outer planes, rows and columns."""

    cropping: Annotated[SideWidths, MarginsCodec(3)] = attr(
        ((1, 1), (1, 1), (1, 1)), doc=f"Planes, rows and columns cut off: {VOLUME_SIDES}."
    )
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


class ZeroPadding(Layer):
    """Base of the layers that put zeros around their input."""

    padding: SideWidths
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
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
    """Steps of zeros before and after a sequence."""

    padding: Annotated[SideWidths, MarginsCodec(1)] = attr(1, doc="Steps added: one number, or [front, behind].")


@layer
class ZeroPadding2D(ZeroPadding):
    """Rows and columns of zeros around an image."""

    padding: Annotated[SideWidths, MarginsCodec(2)] = attr((1, 1), doc=f"Rows and columns added: {IMAGE_SIDES}.")


@layer
class ZeroPadding3D(ZeroPadding):
    """Planes, rows and columns of zeros around a volume."""

    padding: Annotated[SideWidths, MarginsCodec(3)] = attr(
        ((1, 1), (1, 1), (1, 1)), doc=f"Planes, rows and columns added: {VOLUME_SIDES}."
    )
