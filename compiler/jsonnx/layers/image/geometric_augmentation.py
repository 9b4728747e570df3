"""Augmentation: layers that change images at random, in training only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ...core.components import ArrayCodec, NumberCodec, UnionCodec, attr
from ...core.types import TensorType, require
from ..base import Layer, layer
from ..convolution.sliding_window import DATA_FORMAT, DataFormat, channel_axis, require_spatial, spatial_axes
from ..preprocessing.numerical import float_type
from ..regularization import SEED
from .resizing import FixedSizeOutput, crop, resize

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value

Transformation = dict[str, Any]
"""What was drawn for the images of a batch."""

Factor = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), NumberCodec()),
        (lambda value: True, ArrayCodec(NumberCodec(), 2)),
    ),
]
"""A number, or the two between which one is drawn for every image."""

VALUE_RANGE = "The least and the greatest value of an image."
CHANCE = "Chance of an image to be changed: drawn for it between 0 and factor, or between two numbers."
FILL_MODE = "What stands beyond the edge: the image reflected, repeated, its nearest pixel, or `fill_value`."
INTERPOLATION = "How the values between pixels are found."

FillMode = Literal["reflect", "wrap", "constant", "nearest"]
PixelInterpolation = Literal["nearest", "bilinear"]
Range = tuple[float, float]


def factor_range(factor: Any, minimum: float = -1) -> Range:
    """Between which numbers to draw: those given, or from -factor, or the least there is, to factor."""
    if isinstance(factor, tuple):
        low, high = sorted(factor)
        return low, high
    return max(-abs(factor), minimum), abs(factor)


class HostAugmentation:
    """What a layer also is that changes images in training, on the host, before the step is fed.

    `random_transformation` draws what is to be done to each image, `transform_images` does it to float32 images with
    their channels last. In the graph, in inference, such a layer is what `lower` says.
    """

    mixes_targets: ClassVar[bool] = False
    """Whether images are mixed with one another, and so are the targets, by `transform_labels(targets, **drawn)`."""

    if TYPE_CHECKING:
        seed: int | None
        data_format: DataFormat | None

        random_transformation: ClassVar[Callable[..., Transformation]]
        transform_images: ClassVar[Callable[..., np.ndarray]]
        transform_labels: ClassVar[Callable[..., np.ndarray]]

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Transformation]:
        """The images changed, and what was drawn for it."""
        import numpy as np

        first = self.data_format == "channels_first"
        last = np.asarray(images.transpose(0, 2, 3, 1) if first else images, np.float32)
        drawn = self.random_transformation(rng, last)
        result = self.transform_images(last, **drawn)
        return np.ascontiguousarray(result.transpose(0, 3, 1, 2) if first else result, np.float32), drawn


class Augmentation(HostAugmentation, Layer):
    """Base of the augmentation layers that keep the images' shape."""

    allowed_channels: ClassVar[tuple[int, ...] | None] = None
    """How many channels images may have."""

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)
    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        if self.allowed_channels is not None:
            count, words = (
                x.static_size(channel_axis(x.rank, self.data_format)),
                " or ".join(map(str, self.allowed_channels)),
            )
            require(count in self.allowed_channels, f"needs images of {words} channels, got {x}")
        low, high = getattr(self, "value_range", (0, 1))
        require(low < high, f"has the value_range {[low, high]}: the smaller number comes first")
        self.check_arguments(x)
        return float_type(x)

    def check_arguments(self, x: TensorType) -> None:
        """ShapeError for what else does not fit."""

    def lower(self, g: Builder, x: Value) -> Any:
        return g.cast(x, g.float_dtype)


# -- moved -----------------------------------------------------------------------------------------------------------


@layer
class RandomFlip(Augmentation):
    """Half of the images mirrored."""

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = attr(
        "horizontal_and_vertical", doc="Left to right, upside down, or both at once."
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"flips": rng.random(len(images)) <= 0.5}

    def transform_images(self, images: np.ndarray, flips: np.ndarray) -> np.ndarray:
        across = slice(None, None, -1 if "horizontal" in self.mode else None)
        down = slice(None, None, -1 if "vertical" in self.mode else None)
        result = images.copy()
        result[flips] = images[flips][:, down, across]
        return result


class AffineAugmentation(Augmentation):
    """Base of the layers that take every pixel from another place of its image."""

    fill_mode: FillMode = attr("reflect", doc=FILL_MODE)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)
    fill_value: float = attr(0.0, doc="The value beyond the edge, for the fill mode `constant`.")

    def transform_images(self, images: np.ndarray, transforms: np.ndarray) -> np.ndarray:
        from .image_numpy import projective_transform

        return projective_transform(images, transforms, self.interpolation, self.fill_mode, self.fill_value)


def affine_transforms(*numbers: Any) -> np.ndarray:
    """Transforms [images, 8] of numbers, or of arrays with one number an image."""
    import numpy as np

    return np.stack(np.broadcast_arrays(*numbers, *[0] * (8 - len(numbers))), -1).astype(np.float32)


@layer
class RandomRotation(AffineAugmentation):
    """Images turned about their middle."""

    factor: Factor = attr(doc="Turns: from -factor to factor, or between two numbers.", minimum=-1, maximum=1)

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
    """Images made larger or smaller about their middle."""

    height_factor: Factor = attr(
        doc="How much more of the height is seen: from -factor to factor, or between two numbers.", above=-1, maximum=1
    )
    width_factor: Factor | None = attr(
        None, doc="How much more of the width; as much as of the height for null.", above=-1, maximum=1
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        down = rng.uniform(*factor_range(self.height_factor), len(images))
        across = down if self.width_factor is None else rng.uniform(*factor_range(self.width_factor), len(images))
        return self.zoom_transformation(images, 1 + down, 1 + across)

    def zoom_transformation(self, images: np.ndarray, down: np.ndarray, across: np.ndarray) -> Transformation:
        y, x = (images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2
        return {"transforms": affine_transforms(across, 0, x * (1 - across), 0, down, y * (1 - down))}


@layer
class RandomTranslation(AffineAugmentation):
    """Images moved."""

    height_factor: Factor = attr(
        doc="Share of the height: from -factor to factor, or between two numbers; down is positive.",
        minimum=-1,
        maximum=1,
    )
    width_factor: Factor = attr(
        doc="Share of the width: from -factor to factor, or between two numbers; right is positive.",
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
    """Images slanted: a pixel (x, y) comes from (x + a y, y + b x)."""

    x_factor: Factor = attr(0.0, doc="a: from -factor to factor, or between two numbers.", minimum=0, maximum=1)
    y_factor: Factor = attr(0.0, doc="b: from -factor to factor, or between two numbers.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        count = len(images)
        sign = np.where(rng.random(count) > 0.5, -1, 1)
        b, a = rng.uniform(*factor_range(self.y_factor), count), rng.uniform(*factor_range(self.x_factor), count)
        return {"transforms": affine_transforms(1, sign * a, 0, sign * b, 1, 0)}


@layer
class RandomPerspective(Augmentation):
    """Images as seen from another point: each corner moves by up to half of `scale` times its coordinates."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: float = attr(1.0, doc="How far corners move.", minimum=0, maximum=1)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)
    fill_value: float = attr(0.0, doc="The value beyond the edge.")

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

        if min(images.shape[1:3]) < 2:  # corners that coincide determine no perspective
            return images
        result = projective_transform(images, homography(start, end), self.interpolation, "constant", self.fill_value)
        return np.where(applies[:, None, None, None], result, images)


@layer
class RandomElasticTransform(Augmentation):
    """Images distorted by a smooth random field.

    Normal noise of deviation sigma, smoothed by a normal kernel of deviation sigma, times alpha; with a scale s drawn
    for the batch sigma is `0.05 s min(height, width)` and alpha `0.1 s max(height, width)`.
    """

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: Factor = attr(1.0, doc="Strength: from 0 to scale, or between two numbers.", minimum=0, maximum=1)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)
    fill_mode: FillMode = attr("reflect", doc=FILL_MODE)
    fill_value: float = attr(0.0, doc="The value beyond the edge, for the fill mode `constant`.")
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
        places = rows + field[..., 0], columns + field[..., 1]
        result = sample_pixels(images, *places, self.interpolation, self.fill_mode, self.fill_value)
        return np.clip(np.where(applies[:, None, None, None], result, images), *self.value_range)


def random_subset(rng: np.random.Generator, count: int, factor: Any) -> np.ndarray:
    """Which images are meant: each with the probability `factor`, or one drawn between two for each."""
    import numpy as np

    share = rng.uniform(*factor_range(factor, 0), count)
    return np.asarray(rng.random(count) < share)


@layer
class RandomCrop(HostAugmentation, FixedSizeOutput):
    """The same part of all images of a batch, at a random place; in inference the largest in their middle, resized.

    Images that are not greater than the part both ways are cut to its proportions and resized bilinearly.
    """

    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        cropped = self.output_type(x)
        self.aspect_ratio_window(x)
        return float_type(cropped)

    def lower(self, g: Builder, x: Value) -> Any:
        axes = spatial_axes(x.rank, self.data_format)
        middle = crop(g, g.cast(x, g.float_dtype), axes, self.aspect_ratio_window(x.type))
        return resize(g, middle, axes, (self.height, self.width), "bilinear", False)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        height, width = images.shape[1:3]
        if height > self.height and width > self.width:
            top, left = (int(rng.uniform(0, n + 1)) for n in (height - self.height, width - self.width))
        else:
            (top, _), (left, _) = self.aspect_ratio_window_of(height, width)
        return {"top": top, "left": left}

    def transform_images(self, images: np.ndarray, top: int, left: int) -> np.ndarray:
        from .image_numpy import resize_bilinear

        part = images[:, top : top + self.height, left : left + self.width]
        return part if part.shape[1:3] == (self.height, self.width) else resize_bilinear(part, self.height, self.width)
