"""Layers that rearrange or pad: Flatten, Reshape, Permute, ZeroPadding2D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ..bricks import Json, attr
from ..types import Dim, TensorType, product, require, shape_text
from .base import Layer, layer
from .windows import DATA_FORMAT, DataFormat, require_spatial, spatial_axes

if TYPE_CHECKING:
    from ..graph import Builder, Value


class Margins:
    """Two sizes for every spatial axis, before and after: given so, or as one size an axis, or as one for all."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def schema(self) -> dict[str, Json]:
        one = {"type": "integer", "minimum": 0}
        pair = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
        each = {"anyOf": [one, pair]}
        return {"anyOf": [one, {"type": "array", "items": each, "minItems": self.rank, "maxItems": self.rank}]}

    def read(self, value: Json) -> tuple[tuple[int, int], ...]:
        sides = value if isinstance(value, (list, tuple)) else [value] * self.rank
        pairs = [side if isinstance(side, (list, tuple)) else (side, side) for side in sides]
        return tuple((int(before), int(after)) for before, after in pairs)

    def write(self, value: tuple[tuple[int, int], ...]) -> Json:
        if any(before != after for before, after in value):
            return [list(side) for side in value]
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
class ZeroPadding2D(Layer):
    """Rows and columns of zeros around an image."""

    padding: Annotated[tuple[tuple[int, int], ...], Margins(2)] = attr(
        (1, 1), doc="Rows and columns added: one number, [height, width] or [[top, bottom], [left, right]]."
    )
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        shape = list(x.shape)
        for axis, margins in zip(spatial_axes(x.rank, self.data_format), self.padding, strict=True):
            shape[axis] += sum(margins)
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        pads = [[0] * x.rank, [0] * x.rank]
        for axis, margins in zip(spatial_axes(x.rank, self.data_format), self.padding, strict=True):
            pads[0][axis], pads[1][axis] = margins
        return g.refine(g.Pad(x, pads[0] + pads[1]), self.infer(x.type).shape)
