"""Functions of keras.ops for neural networks: pooling, image operations, normalization."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...core.components import ArrayCodec, IntegerCodec, UnionCodec, attr
from ...core.types import Dim, TensorType, broadcast, product, require
from ...training.numerics import EPSILON
from ..axes import Axes, axes_of, axis_of
from ..base import Layer, OutputTypes
from ..convolution.pooling import (
    POOL_SIZE,
    STRIDES,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from ..image.resizing import INTERPOLATION, Interpolation, Resizing
from ..sliding_window import DATA_FORMAT, PADDING, DataFormat, Padding
from .base import (
    ConstantArgument,
    MultiTensorOp,
    Operation,
    as_dtype,
    constant_argument,
    float_dtype,
    operation,
    require_numbers,
)
from .reductions import variance
from .shape import as_tuple

if TYPE_CHECKING:
    from ...ir import Builder, Value


class LayerOp(Operation):
    """Base class of functions that are implemented by a layer."""

    def make_layer(self, x: TensorType) -> Layer:
        """The layer for an input type. Raises ShapeError if there is none."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> OutputTypes:
        return self.make_layer(x).infer(x)

    def lower(self, g: Builder, x: Value) -> Any:
        return self.make_layer(x.type).lower(g, x)


# -- pooling ---------------------------------------------------------------------------------------------------------


class PoolOp(LayerOp):
    """Base class of pooling functions."""

    pool_size: Axes = attr(doc=POOL_SIZE, minimum=1)
    strides: Axes | None = attr(None, doc=STRIDES, minimum=1)
    padding: Padding = attr("valid", doc=PADDING)
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    layers_by_rank: ClassVar[tuple[type[Layer], ...]]

    def make_layer(self, x: TensorType) -> Layer:
        spatial = x.rank - 2
        require(1 <= spatial <= 3, f"needs an input with one to three axes beside batch and channels, got {x}")
        for name in ("pool_size", "strides"):
            sizes = getattr(self, name)
            fits = sizes is None or isinstance(sizes, int) or len(sizes) in (1, spatial)
            require(fits, f"has a {name} for {len(as_tuple(sizes or ()))} axes, got {x}")
        arguments = {name: getattr(self, name) for name in self.attributes}
        arguments |= {name: size[0] for name, size in arguments.items() if isinstance(size, tuple) and len(size) == 1}
        return self.layers_by_rank[spatial - 1](**arguments)


@operation("max_pool")
class MaxPool(PoolOp):
    """Maximum of each window."""

    formula = """
        w = windows(x, pool_size, strides, padding, fill=-inf)
        y = max(w, axis=tuple(range(1 - x.ndim, -1)))
    """
    layers_by_rank = (MaxPooling1D, MaxPooling2D, MaxPooling3D)


@operation("average_pool")
class AveragePool(PoolOp):
    """Mean of each window."""

    formula = """
        w = windows(x, pool_size, strides, padding, fill=nan)
        y = nanmean(w, axis=tuple(range(1 - x.ndim, -1)))
    """
    layers_by_rank = (AveragePooling1D, AveragePooling2D, AveragePooling3D)


# -- images ----------------------------------------------------------------------------------------------------------

HeightAndWidth = Annotated[
    int | tuple[int, ...],
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (lambda value: True, ArrayCodec(IntegerCodec(), 2)),
    ),
]
"""Height and width, or one number for both."""


def as_pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


@operation("image.resize")
class Resize(LayerOp):
    """Resizes images, like the layer Resizing."""

    size: HeightAndWidth = attr(doc="Height and width of the result.", minimum=1)
    interpolation: Interpolation = attr("bilinear", doc=INTERPOLATION)
    antialias: bool = attr(False, doc="Whether to average over the skipped pixels when the image is made smaller.")
    crop_to_aspect_ratio: bool = attr(False, doc="Whether to keep the aspect ratio by cropping.")
    pad_to_aspect_ratio: bool = attr(False, doc="Whether to keep the aspect ratio by padding.")
    fill_value: float = attr(0.0, doc="Value of the padding.")
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def make_layer(self, x: TensorType) -> Layer:
        arguments = {name: getattr(self, name) for name in self.attributes if name != "size"}
        height, width = as_pair(self.size)
        return Resizing(height=height, width=width, **arguments)


@operation("image.rgb_to_grayscale")
class Grayscale(Operation):
    """Converts RGB images to grayscale."""

    formula = """
        axis = -3 if data_format == "channels_first" else -1
        red, green, blue = split(x, 3, axis)
        y = 0.2989 * red + 0.587 * green + 0.114 * blue
    """
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def _axis(self, x: TensorType) -> int:
        return x.rank - 3 if self.data_format == "channels_first" else x.rank - 1

    def infer(self, x: TensorType) -> TensorType:
        require_numbers(x)
        require(x.rank in (3, 4), f"needs images, got {x}")
        axis = self._axis(x)
        require(x.shape[axis] in (1, 3), f"needs 3 channels, or 1, got {x}")
        return x.with_shape((*x.shape[:axis], 1, *x.shape[axis + 1 :]))

    def lower(self, g: Builder, x: Value) -> Any:
        axis = self._axis(x.type)
        if x.shape[axis] == 1:
            return x
        y = as_dtype(g, x, float_dtype(x.dtype))
        weights = g.reshape(g.const([0.2989, 0.587, 0.114], y.dtype), [3] + [1] * (x.rank - 1 - axis))
        return as_dtype(g, g.ReduceSum(g.Mul(y, weights), [axis], keepdims=1), x.dtype)


@operation("image.extract_patches")
class ExtractPatches(Operation):
    """Extracts the windows of images; the elements of each window become channels."""

    formula = """
        w = windows(x, size, strides, padding, dilation_rate)
        y = w.reshape(*w.shape[:3], -1)
    """
    size: HeightAndWidth = attr(doc="Height and width of a window.", minimum=1)
    strides: HeightAndWidth | None = attr(None, doc="Strides of the windows; null for their size.", minimum=1)
    dilation_rate: HeightAndWidth = attr(1, doc="Spacing between the elements of a window.", minimum=1)
    padding: Padding = attr("valid", doc=PADDING)

    def max_operators(self) -> int:
        return super().max_operators() + prod(as_pair(self.size))

    def _window_geometry(self, x: TensorType) -> list[tuple[int, int, int, int, int]]:
        """Size, stride, dilation and padding at start and end, for height and width."""
        require_numbers(x)
        require(x.rank == 4, f"needs images, [batch, height, width, channels], got {x}")
        geometry = []
        strides = self.size if self.strides is None else self.strides
        for axis, size, stride, rate in zip(
            (1, 2), as_pair(self.size), as_pair(strides), as_pair(self.dilation_rate), strict=True
        ):
            extent, n = (size - 1) * rate + 1, x.static_size(axis)
            missing = max((-(-n // stride) - 1) * stride + extent - n, 0) if self.padding == "same" else 0
            require(n + missing >= extent, f"has windows of {extent} on axis {axis} of {x}")
            geometry.append((size, stride, rate, missing // 2, missing - missing // 2))
        return geometry

    def infer(self, x: TensorType) -> TensorType:
        windows = self._window_geometry(x)
        counts = [
            (x.static_size(axis) + before + behind - (size - 1) * rate - 1) // stride + 1
            for axis, (size, stride, rate, before, behind) in zip((1, 2), windows, strict=True)
        ]
        return x.with_shape((x.shape[0], *counts, windows[0][0] * windows[1][0] * x.static_size(3)))

    def lower(self, g: Builder, x: Value) -> Any:
        """Slices the image once per position in the window, and concatenates the slices along the channels."""
        (rows, row_stride, row_rate, top, bottom), (columns, column_stride, column_rate, left, right) = (
            self._window_geometry(x.type)
        )
        _, height, width, _ = self.infer(x.type).shape
        assert isinstance(height, int)
        assert isinstance(width, int)
        y = g.Pad(x, [0, top, left, 0, 0, bottom, right, 0]) if top or bottom or left or right else x
        parts = []
        for row in range(0, rows * row_rate, row_rate):
            for column in range(0, columns * column_rate, column_rate):
                ends = [row + (height - 1) * row_stride + 1, column + (width - 1) * column_stride + 1]
                parts.append(g.Slice(y, [row, column], ends, [1, 2], [row_stride, column_stride]))
        return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=3)


class SpaceDepthOp(Operation):
    """Base class of functions that convert between square blocks of pixels and channels."""

    block_size: int = attr(doc="Side length of the blocks.", minimum=1)
    data_format: DataFormat = attr("channels_last", doc=DATA_FORMAT)

    def _image_sizes(self, x: TensorType) -> tuple[Dim, Dim, int]:
        """Height, width and channels."""
        require_numbers(x)
        require(x.rank == 4, f"needs images, got {x}")
        channels_first = self.data_format == "channels_first"
        channels, height, width = (x.shape[1:]) if channels_first else (x.shape[3], x.shape[1], x.shape[2])
        require(isinstance(channels, int), f"needs a fixed number of channels, got {x}")
        return height, width, channels  # type: ignore[return-value]

    def _image_type(self, x: TensorType, height: Dim, width: Dim, channels: int) -> TensorType:
        channels_first = self.data_format == "channels_first"
        return x.with_shape((x.shape[0], *((channels, height, width) if channels_first else (height, width, channels))))


@operation("depth_to_space")
class DepthToSpace(SpaceDepthOp):
    """Rearranges channels into blocks of pixels."""

    formula = """
        b = block_size
        if data_format == "channels_last":
            n, h, w, c = x.shape
            y = x.reshape(n, h, w, b, b, c // b ** 2).transpose(0, 1, 3, 2, 4, 5)
            y = y.reshape(n, h * b, w * b, -1)
        else:
            n, c, h, w = x.shape
            y = x.reshape(n, c // b ** 2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
            y = y.reshape(n, -1, h * b, w * b)
    """

    def infer(self, x: TensorType) -> TensorType:
        (height, width, channels), size = self._image_sizes(x), self.block_size
        require(channels % size**2 == 0, f"needs a multiple of {size**2} channels, got {x}")
        return self._image_type(x, height * size, width * size, channels // size**2)

    def lower(self, g: Builder, x: Value) -> Any:
        # With channels first, the position in the block varies faster than the channel.
        channels_first = self.data_format == "channels_first"
        y = as_dtype(g, x, float_dtype(x.dtype))
        y = y if channels_first else g.transpose(y, [0, 3, 1, 2])
        y = g.DepthToSpace(y, blocksize=self.block_size, mode="CRD" if channels_first else "DCR")
        y = g.refine(y if channels_first else g.transpose(y, [0, 2, 3, 1]), self.infer(x.type).shape)
        return as_dtype(g, y, x.dtype)


@operation("space_to_depth")
class SpaceToDepth(SpaceDepthOp):
    """Rearranges blocks of pixels into channels."""

    formula = """
        b = block_size
        if data_format == "channels_last":
            n, h, w, c = x.shape
            y = x.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5)
            y = y.reshape(n, h // b, w // b, -1)
        else:
            n, c, h, w = x.shape
            y = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 1, 3, 5, 2, 4)
            y = y.reshape(n, -1, h // b, w // b)
    """

    def infer(self, x: TensorType) -> TensorType:
        (height, width, channels), size = self._image_sizes(x), self.block_size
        for side in (height, width):
            require(not isinstance(side, int) or side % size == 0, f"needs sides that are multiples of {size}, got {x}")
        return self._image_type(x, height // size, width // size, channels * size**2)

    def lower(self, g: Builder, x: Value) -> Any:
        channels_first, size = self.data_format == "channels_first", self.block_size
        height, width, channels = self._image_sizes(x.type)
        y = as_dtype(g, x, float_dtype(x.dtype))
        y = g.SpaceToDepth(y if channels_first else g.transpose(y, [0, 3, 1, 2]), blocksize=size)
        y = g.refine(y, (x.shape[0], channels * size**2, height // size, width // size))
        if channels_first:
            grouped = g.reshape(y, (x.shape[0], size**2, channels, height // size, width // size))
            y = g.reshape(g.transpose(grouped, [0, 2, 1, 3, 4]), self.infer(x.type).shape)
        y = g.refine(y if channels_first else g.transpose(y, [0, 2, 3, 1]), self.infer(x.type).shape)
        return as_dtype(g, y, x.dtype)


# -- normalization ---------------------------------------------------------------------------------------------------


class NormalizationOp(MultiTensorOp):
    """Base class of layer and RMS normalization."""

    arity = (1, 3)

    axis: Axes = attr(-1, doc="Axis or list of axes to normalize along.")
    epsilon: float | None = attr(None, doc="Small constant added to the variance; null for 1e-7.", minimum=0)
    x: ConstantArgument | None = constant_argument("x")

    def result_type(self, x: Any, *factors: Any) -> TensorType:
        require_numbers(x)
        axes = axes_of(x, self.axis)
        for factor in factors:
            if factor is None:
                continue
            shape = self.factor_shape(x, axes, factor)
            fits = broadcast(x.shape, shape) == x.shape and product(shape) == product(factor.shape)
            require(fits, f"scales {x} by a tensor of shape {list(factor.shape)}")
        return TensorType(float_dtype(x.dtype), x.shape)

    def factor_shape(self, x: Any, axes: list[int], factor: Any) -> tuple[Dim, ...]:
        """The shape in which a factor broadcasts against x: along the axes, if it has fewer axes than x."""
        if factor.rank == x.rank or axes == [x.rank - 1]:
            return tuple(factor.shape)
        return tuple(x.shape[axis] if axis in axes else 1 for axis in range(x.rank))

    def broadcast_factor(self, g: Builder, x: Value, factor: Any) -> Value:
        value = as_dtype(g, factor, x.dtype)
        return g.reshape(value, self.factor_shape(x, axes_of(x.type, self.axis), value))

    def inverse_root(self, g: Builder, squares: Value) -> Value:
        epsilon = EPSILON if self.epsilon is None else self.epsilon
        return g.Reciprocal(g.Sqrt(g.Add(squares, epsilon)))


@operation("layer_normalization")
class LayerNormalization(NormalizationOp):
    """Scales a tensor to mean 0 and variance 1 along axes, then by factors and summands."""

    formula = """
        stddev = sqrt(var(x, axis, keepdims=True) + epsilon)
        y = (x - mean(x, axis, keepdims=True)) / stddev * gamma + beta
    """
    tensors = ("x", "gamma", "beta")
    optional_count = 2

    gamma: ConstantArgument | None = constant_argument("gamma")
    beta: ConstantArgument | None = constant_argument("beta")

    def emit(self, g: Builder, x: Any, gamma: Any, beta: Any) -> Any:
        x = as_dtype(g, x, float_dtype(x.dtype))
        axes = axes_of(x.type, self.axis)
        y = g.Mul(g.Sub(x, g.ReduceMean(x, axes, keepdims=1)), self.inverse_root(g, variance(g, x, axes, 1)))
        y = y if gamma is None else g.Mul(y, self.broadcast_factor(g, x, gamma))
        return y if beta is None else g.Add(y, self.broadcast_factor(g, x, beta))


@operation("rms_normalization")
class RmsNormalization(NormalizationOp):
    """Divides a tensor by its root mean square along axes, then multiplies it by factors."""

    formula = "y = x / sqrt(mean(x ** 2, axis, keepdims=True) + epsilon) * scale"
    tensors = ("x", "scale")
    optional_count = 1

    scale: ConstantArgument | None = constant_argument("scale")

    def factor_shape(self, x: Any, axes: list[int], factor: Any) -> tuple[Dim, ...]:
        return tuple(factor.shape)

    def emit(self, g: Builder, x: Any, scale: Any) -> Any:
        x = as_dtype(g, x, float_dtype(x.dtype))
        y = g.Mul(x, self.inverse_root(g, g.ReduceMean(g.Mul(x, x), axes_of(x.type, self.axis), keepdims=1)))
        return y if scale is None else g.Mul(y, as_dtype(g, scale, x.dtype))


@operation("batch_normalization")
class BatchNormalization(MultiTensorOp):
    """Scales each channel by a given mean and variance, then by a factor and a summand."""

    formula = """
        x = moveaxis(x, axis, -1)
        y = (x - mean) / sqrt(variance + epsilon) * scale + offset
        y = moveaxis(y, -1, axis)
    """
    arity = (3, 5)
    tensors = ("x", "mean", "variance", "offset", "scale")
    optional_count = 2

    axis: int = attr(doc="Channel axis of x, along which the other arguments lie.")
    epsilon: float = attr(1e-3, doc="Small constant added to the variance.", minimum=0)
    x: ConstantArgument | None = constant_argument("x")
    mean: ConstantArgument | None = constant_argument("mean")
    variance: ConstantArgument | None = constant_argument("variance")
    offset: ConstantArgument | None = constant_argument("offset")
    scale: ConstantArgument | None = constant_argument("scale")

    def result_type(self, x: Any, *others: Any) -> TensorType:
        require_numbers(x)
        axis = axis_of(x, self.axis)
        for other in others:
            fits = other is None or tuple(other.shape) == (x.shape[axis],)
            require(fits, f"needs one number for each element of axis {axis} of {x}")
        return TensorType(float_dtype(x.dtype), x.shape)

    def emit(self, g: Builder, x: Any, *others: Any) -> Any:
        x = as_dtype(g, x, float_dtype(x.dtype))
        shape = [-1] + [1] * (x.rank - 1 - axis_of(x.type, self.axis))
        mean, square, offset, scale = (
            None if other is None else g.Reshape(as_dtype(g, other, x.dtype), shape) for other in others
        )
        factor = g.Reciprocal(g.Sqrt(g.Add(square, self.epsilon)))
        y = g.Mul(g.Sub(x, mean), factor if scale is None else g.Mul(factor, scale))
        return y if offset is None else g.Add(y, offset)
