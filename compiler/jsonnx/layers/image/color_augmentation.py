"""Augmentation of colours: layers that change the values of images at random, in training only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import ArrayCodec, IntegerCodec, NumberCodec, UnionCodec, attr
from ...core.types import TensorType, require
from ..base import layer
from ..convolution.sliding_window import channel_axis
from .geometric_augmentation import (
    CHANCE,
    VALUE_RANGE,
    Augmentation,
    Factor,
    Range,
    Transformation,
    factor_range,
    random_subset,
)

if TYPE_CHECKING:
    import numpy as np

EPSILON = 1e-7

BYTE_RANGE = (0.0, 255.0)
"""The range of values that formulas are made for."""

IntegerFactor = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (lambda value: True, ArrayCodec(IntegerCodec(), 2)),
    ),
]
"""A whole number, or two."""

FillValue = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), NumberCodec()),
        (lambda value: True, ArrayCodec(NumberCodec(), 3)),
    ),
]
"""A value, or one for each of three channels."""


class ColorAugmentation(Augmentation):
    """Base of the layers that know the range of values."""

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)

    @property
    def limits(self) -> Range:
        return self.value_range[0], self.value_range[1]


class FactorAugmentation(ColorAugmentation):
    """Base of the layers that draw one factor an image, from -factor on."""

    factor: Factor = attr(doc="From -factor to factor, or between two numbers.", minimum=-1, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"factor": rng.uniform(*factor_range(self.factor), len(images))}


def per_image(factor: Any) -> np.ndarray:
    """One number an image, to compute with images."""
    import numpy as np

    return np.asarray(factor, np.float32).reshape(-1, 1, 1, 1)


@layer
class RandomBrightness(FactorAugmentation):
    """A share of the range of values added to each image."""

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        low, high = self.limits
        return (images + per_image(factor * (high - low))).clip(low, high)


@layer
class RandomContrast(ColorAugmentation):
    """`(x - mean) * factor + mean` by each channel's mean; a number f gives factors from 1 to 1 + f, two numbers a
    and b from 1 - a to 1 + b."""

    factor: Factor = attr(doc="How far factors may be from 1.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        low, high = factor_range(self.factor, 0)
        return {"factor": rng.uniform(1 - low, 1 + high, len(images))}

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        mean = images.mean((1, 2), keepdims=True)
        return ((images - mean) * per_image(factor) + mean).clip(*self.limits)


@layer
class RandomSaturation(FactorAugmentation):
    """The saturation times `factor / (1 - factor)`: 0 and less is gray, 0.5 changes nothing."""

    allowed_channels = (3,)

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        from .image_numpy import hsv_to_rgb, rgb_to_hsv

        hsv = rgb_to_hsv(images)
        hsv[..., 1] = (hsv[..., 1] * per_image(factor / (1 - factor + EPSILON))[..., 0]).clip(*self.limits)
        return hsv_to_rgb(hsv)


@layer
class RandomHue(ColorAugmentation):
    """The hue turned by up to half of `factor`, either way."""

    allowed_channels = (3,)

    factor: Factor = attr(doc="From 0 to factor, or between two numbers.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        count = len(images)
        sign = np.where(rng.random(count) > 0.5, -1, 1)
        return {"factor": sign * rng.uniform(*factor_range(self.factor, 0), count) * 0.5}

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import hsv_to_rgb, rescale_range, rgb_to_hsv

        hsv = rgb_to_hsv(rescale_range(images, self.limits, (0, 1)))
        hue = hsv[..., 0] + per_image(factor)[..., 0]
        hue = np.where(hue > 1, hue - 1, hue)
        hsv[..., 0] = np.where(hue < 0, hue + 1, hue)
        return rescale_range(hsv_to_rgb(hsv).clip(0, 1), (0, 1), self.limits)


@layer
class RandomColorJitter(ColorAugmentation):
    """RandomBrightness, RandomContrast, RandomSaturation and RandomHue in turn, those whose factor is given."""

    brightness_factor: Factor | None = attr(None, doc="As RandomBrightness takes it.", minimum=-1, maximum=1)
    contrast_factor: Factor | None = attr(None, doc="As RandomContrast takes it.", minimum=0, maximum=1)
    saturation_factor: Factor | None = attr(None, doc="As RandomSaturation takes it.", minimum=-1, maximum=1)
    hue_factor: Factor | None = attr(None, doc="As RandomHue takes it.", minimum=0, maximum=1)

    def component_layers(self) -> list[ColorAugmentation]:
        """The layers that make it up."""
        factors: list[tuple[Any, Any]] = [
            (RandomBrightness, self.brightness_factor),
            (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor),
            (RandomHue, self.hue_factor),
        ]
        return [kind(factor=factor, value_range=self.limits) for kind, factor in factors if factor is not None]

    def check_arguments(self, x: TensorType) -> None:
        for part in self.component_layers():
            part.replace(data_format=self.data_format).infer(x)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"each": [(part, part.random_transformation(rng, images)) for part in self.component_layers()]}

    def transform_images(self, images: np.ndarray, each: list[tuple[Any, Transformation]]) -> np.ndarray:
        for part, drawn in each:
            images = part.transform_images(images, **drawn)
        return images


@layer
class RandomColorDegeneration(FactorAugmentation):
    """A share of gray: `x + factor * (gray - x)`."""

    allowed_channels = (1, 3)

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        from .image_numpy import to_grayscale

        return (images + per_image(factor) * (to_grayscale(images) - images)).clip(*self.limits)


@layer
class RandomGrayscale(Augmentation):
    """Some images without colour."""

    allowed_channels = (1, 3)

    factor: float = attr(0.5, doc="Share of the images.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"applies": rng.random(len(images)) < self.factor}

    def transform_images(self, images: np.ndarray, applies: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import to_grayscale

        return np.where(applies[:, None, None, None], to_grayscale(images), images)


@layer
class RandomInvert(ColorAugmentation):
    """Some images as their negative: the greatest value less x."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"applies": random_subset(rng, len(images), self.factor)}

    def transform_images(self, images: np.ndarray, applies: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.where(applies[:, None, None, None], np.float32(self.value_range[1]) - images, images)


@layer
class RandomPosterization(ColorAugmentation):
    """Values of 0 to 255 with only their first bits, as many as are drawn, the greater bound excluded."""

    factor: IntegerFactor = attr(doc="Bits: from 1 to below factor, or between two numbers.", minimum=1, maximum=8)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        low, high = (int(bits) for bits in factor_range(self.factor, 1))
        return {"bits": np.full(len(images), low) if low == high else rng.integers(low, high, len(images))}

    def transform_images(self, images: np.ndarray, bits: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import rescale_range

        shift = (8 - bits).astype(np.uint8).reshape(-1, 1, 1, 1)
        values = rescale_range(images, self.limits, BYTE_RANGE).clip(*BYTE_RANGE).astype(np.uint8)
        return rescale_range((values >> shift << shift).astype(np.float32), BYTE_RANGE, self.limits)


@layer
class Solarization(ColorAugmentation):
    """Values of 0 to 255, something added to them, inverted where they are not below a threshold."""

    addition_factor: Factor = attr(
        0.0, doc="What is added: from 0 to factor * 255, or from a to b * 255.", minimum=0, maximum=1
    )
    threshold_factor: Factor = attr(
        0.0, doc="The threshold: from 0 to factor * 255, or from a to b * 255.", minimum=0, maximum=1
    )

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        ranges = factor_range(self.addition_factor, 0), factor_range(self.threshold_factor, 0)
        added, threshold = (rng.uniform(low, high * 255, len(images)) for low, high in ranges)
        return {"added": added, "threshold": threshold}

    def transform_images(self, images: np.ndarray, added: np.ndarray, threshold: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import rescale_range

        values = (rescale_range(images, self.limits, BYTE_RANGE) + per_image(added)).clip(*BYTE_RANGE)
        return rescale_range(np.where(values < per_image(threshold), values, 255 - values), BYTE_RANGE, self.limits)


@layer
class RandomSharpness(ColorAugmentation):
    """`x + (1 - 2 factor) * (smoothed - x)`: 0 is smoothed, 0.5 changes nothing, 1 is sharpened.

    Smoothed is the mean over 3 by 3 pixels, zeros around the image, the middle one counted five times.
    """

    factor: Factor = attr(doc="From 0 to factor, or between two numbers.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"factor": rng.uniform(*factor_range(self.factor, 0), len(images))}

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import separable_blur

        ones = np.ones(3, np.float32)
        smoothed = (separable_blur(images, ones, ones) + 4 * images) / np.float32(13)
        return (images + (1 - 2 * per_image(factor)) * (smoothed - images)).clip(*self.limits)


@layer
class RandomGaussianBlur(ColorAugmentation):
    """Some images smoothed by a normal kernel, one for the batch, zeros around the image."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    kernel_size: IntegerFactor = attr(3, doc="Columns and rows of the kernel, odd numbers.", minimum=1)
    sigma: Factor = attr(
        1.0, doc="Standard deviations across and down: from 0 to sigma, or between two numbers.", minimum=0, maximum=1
    )

    @property
    def kernel_sizes(self) -> tuple[int, int]:
        size = self.kernel_size
        return size if isinstance(size, tuple) else (size, size)

    def check_arguments(self, x: TensorType) -> None:
        odd = all(size % 2 for size in self.kernel_sizes)
        require(odd, f"has a kernel_size of {list(self.kernel_sizes)}: it takes odd numbers")

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        applies = random_subset(rng, len(images), self.factor)
        return {"applies": applies, "sigma": rng.uniform(*factor_range(self.sigma, 0), 2) + 1e-6}

    def transform_images(self, images: np.ndarray, applies: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import gaussian_kernel, separable_blur

        across, down = (gaussian_kernel(size, float(s)) for size, s in zip(self.kernel_sizes, sigma, strict=True))
        smoothed = separable_blur(images, down, across)
        return np.where(applies[:, None, None, None], smoothed, images).clip(*self.limits)


@layer
class RandomErasing(ColorAugmentation):
    """Some images with a box filled by noise, or by a value."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: Factor = attr((0.02, 0.33), doc="Squares of the box's sides as shares of the image's.", minimum=0, maximum=1)
    fill_value: FillValue | None = attr(
        None, doc="The value in the box, or one a channel; normal noise times the greatest value for null."
    )

    def check_arguments(self, x: TensorType) -> None:
        if isinstance(self.fill_value, tuple):
            three = x.static_size(channel_axis(x.rank, self.data_format)) == len(self.fill_value)
            require(three, f"has a fill_value for each of {len(self.fill_value)} channels, got {x}")

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        from .image_numpy import random_intervals

        count, height, width, _ = images.shape
        shares = np.sqrt(rng.uniform(*factor_range(self.scale, 0), (2, count)))
        x, y = random_intervals(rng, width, shares[0]), random_intervals(rng, height, shares[1])
        fill = rng.standard_normal(images.shape, np.float32) if self.fill_value is None else None
        return {"applies": random_subset(rng, count, self.factor), "x": x, "y": y, "noise": fill}

    def transform_images(
        self, images: np.ndarray, applies: np.ndarray, x: np.ndarray, y: np.ndarray, noise: Any
    ) -> np.ndarray:
        import numpy as np

        from .image_numpy import box_masks

        fill = self.fill_value if noise is None else noise * self.value_range[1]
        fill = np.clip(np.asarray(fill, np.float32), *self.limits)
        return np.where(box_masks(images, x, y) & applies[:, None, None, None], fill, images)
