"""Layers that add noise, a loss or a penalty in training and return their input unchanged in inference."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import Dim, TensorType, require
from ..training.losses.losses import Reduction, reduce_losses
from ..training.weights.regularizers import L1L2, Regularizer
from .base import Layer, layer, penalize, require_real
from .sliding_window import DATA_FORMAT, DataFormat, channel_axis, require_spatial

if TYPE_CHECKING:
    from ..ir import Builder, Value

SEED = "Random seed; null derives one from the model's seed and the layer's name."
NOISE_SHAPE = "Shape of the mask, batch included: 1 along axes that share one mask value, null for the input's size."

SELU_LIMIT = -1.6732632423543772 * 1.0507009873554805
"""The limit of selu for large negative inputs."""


def inverted_dropout_scale(rate: float) -> float:
    """The factor of the elements that are kept."""
    return 1 / (1 - rate) if rate < 1 else 0.0


def dropout_mask_shape(x: TensorType, noise_shape: tuple[int | None, ...] | None) -> list[Dim]:
    """The sizes of a dropout mask. Raises ShapeError if `noise_shape` does not fit x."""
    require_real(x)
    noise = (None,) * x.rank if noise_shape is None else noise_shape
    require(len(noise) == x.rank, f"has a noise_shape of {len(noise)} axes, the input {x} has {x.rank}")
    for axis, (size, input_size) in enumerate(zip(noise, x.shape, strict=True)):
        fits = size is None or size in (1, input_size)
        require(fits, f"has noise_shape {size} on axis {axis}, which is neither 1 nor {input_size}, the size of {x}")
    return [input_size if size is None else size for size, input_size in zip(noise, x.shape, strict=True)]


class Noise(Layer):
    """Base class of layers that add noise in training."""

    supports_masking = True

    @property
    def strength(self) -> float:
        """The noise parameter; 0 makes the layer the identity in training, too."""
        return self.rate

    def is_passthrough(self, training: bool) -> bool:
        return not training or not self.strength

    if TYPE_CHECKING:
        rate: float


@layer
class Dropout(Noise):
    """Randomly sets elements to 0 in training and scales the others by `1 / (1 - rate)`."""

    formula = """
        # mask: true with the probability 1 - rate
        y = where(mask, x / (1 - rate), 0) if training else x
    """
    family = "dropout"
    rate: float = attr(doc="Fraction of the elements to drop.", minimum=0, maximum=1)
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
    """Base class of layers that drop entire channels."""

    family = "dropout"
    rate: float = attr(doc="Fraction of the channels to drop.", minimum=0, maximum=1)
    seed: int | None = attr(None, doc=SEED)


def drop_channels(g: Builder, x: Value, layer: SpatialDropout, data_format: DataFormat | None) -> Value:
    if not g.training or not layer.rate:
        return x
    own_axes = (0, channel_axis(x.rank, data_format))
    shape = [size if axis in own_axes else 1 for axis, size in enumerate(x.shape)]
    scale = inverted_dropout_scale(layer.rate)
    return g.Mul(x, g.random("mask", shape, "mask", keep=1 - layer.rate, scale=scale, seed=layer.seed))


@layer
class SpatialDropout1D(SpatialDropout):
    """Randomly sets entire channels of a sequence to 0 in training and scales the others by `1 / (1 - rate)`."""

    formula = """
        # mask: true with the probability 1 - rate, one for each sample and channel
        y = where(mask, x / (1 - rate), 0) if training else x
    """

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 1, None)
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return drop_channels(g, x, self, None)


@layer
class SpatialDropout2D(SpatialDropout):
    """Randomly sets entire channels of an image to 0 in training and scales the others by `1 / (1 - rate)`."""

    formula = """
        # mask: true with the probability 1 - rate, one for each sample and channel
        y = where(mask, x / (1 - rate), 0) if training else x
    """
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 2, self.data_format)
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return drop_channels(g, x, self, self.data_format)


@layer
class SpatialDropout3D(SpatialDropout):
    """Randomly sets entire channels of a volume to 0 in training and scales the others by `1 / (1 - rate)`."""

    formula = """
        # mask: true with the probability 1 - rate, one for each sample and channel
        y = where(mask, x / (1 - rate), 0) if training else x
    """
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    def infer(self, x: TensorType) -> TensorType:
        require_spatial(x, 3, self.data_format)
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return drop_channels(g, x, self, self.data_format)


@layer
class GaussianNoise(Noise):
    """Adds Gaussian noise with mean 0 in training."""

    formula = "y = x + stddev * noise if training else x  # noise: standard normal"
    stddev: float = attr(doc="Standard deviation of the noise.", minimum=0, maximum=1)
    seed: int | None = attr(None, doc=SEED)

    @property
    def strength(self) -> float:
        return self.stddev

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not g.training or not self.stddev:
            return x
        return g.Add(x, g.Mul(g.random("noise", x.shape, "normal", seed=self.seed), self.stddev))


@layer
class GaussianDropout(Noise):
    """Multiplies by Gaussian noise in training, with mean 1 and the variance of Dropout at the same rate."""

    formula = "y = x * (1 + sqrt(rate / (1 - rate)) * noise) if training else x  # noise: standard normal"
    family = "dropout"
    rate: float = attr(doc="Drop rate r; the standard deviation of the noise is sqrt(r / (1 - r)).", minimum=0, below=1)
    seed: int | None = attr(None, doc=SEED)

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        if not g.training or not self.rate:
            return x
        noise = g.Mul(g.random("noise", x.shape, "normal", seed=self.seed), sqrt(self.rate / (1 - self.rate)))
        return g.Mul(x, g.Add(noise, 1.0))


@layer
class AlphaDropout(Noise):
    """Randomly sets elements to selu's lower limit in training, then rescales so that mean and variance are kept."""

    formula = """
        limit = -1.7580993408473766
        scale = ((1 - rate) * (1 + rate * limit ** 2)) ** -0.5
        # mask: true with the probability 1 - rate
        y = scale * (where(mask, x, limit) - limit * rate) if training else x
    """
    family = "dropout"
    rate: float = attr(doc="Fraction of the elements to replace.", minimum=0, below=1)
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
class AddLoss(Layer):
    """Adds its input to the loss that training minimizes, and returns the input.

    Stands for `add_loss` of Keras. The input is a computed loss: one number for each sample or position, or a single
    number. Its mean over all unmasked elements, times the weight, is added to the loss; the mean itself is reported
    with the metrics, under the name of the layer. Nothing need use the result. If a spec has such a layer, `training`
    may leave out `loss`: then there are no targets. The compiled model contains nothing that only the loss needs.
    """

    formula = """
        y = x
        loss = weight * (sum(x) if reduction == "sum" else mean(x))
    """
    keras_name = ""
    accepts_scalars = True
    adds_loss = True
    penalizes_itself = True
    reads_masks = True
    supports_masking = True

    weight: float = attr(1.0, doc="Factor of the loss.")
    reduction: Reduction = attr(
        "mean", doc="How the elements are combined: `sum` adds them; all other values average them."
    )
    activity_regularizer: Regularizer | None = attr(
        None, doc="Penalty on the layer's output.", unsupported="Use ActivityRegularization for a penalty."
    )

    def is_passthrough(self, training: bool) -> bool:
        return True

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value, masks: Sequence[Value | None]) -> Any:
        counts = None if masks[0] is None else g.cast(masks[0], x.dtype)
        g.add_loss(reduce_losses(g, x, self.reduction, counts), self.weight, reported=True)
        return x


@layer
class ActivityRegularization(Layer):
    """Adds the sums of absolute values and of squares, divided by the batch size, to the loss and returns the input."""

    formula = """
        y = x
        loss = (l1 * sum(abs(x)) + l2 * sum(x ** 2)) / len(x)
    """
    supports_masking = True

    penalizes_itself = True

    l1: float = attr(0.0, doc="L1 penalty factor.", minimum=0)
    l2: float = attr(0.0, doc="L2 penalty factor.", minimum=0)
    activity_regularizer: Regularizer | None = attr(
        None, doc="Penalty on the layer's output.", unsupported="Use l1 and l2 for this layer's penalty."
    )

    def is_passthrough(self, training: bool) -> bool:
        return True

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        penalize(g, L1L2(l1=self.l1, l2=self.l2) if self.l1 or self.l2 else None, x)
        return x
