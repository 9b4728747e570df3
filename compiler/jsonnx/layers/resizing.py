"""Layers that enlarge: UpSampling1D, UpSampling2D, UpSampling3D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ..bricks import Sizes, attr
from ..types import TensorType, require
from .base import Layer, layer, require_real
from .windows import DATA_FORMAT, DataFormat, require_spatial, spatial_axes, with_channels_first

if TYPE_CHECKING:
    from ..graph import Builder, Value

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]

RESIZE: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},  # Keys' kernel, as TensorFlow and JAX
}
"""The attributes of ONNX' Resize for each interpolation that it has."""

SIZE = "How often every element is repeated along each spatial axis."


class UpSampling(Layer):
    """Base of the layers that make every spatial axis a whole number of times longer."""

    size: tuple[int, ...]
    data_format: DataFormat | None = None
    interpolation: Interpolation = "nearest"

    def infer(self, x: TensorType) -> TensorType:
        require(
            self.interpolation in RESIZE,
            f"cannot interpolate with {self.interpolation!r}: no operator of ONNX has it",
            help="use 'bicubic', the nearest to it",
            code="not-expressible",
        )
        require_spatial(x, len(self.size), self.data_format)
        require_real(x)
        shape = list(x.shape)
        for axis, times in zip(spatial_axes(x.rank, self.data_format), self.size, strict=True):
            shape[axis] *= times
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        def enlarge(x: Value) -> Value:
            scales = g.const([1, 1, *self.size], "float32")
            sizes = [n * times for n, times in zip(x.shape[2:], self.size, strict=True)]
            return g.refine(g.Resize(x, None, scales, **RESIZE[self.interpolation]), (*x.shape[:2], *sizes))

        return x if max(self.size) == 1 else with_channels_first(g, x, self.data_format, enlarge)


@layer
class UpSampling1D(UpSampling):
    """Every step of a sequence several times."""

    size: Annotated[tuple[int, ...], Sizes(1)] = attr(2, doc=SIZE, minimum=1)


@layer
class UpSampling2D(UpSampling):
    """Every row and column of an image several times, or with values between them."""

    size: Annotated[tuple[int, ...], Sizes(2)] = attr((2, 2), doc=SIZE, minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    interpolation: Interpolation = attr(
        "nearest", doc="How the values between are found; lanczos3 and lanczos5 are not supported."
    )


@layer
class UpSampling3D(UpSampling):
    """Every plane, row and column of a volume several times."""

    size: Annotated[tuple[int, ...], Sizes(3)] = attr((2, 2, 2), doc=SIZE, minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
