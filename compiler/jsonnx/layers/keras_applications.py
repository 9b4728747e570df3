"""Custom layers used by keras.applications models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import TensorType, require
from ..training.weights.initializers import Constant
from .base import Layer, layer, require_real
from .merging import expand_to_same_rank, merged_type
from .regularization import inverted_dropout_scale

if TYPE_CHECKING:
    from ..ir import Builder, Value


@layer
class LayerScale(Layer):
    """Multiplies each feature by a trainable factor (Touvron et al., 2021). Used by ConvNeXt."""

    formula = "y = x * gamma"
    keras_name = ""
    has_weights = True
    init_values: float = attr(doc="Initial value of gamma.")
    projection_dim: int = attr(doc="Number of features.", minimum=1)

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        fits = x.rank >= 2 and x.shape[-1] == self.projection_dim
        require(fits, f"scales {self.projection_dim} features, got {x}")
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return g.Mul(x, g.param("gamma", (self.projection_dim,), Constant(value=self.init_values)))


@layer
class StochasticDepth(Layer):
    """Randomly sets entire samples to 0 in training and scales the others by `1 / (1 - rate)` (Huang et al., 2016).

    Used by ConvNeXt.
    """

    formula = """
        # mask: true with the probability 1 - drop_path_rate, one for each sample
        y = where(mask, x / (1 - drop_path_rate), 0) if training else x
    """
    keras_name = ""
    drop_path_rate: float = attr(doc="Fraction of the samples to drop.", minimum=0, below=1)

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        rate = self.drop_path_rate
        if not g.training or not rate:
            return x
        shape = [x.shape[0], *[1] * (x.rank - 1)]
        return g.Mul(x, g.random("mask", shape, "mask", keep=1 - rate, scale=inverted_dropout_scale(rate)))


@layer
class CustomScaleLayer(Layer):
    """Adds a scaled second input. Used by InceptionResNetV2."""

    formula = "y = x1 + scale * x2"
    keras_name = ""
    arity = (2, 2)

    scale: float = attr(doc="Factor of the second input.")

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_real(a, b)
        return merged_type((a, b))

    def lower(self, g: Builder, a: Value, b: Value) -> Any:
        first, second = expand_to_same_rank(g, (a, b))
        return g.Add(first, g.Mul(second, self.scale))
