"""Augmentation by mixtures: of images with one another, or of several ways to change them, in training only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType
from ..base import layer
from .color_augmentation import (
    BYTE_RANGE,
    ColorAugmentation,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from .geometric_augmentation import (
    INTERPOLATION,
    Augmentation,
    Factor,
    PixelInterpolation,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    Transformation,
    factor_range,
)

if TYPE_CHECKING:
    import numpy as np


class MixAugmentation(Augmentation):
    """Base of the layers that mix every image with another one of the batch, and their targets alike."""

    mixes_targets = True

    def transform_labels(self, targets: np.ndarray, others: np.ndarray, weight: np.ndarray, **drawn: Any) -> np.ndarray:
        share = weight.reshape(-1, *[1] * (targets.ndim - 1))
        return share * targets + (1 - share) * targets[others]


@layer
class MixUp(MixAugmentation):
    """`w * x + (1 - w) * other` of every image and its targets, w drawn from a beta distribution.

    Zhang et al., 2018.
    """

    alpha: float = attr(0.2, doc="Both parameters of the beta distribution.", above=0)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        count = len(images)
        return {"others": rng.permutation(count), "weight": rng.beta(self.alpha, self.alpha, count)}

    def transform_images(self, images: np.ndarray, others: np.ndarray, weight: np.ndarray) -> np.ndarray:
        share = weight.astype(images.dtype).reshape(-1, 1, 1, 1)
        return share * images + (1 - share) * images[others]


@layer
class CutMix(MixAugmentation):
    """A box of every image taken from another one, the targets mixed by the box's share. Yun et al., 2019.

    The share is drawn from a beta distribution whose parameters are drawn between 0 and `factor`, or between two.
    """

    factor: Factor = attr(1.0, doc="Parameter of the beta distribution, or two numbers.", minimum=0, maximum=1)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        from .image_numpy import random_intervals

        count, height, width, _ = images.shape
        alpha = rng.uniform(*factor_range(self.factor, 0)) + 1e-6
        side = (1 - rng.beta(alpha, alpha, count)) ** 0.5
        x, y = random_intervals(rng, width, side), random_intervals(rng, height, side)
        weight = 1 - (x[1] - x[0]) * (y[1] - y[0]) / (width * height)
        return {"others": rng.permutation(count), "x": x, "y": y, "weight": weight}

    def transform_images(
        self, images: np.ndarray, others: np.ndarray, x: np.ndarray, y: np.ndarray, weight: Any
    ) -> np.ndarray:
        import numpy as np

        from .image_numpy import box_masks

        return np.where(box_masks(images, x, y), images[others], images)


class AutoContrastOp(ColorAugmentation):
    """AutoContrast as a part of a mixture."""

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {}

    def transform_images(self, images: np.ndarray) -> np.ndarray:
        from .image_numpy import rescale_range, stretch_contrast

        return rescale_range(stretch_contrast(rescale_range(images, self.limits, BYTE_RANGE)), BYTE_RANGE, self.limits)


class EqualizeOp(ColorAugmentation):
    """Equalization as a part of a mixture."""

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {}

    def transform_images(self, images: np.ndarray) -> np.ndarray:
        from .image_numpy import equalize_histogram, rescale_range

        return rescale_range(
            equalize_histogram(rescale_range(images, self.limits, BYTE_RANGE)), BYTE_RANGE, self.limits
        )


class RandomChoice(ColorAugmentation):
    """Base of the layers that choose among several ways to change images."""

    allowed_channels = (1, 3)

    factor: Factor
    interpolation: PixelInterpolation

    def check_arguments(self, x: TensorType) -> None:
        self.candidate_layers  # noqa: B018 (its factors may be too large for a part)

    @property
    def candidate_layers(self) -> list[Augmentation]:
        """The ways, those that AugMix may leave out last."""
        factor, how = factor_range(self.factor, 0), {"interpolation": self.interpolation}
        values: dict[str, Any] = {"value_range": self.limits}
        kinds: list[tuple[Any, dict[str, Any]]] = [
            (RandomShear, {"x_factor": factor, "y_factor": factor, **how}),
            (RandomTranslation, {"height_factor": factor, "width_factor": factor, **how}),
            (RandomRotation, {"factor": factor, **how}),
            (RandomPosterization, {"factor": max(1, int(8 * factor[1])), **values}),
            (Solarization, {"addition_factor": factor, "threshold_factor": factor, **values}),
            (AutoContrastOp, values),
            (EqualizeOp, values),
            (RandomBrightness, {"factor": factor, **values}),
            (RandomColorDegeneration, {"factor": factor, **values}),
            (RandomContrast, {"factor": factor, **values}),
            (RandomSharpness, {"factor": factor, **values}),
        ]
        return [kind(**given) for kind, given in kinds]


@layer
class RandAugment(RandomChoice):
    """Some of eleven changes in turn, the same for all images of a batch. Cubuk et al., 2020.

    RandomShear, RandomTranslation, RandomRotation, RandomBrightness, RandomColorDegeneration, RandomContrast,
    RandomSharpness, RandomPosterization, Solarization, AutoContrast and Equalization, drawn with replacement; each
    with this factor, an image's own one.
    """

    num_ops: int = attr(2, doc="How many changes.", minimum=1, maximum=1000)
    factor: Factor = attr(0.5, doc="Their factor: from 0 to factor, or between two numbers.", minimum=0, maximum=1)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        parts = self.candidate_layers
        chosen = rng.integers(0, len(parts), self.num_ops)
        made = {
            index: (parts[index], parts[index].random_transformation(rng, images)) for index in dict.fromkeys(chosen)
        }
        return {"changes": [made[index] for index in chosen]}

    def transform_images(self, images: np.ndarray, changes: list[tuple[Any, Transformation]]) -> np.ndarray:
        for part, drawn in changes:
            images = part.transform_images(images, **drawn)
        return images


@layer
class AugMix(RandomChoice):
    """Images mixed with a mixture of chains of changes, those of RandAugment. Hendrycks et al., 2020.

    The weights of the chains are drawn from a Dirichlet distribution, that of the images themselves from a beta
    distribution, all for the batch. Each place of a chain has a change, or, as likely as any, none.
    """

    num_chains: int = attr(3, doc="How many chains.", minimum=1, maximum=1000)
    chain_depth: int = attr(3, doc="How many changes a chain has at most.", minimum=1, maximum=1000)
    factor: Factor = attr(0.3, doc="Factor of the changes: from 0 to it, or between two.", minimum=0, maximum=1)
    alpha: float = attr(1.0, doc="Parameter of both distributions.", above=0)
    all_ops: bool = attr(True, doc="Whether brightness, colour, contrast and sharpness are among the changes.")
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        parts = self.candidate_layers if self.all_ops else self.candidate_layers[:7]
        chains = []
        for _ in range(self.num_chains):
            chosen = [parts[index] for index in rng.integers(0, len(parts) + 1, self.chain_depth) if index < len(parts)]
            chains.append([(part, part.random_transformation(rng, images)) for part in chosen])
        weights = rng.dirichlet([self.alpha] * self.num_chains)
        return {"chains": chains, "weights": weights, "weight": rng.beta(self.alpha, self.alpha)}

    def transform_images(self, images: np.ndarray, chains: list[Any], weights: np.ndarray, weight: float) -> np.ndarray:
        import numpy as np

        mixture = np.zeros_like(images)
        for share, chain in zip(weights, chains, strict=True):
            result = images
            for part, drawn in chain:
                result = part.transform_images(result, **drawn)
            mixture += result * np.float32(share)
        return (np.float32(weight) * images + np.float32(1 - weight) * mixture).clip(*self.limits)
