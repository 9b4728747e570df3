"""Layers that disturb their input in training, or penalize it, and only then."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import Dim, TensorType, require
from ..training.regularizers import L1L2, Regularizer
from .base import Layer, layer, penalize, require_real
from .convolution.sliding_window import DATA_FORMAT, DataFormat, channel_axis, require_spatial

if TYPE_CHECKING:
    from ..ir import Builder, Value

SEED = "Seed of its own, in place of one derived from the model's seed and the layer's name."
NOISE_SHAPE = "Shape of the mask, the batch included: 1 along axes that live or die as one, null for the input's size."

SELU_LIMIT = -1.6732632423543772 * 1.0507009873554805
"""What selu comes to for very negative inputs."""


def inverted_dropout_scale(rate: float) -> float:
    """The factor for the elements that are not dropped."""
    return 1 / (1 - rate) if rate < 1 else 0.0


def dropout_mask_shape(x: TensorType, noise_shape: tuple[int | None, ...] | None) -> list[Dim]:
    """The sizes of a mask; ShapeError where they do not suit x."""
    require(x.dtype.startswith("float"), f"drops real numbers, got {x}")
    noise = (None,) * x.rank if noise_shape is None else noise_shape
    require(len(noise) == x.rank, f"has a noise_shape of {len(noise)} axes, the input {x} has {x.rank}")
    for axis, (size, whole) in enumerate(zip(noise, x.shape, strict=True)):
        fits = size is None or size in (1, whole)
        require(fits, f"has noise_shape {size} on axis {axis}, which is neither 1 nor {whole}, the size of {x}")
    return [whole if size is None else size for size, whole in zip(noise, x.shape, strict=True)]


class Noise(Layer):
    """Base of the layers that disturb their input in training."""

    supports_masking = True

    @property
    def strength(self) -> float:
        """What is 0 where there is nothing to do in training either."""
        return self.rate

    def is_passthrough(self, training: bool) -> bool:
        return not training or not self.strength

    if TYPE_CHECKING:
        rate: float


@layer
class Dropout(Noise):
    """Sets elements to 0 at random, and scales the others up to keep the mean."""

    rate: float = attr(doc="Share of the elements that become 0.", minimum=0, maximum=1)
    noise_shape: tuple[int | None, ...] | None = attr(None, doc=NOISE_SHAPE)
    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        dropout_mask_shape(x, self.noise_shape)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not g.training or not self.rate:
            return x
        shape = dropout_mask_shape(x.type, self.noise_shape)
        scale = inverted_dropout_scale(self.rate)
        return g.Mul(x, g.random("mask", shape, "mask", keep=1 - self.rate, scale=scale, seed=self.seed))


class SpatialDropout(Noise):
    """Base of the layers that drop whole channels."""

    rate: float = attr(doc="Share of the channels that become 0.", minimum=0, maximum=1)
    seed: int | None = attr(None, doc=SEED)


def drop_channels(g: Builder, x: Value, layer: SpatialDropout, data_format: DataFormat | None) -> Value:
    if not g.training or not layer.rate:
        return x
    kept = (0, channel_axis(x.rank, data_format))
    shape = [size if axis in kept else 1 for axis, size in enumerate(x.shape)]
    scale = inverted_dropout_scale(layer.rate)
    return g.Mul(x, g.random("mask", shape, "mask", keep=1 - layer.rate, scale=scale, seed=layer.seed))


@layer
class SpatialDropout1D(SpatialDropout):
    """Sets whole channels of a sequence to 0 at random, and scales the others up."""

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 1, None)
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return drop_channels(g, x, self, None)


@layer
class SpatialDropout2D(SpatialDropout):
    """Sets whole channels of an image to 0 at random, and scales the others up."""

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return drop_channels(g, x, self, self.data_format)


@layer
class SpatialDropout3D(SpatialDropout):
    """Sets whole channels of a volume to 0 at random, and scales the others up."""

    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 3, self.data_format)
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return drop_channels(g, x, self, self.data_format)


@layer
class GaussianNoise(Noise):
    """Adds normal noise of mean 0."""

    stddev: float = attr(doc="Standard deviation of the noise.", minimum=0, maximum=1)
    seed: int | None = attr(None, doc=SEED)

    @property
    def strength(self) -> float:
        return self.stddev

    def infer(self, x: TensorType) -> TensorType:
        require(x.dtype.startswith("float"), f"disturbs real numbers, got {x}")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not g.training or not self.stddev:
            return x
        return g.Add(x, g.Mul(g.random("noise", x.shape, "normal", seed=self.seed), self.stddev))


@layer
class GaussianDropout(Noise):
    """Multiplies by normal noise of mean 1 and the variance that Dropout of this rate would have."""

    rate: float = attr(doc="Rate r of the noise, whose standard deviation is sqrt(r / (1 - r)).", minimum=0, below=1)
    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        require(x.dtype.startswith("float"), f"disturbs real numbers, got {x}")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not g.training or not self.rate:
            return x
        noise = g.Mul(g.random("noise", x.shape, "normal", seed=self.seed), sqrt(self.rate / (1 - self.rate)))
        return g.Mul(x, g.Add(noise, 1.0))


@layer
class AlphaDropout(Noise):
    """Sets elements to the lower limit of selu at random, then scales and shifts all to keep mean and variance."""

    rate: float = attr(doc="Share of the elements that are replaced.", minimum=0, below=1)
    noise_shape: tuple[int | None, ...] | None = attr(None, doc=NOISE_SHAPE)
    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        dropout_mask_shape(x, self.noise_shape)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not g.training or not self.rate:
            return x
        mask = g.random(
            "mask", dropout_mask_shape(x.type, self.noise_shape), "mask", keep=1 - self.rate, seed=self.seed
        )
        replaced = g.Add(g.Mul(x, mask), g.Mul(g.Sub(1.0, mask), SELU_LIMIT))
        scale = ((1 - self.rate) * (1 + self.rate * SELU_LIMIT**2)) ** -0.5
        return g.Add(g.Mul(replaced, scale), -scale * SELU_LIMIT * self.rate)


@layer
class ActivityRegularization(Layer):
    """Adds `l1 * sum(|x|) + l2 * sum(x ** 2)`, divided by the batch size, to the loss; the output is the input."""

    supports_masking = True

    penalizes_itself = True

    l1: float = attr(0.0, doc="Factor of the absolute values.", minimum=0)
    l2: float = attr(0.0, doc="Factor of the squares.", minimum=0)
    activity_regularizer: Regularizer | None = attr(
        None, doc="Penalty on the layer's output.", unsupported="This layer's penalty is given by l1 and l2."
    )

    def is_passthrough(self, training: bool) -> bool:
        return True

    def infer(self, x: TensorType) -> TensorType:
        require(x.dtype.startswith("float"), f"penalizes real numbers, got {x}")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        penalize(g, L1L2(l1=self.l1, l2=self.l2) if self.l1 or self.l2 else None, x)
        return x
