"""Augmentation by mixing: of images with each other, or of several augmentations of an image, in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.types import TensorType
from ..base import layer
from .color_augmentation import (
    ColorAugmentation,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from .contrast import BYTE_RANGE
from .geometric_augmentation import (
    INTERPOLATION,
    RANGE_FROM_ZERO,
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
    """Base class of layers that mix each image with another image of the batch, and their targets likewise."""

    mixes_targets = True

    def transform_labels(self, targets: np.ndarray, others: np.ndarray, weight: np.ndarray, **drawn: Any) -> np.ndarray:
        weight = weight.reshape(-1, *[1] * (targets.ndim - 1))
        return weight * targets + (1 - weight) * targets[others]


@layer
class MixUp(MixAugmentation):
    """Mixes images and their targets: `w * x + (1 - w) * other`, with w drawn from a beta distribution.

    Zhang et al., 2018.
    """

    alpha: float = attr(0.2, doc="Both parameters of the beta distribution.", above=0)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        count = len(images)
        return {"others": rng.permutation(count), "weight": rng.beta(self.alpha, self.alpha, count)}

    def transform_images(self, images: np.ndarray, others: np.ndarray, weight: np.ndarray) -> np.ndarray:
        weight = weight.astype(images.dtype).reshape(-1, 1, 1, 1)
        return weight * images + (1 - weight) * images[others]


@layer
class CutMix(MixAugmentation):
    """Replaces a box of each image by another image's, and mixes the targets by the box's area (Yun et al., 2019).

    The area is drawn from a beta distribution whose parameters are drawn from 0 to `factor`, or between two numbers.
    """

    factor: Factor = attr(
        1.0,
        doc=f"Range of the beta parameters: {RANGE_FROM_ZERO}.",
        minimum=0,
        maximum=1,
    )

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
    """AutoContrast as a candidate of RandAugment and AugMix."""

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {}

    def transform_images(self, images: np.ndarray) -> np.ndarray:
        from .image_numpy import rescale_range, stretch_contrast

        return rescale_range(stretch_contrast(rescale_range(images, self.limits, BYTE_RANGE)), BYTE_RANGE, self.limits)


class EqualizeOp(ColorAugmentation):
    """Equalization as a candidate of RandAugment and AugMix."""

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        return {}

    def transform_images(self, images: np.ndarray) -> np.ndarray:
        from .image_numpy import equalize_histogram, rescale_range

        return rescale_range(
            equalize_histogram(rescale_range(images, self.limits, BYTE_RANGE)), BYTE_RANGE, self.limits
        )


class RandomChoice(ColorAugmentation):
    """Base class of layers that choose from several augmentations."""

    allowed_channels = (1, 3)

    factor: Factor
    interpolation: PixelInterpolation

    def check_arguments(self, x: TensorType) -> None:
        self.candidate_layers  # noqa: B018 (raises if a factor is out of range)

    @property
    def candidate_layers(self) -> list[Augmentation]:
        """The augmentations to choose from. The ones that AugMix can exclude come last."""
        factor, interpolation = factor_range(self.factor, 0), {"interpolation": self.interpolation}
        values: dict[str, Any] = {"value_range": self.limits}
        kinds: list[tuple[Any, dict[str, Any]]] = [
            (RandomShear, {"x_factor": factor, "y_factor": factor, **interpolation}),
            (RandomTranslation, {"height_factor": factor, "width_factor": factor, **interpolation}),
            (RandomRotation, {"factor": factor, **interpolation}),
            (RandomPosterization, {"factor": max(1, int(8 * factor[1])), **values}),
            (Solarization, {"addition_factor": factor, "threshold_factor": factor, **values}),
            (AutoContrastOp, values),
            (EqualizeOp, values),
            (RandomBrightness, {"factor": factor, **values}),
            (RandomColorDegeneration, {"factor": factor, **values}),
            (RandomContrast, {"factor": factor, **values}),
            (RandomSharpness, {"factor": factor, **values}),
        ]
        return [kind(**arguments) for kind, arguments in kinds]


@layer
class RandAugment(RandomChoice):
    """Applies several random augmentations, the same for all images of a batch (Cubuk et al., 2020).

    They are drawn with replacement from RandomShear, RandomTranslation, RandomRotation, RandomBrightness,
    RandomColorDegeneration, RandomContrast, RandomSharpness, RandomPosterization, Solarization, AutoContrast and
    Equalization. Each uses `factor`, and draws its own parameters per image.
    """

    num_ops: int = attr(2, doc="Number of augmentations to apply.", minimum=1, maximum=1000)
    factor: Factor = attr(0.5, doc=f"Range of the factors: {RANGE_FROM_ZERO}.", minimum=0, maximum=1)
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        candidates = self.candidate_layers
        chosen = rng.integers(0, len(candidates), self.num_ops)
        drawn = {
            index: (candidates[index], candidates[index].random_transformation(rng, images))
            for index in dict.fromkeys(chosen)
        }
        return {"changes": [drawn[index] for index in chosen]}

    def transform_images(self, images: np.ndarray, changes: list[tuple[Any, Transformation]]) -> np.ndarray:
        for part, drawn in changes:
            images = part.transform_images(images, **drawn)
        return images


@layer
class AugMix(RandomChoice):
    """Mixes images with a weighted sum of chains of the augmentations of RandAugment (Hendrycks et al., 2020).

    Per batch, the weights of the chains are drawn from a Dirichlet distribution, and the weight of the original images
    from a beta distribution. Each step of a chain is one of the augmentations or none, with equal probability.
    """

    num_chains: int = attr(3, doc="Number of chains.", minimum=1, maximum=1000)
    chain_depth: int = attr(3, doc="Maximum number of augmentations per chain.", minimum=1, maximum=1000)
    factor: Factor = attr(0.3, doc=f"Range of the factors: {RANGE_FROM_ZERO}.", minimum=0, maximum=1)
    alpha: float = attr(1.0, doc="Parameter of both distributions.", above=0)
    all_ops: bool = attr(True, doc="Whether to include brightness, color, contrast and sharpness.")
    interpolation: PixelInterpolation = attr("bilinear", doc=INTERPOLATION)

    def random_transformation(self, rng: np.random.Generator, images: np.ndarray) -> Transformation:
        candidates = self.candidate_layers if self.all_ops else self.candidate_layers[:7]
        chains = []
        for _ in range(self.num_chains):
            indices = rng.integers(0, len(candidates) + 1, self.chain_depth)
            chosen = [candidates[index] for index in indices if index < len(candidates)]
            chains.append([(part, part.random_transformation(rng, images)) for part in chosen])
        weights = rng.dirichlet([self.alpha] * self.num_chains)
        return {"chains": chains, "weights": weights, "weight": rng.beta(self.alpha, self.alpha)}

    def transform_images(self, images: np.ndarray, chains: list[Any], weights: np.ndarray, weight: float) -> np.ndarray:
        import numpy as np

        mixture = np.zeros_like(images)
        for chain_weight, chain in zip(weights, chains, strict=True):
            result = images
            for part, drawn in chain:
                result = part.transform_images(result, **drawn)
            mixture += result * np.float32(chain_weight)
        return (np.float32(weight) * images + np.float32(1 - weight) * mixture).clip(*self.limits)
