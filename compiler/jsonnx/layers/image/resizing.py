"""Layers that change the size of images: UpSampling1D, UpSampling2D, UpSampling3D, Resizing, CenterCrop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ...core.components import SpatialSizesCodec, attr
from ...core.limits import require_constant_size
from ...core.types import Dim, TensorType, require
from ..base import Layer, layer, require_real
from ..preprocessing.numerical import float_type
from ..sliding_window import DATA_FORMAT, DataFormat, require_spatial, spatial_axes, with_channels_first

if TYPE_CHECKING:
    from ...ir import Builder, Value

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]

RESIZE_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},  # Keys' kernel, as in TensorFlow and JAX
}
"""The attributes of ONNX' Resize for each supported interpolation."""

INTERPOLATION = "How to interpolate between pixels; lanczos3 and lanczos5 are not supported."


def require_expressible(interpolation: str) -> None:
    """Raises ShapeError for an interpolation that ONNX does not have."""
    require(
        interpolation in RESIZE_ATTRIBUTES,
        f"cannot interpolate with {interpolation!r}: ONNX has no operator for it",
        help="use 'bicubic', the closest alternative",
        code="not-expressible",
    )


REPEATS_DOC = "Upsampling factor along each spatial axis."


class UpSampling(Layer):
    """Base class of layers that enlarge every spatial axis by an integer factor."""

    size: tuple[int, ...]
    data_format: DataFormat | None = None
    interpolation: Interpolation = "nearest"

    def infer(self, x: TensorType) -> TensorType:
        require_expressible(self.interpolation)
        require_spatial(x, len(self.size), self.data_format)
        require_real(x)
        shape = list(x.shape)
        for axis, factor in zip(spatial_axes(x.rank, self.data_format), self.size, strict=True):
            shape[axis] *= factor
        return x.with_shape(shape)

    def lower(self, g: Builder, x: Value) -> Any:
        def enlarge(x: Value) -> Value:
            scales = g.const([1, 1, *self.size], "float32")
            sizes = [n * factor for n, factor in zip(x.shape[2:], self.size, strict=True)]
            if self.interpolation == "nearest":
                return g.refine(g.Resize(x, None, scales, **RESIZE_ATTRIBUTES["nearest"]), (*x.shape[:2], *sizes))
            return resize_by_operator(g, x, self.interpolation, sizes, scales)

        return x if max(self.size) == 1 else with_channels_first(g, x, self.data_format, enlarge)


@layer
class UpSampling1D(UpSampling):
    """Repeats each step of a sequence."""

    formula = "y = repeat(x, size[0], axis=1)"
    size: Annotated[tuple[int, ...], SpatialSizesCodec(1)] = attr(2, doc=REPEATS_DOC, minimum=1)


@layer
class UpSampling2D(UpSampling):
    """Enlarges an image by repeating rows and columns, or by interpolation."""

    formula = "y = repeat(repeat(x, size[0], axis=1), size[1], axis=2)  # with the interpolation nearest"
    size: Annotated[tuple[int, ...], SpatialSizesCodec(2)] = attr((2, 2), doc=REPEATS_DOC, minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    interpolation: Interpolation = attr("nearest", doc=INTERPOLATION)


@layer
class UpSampling3D(UpSampling):
    """Enlarges a volume by repeating planes, rows and columns."""

    formula = "y = repeat(repeat(repeat(x, size[0], axis=1), size[1], axis=2), size[2], axis=3)"
    size: Annotated[tuple[int, ...], SpatialSizesCodec(3)] = attr((2, 2, 2), doc=REPEATS_DOC, minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)


# -- resizing to a given size ----------------------------------------------------------------------------------------


class FixedSizeOutput(Layer):
    """Base class of layers whose output has a given height and width."""

    height: int = attr(doc="Height of the output.", minimum=1)
    width: int = attr(doc="Width of the output.", minimum=1)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def output_type(self, x: TensorType) -> TensorType:
        """The type of the output. Raises ShapeError if x is not an image."""
        require_spatial(x, 2, self.data_format)
        float_type(x)
        shape = list(x.shape)
        rows, columns = spatial_axes(x.rank, self.data_format)
        shape[rows], shape[columns] = self.height, self.width
        return x.with_shape(shape)

    def aspect_ratio_window(self, x: TensorType) -> list[tuple[int, int]]:
        """Start and size along each axis of the largest centered window with the output's aspect ratio."""
        h, w = (x.static_size(axis) for axis in spatial_axes(x.rank, self.data_format))
        return self.aspect_ratio_window_of(h, w)

    def aspect_ratio_window_of(self, h: int, w: int) -> list[tuple[int, int]]:
        sizes = int(w * self.height / self.width), int(h * self.width / self.height)
        clipped = [max(min(n, size), 1) for n, size in zip((h, w), sizes, strict=True)]
        return [((n - size) // 2, size) for n, size in zip((h, w), clipped, strict=True)]


@layer
class Resizing(FixedSizeOutput):
    """Resizes images; output pixel i of m is centered at `(i + 1/2) * n / m - 1/2` in an input of n pixels.

    Integer images give integers: interpolated values are rounded.
    """

    interpolation: Interpolation = attr("bilinear", doc=INTERPOLATION)
    crop_to_aspect_ratio: bool = attr(False, doc="Whether to keep the aspect ratio by cropping.")
    pad_to_aspect_ratio: bool = attr(False, doc="Whether to keep the aspect ratio by padding.")
    fill_mode: Literal["constant"] = attr("constant", doc="How to pad: with `fill_value`.")
    fill_value: float = attr(0.0, doc="Value of the padding.")
    antialias: bool = attr(False, doc="Whether to average over the skipped pixels when the image is made smaller.")

    def infer(self, x: TensorType) -> TensorType:
        require_expressible(self.interpolation)
        crops, pads = self.crop_to_aspect_ratio, self.pad_to_aspect_ratio
        require(not (crops and pads), "cannot both crop and pad to the aspect ratio", "set one of the two to false")
        resized = self.output_type(x)
        if crops or pads or self.antialias or self.interpolation == "bicubic":
            self.aspect_ratio_window(x)
        return resized

    def lower(self, g: Builder, x: Value) -> Any:
        axes = spatial_axes(x.rank, self.data_format)
        y = g.cast(x, g.float_dtype) if x.dtype != "float64" else x
        if self.crop_to_aspect_ratio:
            y = crop(g, y, axes, self.aspect_ratio_window(x.type))
        if self.pad_to_aspect_ratio:
            y = self.pad_to_proportions(g, y, axes)
        exact = not x.dtype.startswith("float") and x.type.is_static(*axes)  # to round halves as in Keras
        y = resize(g, y, axes, (self.height, self.width), self.interpolation, self.antialias, exact=exact)
        return y if x.dtype.startswith("float") else round_to_integers(g, y, x.dtype)

    def pad_to_proportions(self, g: Builder, x: Value, axes: Sequence[int]) -> Value:
        """Pads both sides of the axis that is too short for the output's aspect ratio."""
        h, w = (x.shape[axis] for axis in axes)
        target = int(w * self.height / self.width), int(h * self.width / self.height)
        margins = [max(size - n, 0) // 2 for size, n in zip(target, (h, w), strict=True)]
        if not any(margins):
            return x
        margins[1] = 0 if margins[0] else margins[1]
        pads = [margins[axes.index(axis)] if axis in axes else 0 for axis in range(x.rank)] * 2
        return g.Pad(x, pads, g.const(self.fill_value, x.dtype))


@layer
class CenterCrop(FixedSizeOutput):
    """Crops the center of images; smaller images are cropped to the output's aspect ratio and resized bilinearly."""

    def infer(self, x: TensorType) -> TensorType:
        cropped = self.output_type(x)
        self.aspect_ratio_window(x)
        return float_type(cropped)

    def lower(self, g: Builder, x: Value) -> Any:
        axes, size = spatial_axes(x.rank, self.data_format), (self.height, self.width)
        x = g.cast(x, g.float_dtype)
        excess = [x.shape[axis] - n for axis, n in zip(axes, size, strict=True)]
        if min(excess) >= 0:
            return crop(g, x, axes, [(extra // 2, n) for extra, n in zip(excess, size, strict=True)])
        return resize(g, crop(g, x, axes, self.aspect_ratio_window(x.type)), axes, size, "bilinear", False)


def crop(g: Builder, x: Value, axes: Sequence[int], window: Sequence[tuple[int, int]]) -> Value:
    """Crops x to a window, given as start and size per axis."""
    if all(size == x.shape[axis] for axis, (_, size) in zip(axes, window, strict=True)):
        return x
    starts, ends = [start for start, _ in window], [start + size for start, size in window]
    return g.Slice(x, starts, ends, list(axes))


def round_to_integers(g: Builder, x: Value, dtype: str) -> Value:
    """Rounds to the nearest integers of a dtype."""
    rounded = g.Round(x)
    return g.cast(g.Clip(rounded, 0.0, 255.0) if dtype == "uint8" else rounded, dtype)


def resize(
    g: Builder,
    x: Value,
    axes: Sequence[int],
    sizes: Sequence[int],
    interpolation: str,
    antialias: bool,
    *,
    exact: bool = False,
) -> Value:
    """Resizes two adjacent axes of x, as `jax.image.resize` does.

    With `exact`, the result matches JAX' rounding as closely as possible, at the cost of a matrix product.
    """
    shape = list(x.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    if tuple(shape) == x.shape:
        return x
    if interpolation == "nearest":
        for axis, size in zip(axes, sizes, strict=True):
            x = resize_nearest(g, x, axis, size)
        return x
    if antialias or exact or interpolation == "bicubic":
        for axis, size in zip(axes, sizes, strict=True):
            x = resize_by_matmul(g, x, axis, size, interpolation, antialias)
        return x
    data_format: DataFormat | None = "channels_first" if axes[0] == 2 else None
    return with_channels_first(g, x, data_format, lambda x: resize_by_operator(g, x, "bilinear", sizes))


def resize_by_operator(
    g: Builder, x: Value, interpolation: str, sizes: Sequence[Dim], scales: Value | None = None
) -> Value:
    """Resizes [batch, channels, height, width] with ONNX' Resize, by sizes or by scales.

    The batch is merged with the channels: onnxruntime 1.32 moves transpositions through a Resize of four axes, and then
    refuses to interpolate along axes 1 and 2.
    """
    flat = g.reshape(x, (1, x.shape[0] * x.shape[1], *x.shape[2:]))
    target = (*flat.shape[:2], *sizes)
    extent = g.sizes(target, flat) if scales is None else None
    y = g.refine(g.Resize(flat, None, scales, extent, **RESIZE_ATTRIBUTES[interpolation]), target)
    return g.refine(g.Reshape(y, g.sizes((*x.shape[:2], *sizes), x, y)), (*x.shape[:2], *sizes))


def resize_nearest(g: Builder, x: Value, axis: int, size: int) -> Value:
    """Takes the elements nearest to the centers of `size` equal parts: `floor((i + 1/2) * n / size)`."""
    import numpy as np

    n = x.shape[axis]
    if n == size:
        return x
    require_constant_size(f"needs {size} indices", size, element_bytes=8)
    centers = np.arange(size, dtype=np.float32) + np.float32(0.5)
    if isinstance(n, int):
        return g.Gather(x, g.const(np.floor(centers * np.float32(n) / np.float32(size)), "int64"), axis=axis)
    length = g.cast(g.Shape(x, start=axis, end=axis + 1), "float32")
    indices = g.Floor(g.Div(g.Mul(g.const(centers, "float32"), length), float(size)))
    return g.Gather(x, g.cast(indices, "int64"), axis=axis)


def resize_by_matmul(g: Builder, x: Value, axis: int, size: int, interpolation: str, antialias: bool) -> Value:
    """Resizes one axis by a matrix product with interpolation weights.

    Not by Resize, because onnxruntime 1.32 moves it behind a transposition of the channels, where it refuses to shrink
    with a cubic kernel.
    """
    from .image_numpy import resize_weights

    n = x.shape[axis]
    if n == size:
        return x
    require_constant_size(f"needs a matrix of {n} by {size} interpolation weights", n, size)
    weights = g.const(resize_weights(n, size, interpolation, antialias), x.dtype)
    perm = list(range(x.rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    return g.transpose(g.MatMul(g.transpose(x, perm), weights), perm)
