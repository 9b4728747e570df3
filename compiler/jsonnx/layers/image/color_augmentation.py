"""Color augmentation: layers that randomly change the values of images in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import ArrayCodec, IntegerCodec, NumberCodec, UnionCodec, attr
from ...core.types import TensorType, require
from ...training.numerics import EPSILON
from ..base import layer
from ..sliding_window import channel_axis
from .contrast import BYTE_RANGE, VALUE_RANGE, Range
from .geometric_augmentation import (
    CHANCE,
    RANGE_FROM_ZERO,
    SYMMETRIC_RANGE,
    Augmentation,
    Factor,
    Transformation,
    factor_range,
    random_subset,
)

if TYPE_CHECKING:
    import numpy as np


IntegerFactor = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), IntegerCodec()),
        (lambda value: True, ArrayCodec(IntegerCodec(), 2)),
    ),
]
"""An integer, or a pair of integers."""

FillValue = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, (int, float)), NumberCodec()),
        (lambda value: True, ArrayCodec(NumberCodec(), 3)),
    ),
]
"""One value, or one for each of three channels."""


class ColorAugmentation(Augmentation):
    """Base class of layers that compute with the range of values."""

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)

    @property
    def limits(self) -> Range:
        return self.value_range[0], self.value_range[1]


class FactorAugmentation(ColorAugmentation):
    """Base class of layers that draw one factor per image, by default from -factor to factor."""

    factor: Factor = attr(doc=f"Range of the factor: {SYMMETRIC_RANGE}.", minimum=-1, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"factor": rng.uniform(*factor_range(self.factor), len(images))}


def per_image(factor: Any) -> np.ndarray:
    """Reshapes one number per image so that it broadcasts against images."""
    import numpy as np

    return np.asarray(factor, np.float32).reshape(-1, 1, 1, 1)


@layer
class RandomBrightness(FactorAugmentation):
    """Randomly changes the brightness: adds a fraction of the value range to each image."""

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        low, high = self.limits
        return (images + per_image(factor * (high - low))).clip(low, high)


@layer
class RandomContrast(ColorAugmentation):
    """Randomly changes the contrast: `(x - mean) * factor + mean`, with the mean per channel.

    A number f draws factors from 1 to 1 + f; two numbers a and b draw them from 1 - a to 1 + b.
    """

    factor: Factor = attr(doc="Maximum deviation of the factor from 1.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        low, high = factor_range(self.factor, 0)
        return {"factor": rng.uniform(1 - low, 1 + high, len(images))}

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        mean = images.mean((1, 2), keepdims=True)
        return ((images - mean) * per_image(factor) + mean).clip(*self.limits)


@layer
class RandomSaturation(FactorAugmentation):
    """Randomly changes the saturation: multiplies it by `factor / (1 - factor)`. 0 gives gray, 0.5 no change."""

    allowed_channels = (3,)

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        from .image_numpy import hsv_to_rgb, rgb_to_hsv

        hsv = rgb_to_hsv(images)
        hsv[..., 1] = (hsv[..., 1] * per_image(factor / (1 - factor + EPSILON))[..., 0]).clip(*self.limits)
        return hsv_to_rgb(hsv)


@layer
class RandomHue(ColorAugmentation):
    """Randomly shifts the hue by up to half of `factor`, in either direction."""

    allowed_channels = (3,)

    factor: Factor = attr(doc=f"Range of the factor: {RANGE_FROM_ZERO}.", minimum=0, maximum=1)

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
    """Applies RandomBrightness, RandomContrast, RandomSaturation and RandomHue, as far as their factors are given."""

    brightness_factor: Factor | None = attr(
        None, doc="Factor of RandomBrightness; null skips it.", minimum=-1, maximum=1
    )
    contrast_factor: Factor | None = attr(None, doc="Factor of RandomContrast; null skips it.", minimum=0, maximum=1)
    saturation_factor: Factor | None = attr(
        None, doc="Factor of RandomSaturation; null skips it.", minimum=-1, maximum=1
    )
    hue_factor: Factor | None = attr(None, doc="Factor of RandomHue; null skips it.", minimum=0, maximum=1)

    def component_layers(self) -> list[ColorAugmentation]:
        """The layers that are applied, in order."""
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
        return {"parts": [(part, part.random_transformation(rng, images)) for part in self.component_layers()]}

    def transform_images(self, images: np.ndarray, parts: list[tuple[ColorAugmentation, Transformation]]) -> np.ndarray:
        for part, drawn in parts:
            images = part.transform_images(images, **drawn)
        return images


@layer
class RandomColorDegeneration(FactorAugmentation):
    """Randomly blends images with their grayscale version: `x + factor * (gray - x)`."""

    allowed_channels = (1, 3)

    def transform_images(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        from .image_numpy import to_grayscale

        return (images + per_image(factor) * (to_grayscale(images) - images)).clip(*self.limits)


@layer
class RandomGrayscale(Augmentation):
    """Randomly converts images to grayscale."""

    allowed_channels = (1, 3)

    factor: float = attr(0.5, doc="Fraction of the images to convert.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"applies": rng.random(len(images)) < self.factor}

    def transform_images(self, images: np.ndarray, applies: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import to_grayscale

        return np.where(applies[:, None, None, None], to_grayscale(images), images)


@layer
class RandomInvert(ColorAugmentation):
    """Randomly inverts images: the maximum of the value range minus x."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {"applies": random_subset(rng, len(images), self.factor)}

    def transform_images(self, images: np.ndarray, applies: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.where(applies[:, None, None, None], np.float32(self.value_range[1]) - images, images)


@layer
class RandomPosterization(ColorAugmentation):
    """Randomly reduces the number of bits of values, scaled to 0 to 255."""

    factor: IntegerFactor = attr(
        doc="Range of the number of bits: from 1 to factor, or between two numbers, upper bound excluded.",
        minimum=1,
        maximum=8,
    )

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
    """Adds to values scaled to 0 to 255, and inverts those at or above a threshold."""

    addition_factor: Factor = attr(
        0.0, doc="Range of the addend: from 0 to factor * 255, or from a to b * 255.", minimum=0, maximum=1
    )
    threshold_factor: Factor = attr(
        0.0, doc="Range of the threshold: from 0 to factor * 255, or from a to b * 255.", minimum=0, maximum=1
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
    """Randomly blurs or sharpens images: `x + (1 - 2 factor) * (smoothed - x)`.

    0 blurs, 0.5 changes nothing, 1 sharpens. The smoothed image is a mean over 3 by 3 pixels, with the central pixel
    weighted five times and zeros outside the image.
    """

    factor: Factor = attr(doc=f"Range of the factor: {RANGE_FROM_ZERO}.", minimum=0, maximum=1)

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
    """Randomly blurs images with a Gaussian kernel, drawn once per batch, with zeros outside the image."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    kernel_size: IntegerFactor = attr(3, doc="Width and height of the kernel, odd numbers.", minimum=1)
    sigma: Factor = attr(
        1.0,
        doc="Range of the standard deviations: from 0 to sigma, or between two numbers.",
        minimum=0,
        maximum=1,
    )

    @property
    def kernel_sizes(self) -> tuple[int, int]:
        size = self.kernel_size
        return size if isinstance(size, tuple) else (size, size)

    def check_arguments(self, x: TensorType) -> None:
        odd = all(size % 2 for size in self.kernel_sizes)
        require(odd, f"has a kernel_size of {list(self.kernel_sizes)}, but needs odd numbers")

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        applies = random_subset(rng, len(images), self.factor)
        return {"applies": applies, "sigma": rng.uniform(*factor_range(self.sigma, 0), 2) + 1e-6}

    def transform_images(self, images: np.ndarray, applies: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import gaussian_kernel, separable_blur

        horizontal, vertical = (
            gaussian_kernel(size, float(s)) for size, s in zip(self.kernel_sizes, sigma, strict=True)
        )
        smoothed = separable_blur(images, vertical, horizontal)
        return np.where(applies[:, None, None, None], smoothed, images).clip(*self.limits)


@layer
class RandomErasing(ColorAugmentation):
    """Randomly fills a box of the image with noise or a value."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: Factor = attr(
        (0.02, 0.33), doc="Range of the box's area as a fraction of the image's.", minimum=0, maximum=1
    )
    fill_value: FillValue | None = attr(
        None, doc="Value of the box, or one per channel; null for normal noise, scaled by the maximum value."
    )

    def check_arguments(self, x: TensorType) -> None:
        if isinstance(self.fill_value, tuple):
            fits = x.static_size(channel_axis(x.rank, self.data_format)) == len(self.fill_value)
            require(fits, f"has a fill_value for each of {len(self.fill_value)} channels, got {x}")

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        import numpy as np

        from .image_numpy import random_intervals

        count, height, width, _ = images.shape
        side_fractions = np.sqrt(rng.uniform(*factor_range(self.scale, 0), (2, count)))
        x, y = random_intervals(rng, width, side_fractions[0]), random_intervals(rng, height, side_fractions[1])
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
