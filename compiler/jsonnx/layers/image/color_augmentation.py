"""Augmentation of colours: layers that change the values of images at random, in training only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ...core.components import Array, Integer, Number, OneOf, attr
from ...core.types import TensorType, require
from ..base import layer
from ..convolution.sliding_window import channel_axis
from .geometric_augmentation import CHANCE, VALUE_RANGE, Augmentation, Drawn, Factor, Range, some, spread

if TYPE_CHECKING:
    import numpy as np

EPSILON = 1e-7

BYTE = (0.0, 255.0)
"""The range of values that formulas are made for."""

Whole = Annotated[
    Any, OneOf((lambda value: isinstance(value, (int, float)), Integer()), (lambda value: True, Array(Integer(), 2)))
]
"""A whole number, or two."""

Fill = Annotated[
    Any, OneOf((lambda value: isinstance(value, (int, float)), Number()), (lambda value: True, Array(Number(), 3)))
]
"""A value, or one for each of three channels."""


class Coloring(Augmentation):
    """Base of the layers that know the range of values."""

    value_range: Range = attr((0, 255), doc=VALUE_RANGE)

    @property
    def limits(self) -> Range:
        return self.value_range[0], self.value_range[1]


class ByFactor(Coloring):
    """Base of the layers that draw one factor an image, from -factor on."""

    factor: Factor = attr(doc="From -factor to factor, or between two numbers.", minimum=-1, maximum=1)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        return {"factor": rng.uniform(*spread(self.factor), len(images))}


def each(factor: Any) -> np.ndarray:
    """One number an image, to compute with images."""
    import numpy as np

    return np.asarray(factor, np.float32).reshape(-1, 1, 1, 1)


@layer
class RandomBrightness(ByFactor):
    """A share of the range of values added to each image."""

    def changed(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        low, high = self.limits
        return (images + each(factor * (high - low))).clip(low, high)


@layer
class RandomContrast(Coloring):
    """`(x - mean) * factor + mean` by each channel's mean; a number f gives factors from 1 to 1 + f, two numbers a
    and b from 1 - a to 1 + b."""

    factor: Factor = attr(doc="How far factors may be from 1.", minimum=0, maximum=1)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        low, high = spread(self.factor, 0)
        return {"factor": rng.uniform(1 - low, 1 + high, len(images))}

    def changed(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        mean = images.mean((1, 2), keepdims=True)
        return ((images - mean) * each(factor) + mean).clip(*self.limits)


@layer
class RandomSaturation(ByFactor):
    """The saturation times `factor / (1 - factor)`: 0 and less is gray, 0.5 changes nothing."""

    channels = (3,)

    def changed(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        from .image_numpy import hue_saturation_value, red_green_blue

        hsv = hue_saturation_value(images)
        hsv[..., 1] = (hsv[..., 1] * each(factor / (1 - factor + EPSILON))[..., 0]).clip(*self.limits)
        return red_green_blue(hsv)


@layer
class RandomHue(Coloring):
    """The hue turned by up to half of `factor`, either way."""

    channels = (3,)

    factor: Factor = attr(doc="From 0 to factor, or between two numbers.", minimum=0, maximum=1)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        import numpy as np

        count = len(images)
        sign = np.where(rng.random(count) > 0.5, -1, 1)
        return {"factor": sign * rng.uniform(*spread(self.factor, 0), count) * 0.5}

    def changed(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import between, hue_saturation_value, red_green_blue

        hsv = hue_saturation_value(between(images, self.limits, (0, 1)))
        hue = hsv[..., 0] + each(factor)[..., 0]
        hue = np.where(hue > 1, hue - 1, hue)
        hsv[..., 0] = np.where(hue < 0, hue + 1, hue)
        return between(red_green_blue(hsv).clip(0, 1), (0, 1), self.limits)


@layer
class RandomColorJitter(Coloring):
    """RandomBrightness, RandomContrast, RandomSaturation and RandomHue in turn, those whose factor is given."""

    brightness_factor: Factor | None = attr(None, doc="As RandomBrightness takes it.", minimum=-1, maximum=1)
    contrast_factor: Factor | None = attr(None, doc="As RandomContrast takes it.", minimum=0, maximum=1)
    saturation_factor: Factor | None = attr(None, doc="As RandomSaturation takes it.", minimum=-1, maximum=1)
    hue_factor: Factor | None = attr(None, doc="As RandomHue takes it.", minimum=0, maximum=1)

    def parts(self) -> list[Coloring]:
        """The layers that make it up."""
        factors: list[tuple[Any, Any]] = [
            (RandomBrightness, self.brightness_factor),
            (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor),
            (RandomHue, self.hue_factor),
        ]
        return [kind(factor=factor, value_range=self.limits) for kind, factor in factors if factor is not None]

    def check(self, x: TensorType) -> None:
        for part in self.parts():
            part.but(data_format=self.data_format).infer(x)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        return {"each": [(part, part.drawn(rng, images)) for part in self.parts()]}

    def changed(self, images: np.ndarray, each: list[tuple[Any, Drawn]]) -> np.ndarray:
        for part, drawn in each:
            images = part.changed(images, **drawn)
        return images


@layer
class RandomColorDegeneration(ByFactor):
    """A share of gray: `x + factor * (gray - x)`."""

    channels = (1, 3)

    def changed(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        from .image_numpy import gray

        return (images + each(factor) * (gray(images) - images)).clip(*self.limits)


@layer
class RandomGrayscale(Augmentation):
    """Some images without colour."""

    channels = (1, 3)

    factor: float = attr(0.5, doc="Share of the images.", minimum=0, maximum=1)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        return {"applies": rng.random(len(images)) < self.factor}

    def changed(self, images: np.ndarray, applies: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import gray

        return np.where(applies[:, None, None, None], gray(images), images)


@layer
class RandomInvert(Coloring):
    """Some images as their negative: the greatest value less x."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        return {"applies": some(rng, len(images), self.factor)}

    def changed(self, images: np.ndarray, applies: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.where(applies[:, None, None, None], np.float32(self.value_range[1]) - images, images)


@layer
class RandomPosterization(Coloring):
    """Values of 0 to 255 with only their first bits, as many as are drawn, the greater bound excluded."""

    factor: Whole = attr(doc="Bits: from 1 to below factor, or between two numbers.", minimum=1, maximum=8)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        import numpy as np

        low, high = (int(bits) for bits in spread(self.factor, 1))
        return {"bits": np.full(len(images), low) if low == high else rng.integers(low, high, len(images))}

    def changed(self, images: np.ndarray, bits: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import between

        shift = (8 - bits).astype(np.uint8).reshape(-1, 1, 1, 1)
        values = between(images, self.limits, BYTE).clip(*BYTE).astype(np.uint8)
        return between((values >> shift << shift).astype(np.float32), BYTE, self.limits)


@layer
class Solarization(Coloring):
    """Values of 0 to 255, something added to them, inverted where they are not below a threshold."""

    addition_factor: Factor = attr(
        0.0, doc="What is added: from 0 to factor * 255, or from a to b * 255.", minimum=0, maximum=1
    )
    threshold_factor: Factor = attr(
        0.0, doc="The threshold: from 0 to factor * 255, or from a to b * 255.", minimum=0, maximum=1
    )

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        ranges = spread(self.addition_factor, 0), spread(self.threshold_factor, 0)
        added, threshold = (rng.uniform(low, high * 255, len(images)) for low, high in ranges)
        return {"added": added, "threshold": threshold}

    def changed(self, images: np.ndarray, added: np.ndarray, threshold: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import between

        values = (between(images, self.limits, BYTE) + each(added)).clip(*BYTE)
        return between(np.where(values < each(threshold), values, 255 - values), BYTE, self.limits)


@layer
class RandomSharpness(Coloring):
    """`x + (1 - 2 factor) * (smoothed - x)`: 0 is smoothed, 0.5 changes nothing, 1 is sharpened.

    Smoothed is the mean over 3 by 3 pixels, zeros around the image, the middle one counted five times.
    """

    factor: Factor = attr(doc="From 0 to factor, or between two numbers.", minimum=0, maximum=1)

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        return {"factor": rng.uniform(*spread(self.factor, 0), len(images))}

    def changed(self, images: np.ndarray, factor: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import blurred

        ones = np.ones(3, np.float32)
        smoothed = (blurred(images, ones, ones) + 4 * images) / np.float32(13)
        return (images + (1 - 2 * each(factor)) * (smoothed - images)).clip(*self.limits)


@layer
class RandomGaussianBlur(Coloring):
    """Some images smoothed by a normal kernel, one for the batch, zeros around the image."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    kernel_size: Whole = attr(3, doc="Columns and rows of the kernel, odd numbers.", minimum=1)
    sigma: Factor = attr(
        1.0, doc="Standard deviations across and down: from 0 to sigma, or between two numbers.", minimum=0, maximum=1
    )

    @property
    def sizes(self) -> tuple[int, int]:
        size = self.kernel_size
        return size if isinstance(size, tuple) else (size, size)

    def check(self, x: TensorType) -> None:
        odd = all(size % 2 for size in self.sizes)
        require(odd, f"has a kernel_size of {list(self.sizes)}: it takes odd numbers")

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        applies = some(rng, len(images), self.factor)
        return {"applies": applies, "sigma": rng.uniform(*spread(self.sigma, 0), 2) + 1e-6}

    def changed(self, images: np.ndarray, applies: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        import numpy as np

        from .image_numpy import bell, blurred

        across, down = (bell(size, float(s)) for size, s in zip(self.sizes, sigma, strict=True))
        smoothed = blurred(images, down, across)
        return np.where(applies[:, None, None, None], smoothed, images).clip(*self.limits)


@layer
class RandomErasing(Coloring):
    """Some images with a box filled by noise, or by a value."""

    factor: Factor = attr(1.0, doc=CHANCE, minimum=0, maximum=1)
    scale: Factor = attr((0.02, 0.33), doc="Squares of the box's sides as shares of the image's.", minimum=0, maximum=1)
    fill_value: Fill | None = attr(
        None, doc="The value in the box, or one a channel; normal noise times the greatest value for null."
    )

    def check(self, x: TensorType) -> None:
        if isinstance(self.fill_value, tuple):
            three = x.fixed(channel_axis(x.rank, self.data_format)) == len(self.fill_value)
            require(three, f"has a fill_value for each of {len(self.fill_value)} channels, got {x}")

    def drawn(self, rng: np.random.Generator, images: np.ndarray) -> Drawn:
        import numpy as np

        from .image_numpy import spans

        count, height, width, _ = images.shape
        shares = np.sqrt(rng.uniform(*spread(self.scale, 0), (2, count)))
        x, y = spans(rng, width, shares[0]), spans(rng, height, shares[1])
        fill = rng.standard_normal(images.shape, np.float32) if self.fill_value is None else None
        return {"applies": some(rng, count, self.factor), "x": x, "y": y, "noise": fill}

    def changed(self, images: np.ndarray, applies: np.ndarray, x: np.ndarray, y: np.ndarray, noise: Any) -> np.ndarray:
        import numpy as np

        from .image_numpy import boxes

        fill = self.fill_value if noise is None else noise * self.value_range[1]
        fill = np.clip(np.asarray(fill, np.float32), *self.limits)
        return np.where(boxes(images, x, y) & applies[:, None, None, None], fill, images)
