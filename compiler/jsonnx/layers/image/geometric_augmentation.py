"""Geometric augmentation: layers that randomly move and distort images in training; and their base classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ...core.components import ArrayCodec, NumberCodec, UnionCodec, attr
from ...core.types import TensorType, require
from ..base import Layer, layer
from ..preprocessing.numerical import float_type
from ..regularization import SEED
from ..sliding_window import DATA_FORMAT, DataFormat, channel_axis, require_spatial, spatial_axes
from .contrast import VALUE_RANGE, Range
from .resizing import FixedSizeOutput, crop, resize

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value

Transformation = dict[str, Any]
"""The random numbers drawn for the images of a batch, as keyword arguments of `transform_images`."""

Factor = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), NumberCodec()),
        (lambda value: True, ArrayCodec(NumberCodec(), 2)),
    ),
]
"""A number, or the range that a number is drawn from for each image."""

SYMMETRIC_RANGE = "from -factor to factor, or between two numbers"
RANGE_FROM_ZERO = "from 0 to factor, or between two numbers"
CHANCE = f"Probability of changing an image: {RANGE_FROM_ZERO}."
FILL_MODE = "How to fill outside the image: reflect or repeat (`wrap`) it, nearest pixel, or `fill_value` (`constant`)."
INTERPOLATION = "How to interpolate between pixels."

FillMode = Literal["reflect", "wrap", "constant", "nearest"]
PixelInterpolation = Literal["nearest", "bilinear"]


def factor_range(factor: Any, minimum: float = -1) -> Range:
    """The range to draw from: the two numbers given, or -factor (but not below `minimum`) to factor."""
    if isinstance(factor, tuple):
        low, high = sorted(factor)
        return low, high
    return max(-abs(factor), minimum), abs(factor)


class HostAugmentation:
    """Mixin of layers that augment images in training, on the host, before the step is fed.

    `random_transformation` draws the parameters per image; `transform_images` applies them to float32 images with
    channels last. In the graph, and in inference, such a layer computes the operators that `lower` emits.
    """

    mixes_targets: ClassVar[bool] = False
    """Whether images are mixed with each other, and the targets likewise by `transform_labels(targets, **drawn)`."""

    moves_pixels: ClassVar[bool] = False
    """Whether pixels are moved. Pixels of a target are not moved with them."""

    if TYPE_CHECKING:
        seed: int | None
        data_format: DataFormat | None

        random_transformation: ClassVar[Callable[..., Transformation]]
        transform_images: ClassVar[Callable[..., np.ndarray]]
        transform_labels: ClassVar[Callable[..., np.ndarray]]

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Transformation]:
        """The augmented images, and the parameters drawn for them."""
        import numpy as np

        channels_first = self.data_format == "channels_first"
        channels_last = np.asarray(images.transpose(0, 2, 3, 1) if channels_first else images, np.float32)
        drawn = self.random_transformation(rng, channels_last)
        result = self.transform_images(channels_last, **drawn)
        return np.ascontiguousarray(result.transpose(0, 3, 1, 2) if channels_first else result, np.float32), drawn


class Augmentation(HostAugmentation, Layer):
    """Base class of augmentation layers that keep the images' shape."""

    allowed_channels: ClassVar[tuple[int, ...] | None] = None
    """The supported numbers of channels; None for any."""

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        if self.allowed_channels is not None:
            count = x.static_size(channel_axis(x.rank, self.data_format))
            allowed = " or ".join(map(str, self.allowed_channels))
            require(count in self.allowed_channels, f"needs images of {allowed} channels, got {x}")
        low, high = getattr(self, "value_range", (0, 1))
        require(low < high, f"has the value_range {[low, high]}: the smaller number comes first")
        self.check_arguments(x)
        return float_type(x)

    def check_arguments(self, x: TensorType) -> None:
        """Raises ShapeError if the arguments do not fit x."""

    def lower(self, g: Builder, x: Value) -> Any:
        return g.cast(x, g.float_dtype)


# -- geometric transformations ---------------------------------------------------------------------------------------


@layer
class RandomFlip(Augmentation):
    """Randomly flips images, each with probability 1/2."""

    moves_pixels = True

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = attr(
        "horizontal_and_vertical", doc="Whether to flip left to right, top to bottom, or both at once."
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"flips": rng.random(len(images)) <= 0.5}

    def transform_images(self, images: np.ndarray, flips: np.ndarray) -> np.ndarray:
        columns = slice(None, None, -1 if "horizontal" in self.mode else None)
        rows = slice(None, None, -1 if "vertical" in self.mode else None)
        result = images.copy()
        result[flips] = images[flips][:, rows, columns]
        return result


class AffineAugmentation(Augmentation):
    """Base class of layers that apply an affine transformation."""

    moves_pixels = True

    fill_mode: FillMode = attr("reflect", doc=FILL_MODE)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)
    fill_value: float = attr(0.0, doc="Value outside the image, for fill mode `constant`.")

    def transform_images(self, images: np.ndarray, transforms: np.ndarray) -> np.ndarray:
        from .image_numpy import projective_transform

        return projective_transform(images, transforms, self.interpolation, self.fill_mode, self.fill_value)


def affine_transforms(*numbers: Any) -> np.ndarray:
    """Transforms [images, 8] from numbers, or arrays with one number per image."""
    import numpy as np

    return np.stack(np.broadcast_arrays(*numbers, *[0] * (8 - len(numbers))), -1).astype(np.float32)


@layer
class RandomRotation(AffineAugmentation):
    """Randomly rotates images about their center."""

    factor: Factor = attr(
        doc=f"Range of rotation in turns: {SYMMETRIC_RANGE}.",
        minimum=-1,
        maximum=1,
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        return self.rotation_transformation(images, rng.uniform(*factor_range(self.factor), len(images)) * 2 * np.pi)

    def rotation_transformation(self, images: np.ndarray, angle: np.ndarray) -> Transformation:
        import numpy as np

        y, x = (images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2
        cos, sin = np.cos(angle), np.sin(angle)
        return {"transforms": affine_transforms(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)}


@layer
class RandomZoom(AffineAugmentation):
    """Randomly zooms images about their center."""

    height_factor: Factor = attr(
        doc=f"Range of the zoom along the height, positive to zoom out: {SYMMETRIC_RANGE}.",
        above=-1,
        maximum=1,
    )
    width_factor: Factor | None = attr(
        None, doc="Range of the zoom along the width; null to keep the aspect ratio.", above=-1, maximum=1
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        vertical = rng.uniform(*factor_range(self.height_factor), len(images))
        horizontal = (
            vertical if self.width_factor is None else rng.uniform(*factor_range(self.width_factor), len(images))
        )
        return self.zoom_transformation(images, 1 + vertical, 1 + horizontal)

    def zoom_transformation(self, images: np.ndarray, vertical: np.ndarray, horizontal: np.ndarray) -> Transformation:
        y, x = (images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2
        return {"transforms": affine_transforms(horizontal, 0, x * (1 - horizontal), 0, vertical, y * (1 - vertical))}


@layer
class RandomTranslation(AffineAugmentation):
    """Randomly translates images."""

    height_factor: Factor = attr(
        doc=f"Range of the shift, as a fraction of the height, downwards: {SYMMETRIC_RANGE}.",
        minimum=-1,
        maximum=1,
    )
    width_factor: Factor = attr(
        doc=f"Range of the shift, as a fraction of the width, to the right: {SYMMETRIC_RANGE}.",
        minimum=-1,
        maximum=1,
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        count, height, width, _ = images.shape
        down = rng.uniform(*factor_range(self.height_factor), count) * height
        across = rng.uniform(*factor_range(self.width_factor), count) * width
        return {"transforms": affine_transforms(1, 0, -across, 0, 1, -down)}


@layer
class RandomShear(AffineAugmentation):
    """Randomly shears images: the pixel at (x, y) is taken from (x + a y, y + b x)."""

    x_factor: Factor = attr(0.0, doc=f"Range of a: {SYMMETRIC_RANGE}.", minimum=0, maximum=1)
    y_factor: Factor = attr(0.0, doc=f"Range of b: {SYMMETRIC_RANGE}.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        count = len(images)
        sign = np.where(rng.random(count) > 0.5, -1, 1)
        b, a = rng.uniform(*factor_range(self.y_factor), count), rng.uniform(*factor_range(self.x_factor), count)
        return {"transforms": affine_transforms(1, sign * a, 0, sign * b, 1, 0)}


@layer
class RandomPerspective(Augmentation):
    """Randomly changes the perspective: each corner moves by up to half of `scale` times its coordinates."""

    moves_pixels = True

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: float = attr(1.0, doc="Maximum displacement of the corners.", minimum=0, maximum=1)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)
    fill_value: float = attr(0.0, doc="Value outside the image.")

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        count, height, width, _ = images.shape
        start = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
        end = start * (1 + rng.uniform(-0.5 * self.scale, 0.5 * self.scale, (count, 4, 2)))
        return {
            "applies": random_subset(rng, count, self.factor),
            "start": np.broadcast_to(start, end.shape),
            "end": end,
        }

    def transform_images(
        self, images: np.ndarray, applies: np.ndarray, start: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        import numpy as np

        from .image_numpy import homography, projective_transform

        if min(images.shape[1:3]) < 2:  # coinciding corners do not determine a perspective
            return images
        result = projective_transform(images, homography(start, end), self.interpolation, "constant", self.fill_value)
        return np.where(applies[:, None, None, None], result, images)


@layer
class RandomElasticTransform(Augmentation):
    """Randomly distorts images by a smooth displacement field.

    The field is normal noise of standard deviation sigma, blurred by a Gaussian of standard deviation sigma, times
    alpha. With a scale s drawn per batch, sigma is `0.05 s min(height, width)` and alpha `0.1 s max(height, width)`.
    """

    moves_pixels = True

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: Factor = attr(1.0, doc="Range of the scale: from 0 to scale, or between two numbers.", minimum=0, maximum=1)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)
    fill_mode: FillMode = attr("reflect", doc=FILL_MODE)
    fill_value: float = attr(0.0, doc="Value outside the image, for fill mode `constant`.")
    value_range: Range = attr((0, 255), doc=VALUE_RANGE)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        from .image_numpy import gaussian_kernel, separable_blur

        count, height, width, _ = images.shape
        applies, strength = random_subset(rng, count, self.factor), rng.uniform(*factor_range(self.scale, 0))
        sigma = 0.05 * strength * min(height, width)
        noise = rng.standard_normal((count, height, width, 2), np.float32) * np.float32(sigma)
        weights = gaussian_kernel(int(6 * sigma) | 1, sigma)
        field = separable_blur(noise, weights, weights) * np.float32(0.1 * strength * max(height, width))
        return {"applies": applies, "field": field}

    def transform_images(self, images: np.ndarray, applies: np.ndarray, field: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import pixel_grid, sample_pixels

        rows, columns = pixel_grid(images)
        coordinates = rows + field[..., 0], columns + field[..., 1]
        result = sample_pixels(images, *coordinates, self.interpolation, self.fill_mode, self.fill_value)
        return np.clip(np.where(applies[:, None, None, None], result, images), *self.value_range)


def random_subset(rng: np.random.Generator, count: int, factor: Any) -> np.ndarray:
    """Draws which images to change, with probability `factor`, or one drawn between two numbers per image."""
    import numpy as np

    probability = rng.uniform(*factor_range(factor, 0), count)
    return np.asarray(rng.random(count) < probability)


@layer
class RandomCrop(HostAugmentation, FixedSizeOutput):
    """Crops the same random window from all images of a batch. In inference, it crops the center and resizes it.

    Images that are not larger than the window in both directions are cropped to its aspect ratio and resized
    bilinearly.
    """

    moves_pixels = True

    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        cropped = self.output_type(x)
        self.aspect_ratio_window(x)
        return float_type(cropped)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = spatial_axes(x.rank, self.data_format)
        center = crop(g, g.cast(x, g.float_dtype), axes, self.aspect_ratio_window(x.type))
        return resize(g, center, axes, (self.height, self.width), "bilinear", False)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        height, width = images.shape[1:3]
        if height > self.height and width > self.width:
            top, left = (int(rng.uniform(0, n + 1)) for n in (height - self.height, width - self.width))
        else:
            (top, _), (left, _) = self.aspect_ratio_window_of(height, width)
        return {"top": top, "left": left}

    def transform_images(self, images: np.ndarray, top: int, left: int) -> np.ndarray:
        from .image_numpy import resize_bilinear

        window = images[:, top : top + self.height, left : left + self.width]
        return (
            window
            if window.shape[1:3] == (self.height, self.width)
            else resize_bilinear(window, self.height, self.width)
        )
