"""Functions of keras.random as layers. Their results are inputs of a compiled model, so the model stays a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.components import attr
from ...core.random_inputs import Distribution
from ...core.types import BATCH, Dim, TensorType, require
from ..base import LAYERS
from .creation import Creation, OptionalShape, resolved

if TYPE_CHECKING:
    from ...ir import Builder, Value

BATCH_HELP = 'begin the shape with {"axis": 0}, the batch: each sample gets numbers of its own'


class RandomNumbers(Creation):
    """Base class of functions that draw random numbers: in training for every step, in inference for every call."""

    adds_input = True
    dtype = None

    shape: OptionalShape = attr(
        None,
        doc='Sizes of all axes, each a number or `{"axis": 0}`: that of an axis of the input. null for the shape of '
        "the input.",
    )
    seed: int | None = attr(None, doc="Random seed; null for the seed of the training, of `predict` or of the session.")

    @property
    def always_mixes_samples(self) -> bool:
        """False: the batch is the first axis."""
        return False

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        shape = x.shape if self.shape is None else tuple(resolved(x, size) for size in self.shape)
        message = f"makes {TensorType('float32', shape)}, whose first axis is not the batch"
        require(shape[:1] == (BATCH,), message, BATCH_HELP)
        return shape

    def distribution(self) -> Distribution:
        raise NotImplementedError

    def lower(self, g: Builder, x: Value) -> Any:
        return g.random_input(self.result_shape(x.type), self.distribution())


@LAYERS.register(name="random.normal")
class NormalNumbers(RandomNumbers):
    """Normally distributed random numbers, an input of the compiled model.

    Training draws them anew for every step. `jsonnx predict` and `jsonnx.Session` draw them by a seed; other programs
    feed them under the name of the layer.
    """

    stem, keras_name = "normal", "keras.random.normal"
    mean: float = attr(0.0, doc="Mean.")
    stddev: float = attr(1.0, doc="Standard deviation.", minimum=0)

    def distribution(self) -> Distribution:
        return Distribution("normal", self.mean, self.stddev, self.seed)


@LAYERS.register(name="random.uniform")
class UniformNumbers(RandomNumbers):
    """Uniformly distributed random numbers, an input of the compiled model.

    They are drawn and fed like those of random.normal.
    """

    stem, keras_name = "uniform", "keras.random.uniform"
    minval: float = attr(0.0, doc="Lower bound.")
    maxval: float = attr(1.0, doc="Upper bound, which is excluded.")

    def result_shape(self, x: TensorType) -> tuple[Dim, ...]:
        message = f"has the maxval {self.maxval:g}, which is not above the minval {self.minval:g}"
        require(self.maxval > self.minval, message, code="invalid-value")
        return super().result_shape(x)

    def distribution(self) -> Distribution:
        return Distribution("uniform", self.minval, self.maxval - self.minval, self.seed)
