"""Layers that apply one activation function, with its own arguments or weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.components import attr
from ..core.types import TensorType, broadcast, require
from ..training.weights.constraints import Constraint
from ..training.weights.initializers import Initializer
from ..training.weights.regularizers import Regularizer
from .activations import Linear, Relu, activated_type
from .axes import Axes, axes_of
from .base import Layer, layer

if TYPE_CHECKING:
    from ..ir import Builder, Value


@layer
class ReLU(Layer):
    """The positive part of the input. With arguments, the slope below a threshold, the threshold and the upper
    bound."""

    formula = """
        y = where(x > threshold, x, negative_slope * (x - threshold))
        y = y if max_value is None else minimum(y, max_value)
    """
    supports_masking = True

    max_value: float | None = attr(None, doc="Upper bound of the result.", minimum=0)
    negative_slope: float = attr(0.0, doc="Slope for inputs below the threshold.", minimum=0)
    threshold: float = attr(0.0, doc="Inputs at or below this value are damped.", minimum=0)

    def infer(self, x: TensorType) -> TensorType:
        return activated_type(x, Linear())

    def lower(self, g: Builder, x: Value) -> Any:
        relu = Relu(max_value=self.max_value, negative_slope=self.negative_slope, threshold=self.threshold)
        return relu.apply(g, x)


@layer
class LeakyReLU(Layer):
    """The input where it is positive, a fraction of it elsewhere."""

    formula = "y = where(x >= 0, x, negative_slope * x)"
    supports_masking = True

    negative_slope: float = attr(0.3, doc="Slope for negative inputs.", minimum=0)

    def infer(self, x: TensorType) -> TensorType:
        return activated_type(x, Linear())

    def lower(self, g: Builder, x: Value) -> Any:
        return g.LeakyRelu(x, alpha=self.negative_slope)


@layer
class PReLU(Layer):
    """Leaky ReLU with a trainable slope per element, shared along `shared_axes`."""

    formula = "y = where(x >= 0, x, alpha * x)"
    supports_masking = True

    alpha_initializer: Initializer = attr("zeros", doc="Initial value of alpha.")
    alpha_regularizer: Regularizer | None = attr(None, doc="Penalty on alpha.")
    alpha_constraint: Constraint | None = attr(None, doc="Projection of alpha after every update.")
    shared_axes: Axes | None = attr(None, doc="Axes along which alpha is shared; the axis after the batch is 1.")

    def infer(self, x: TensorType) -> TensorType:
        self._alpha_shape(x)
        return activated_type(x, Linear())

    def _alpha_shape(self, x: TensorType) -> list[int]:
        axes = () if self.shared_axes is None else self.shared_axes
        shared = axes_of(x, axes)
        positive = all(axis > 0 for axis in ((axes,) if isinstance(axes, int) else axes))
        require(positive, f"has shared_axes {self.shared_axes}, counted from 1, the axis after the batch")
        return [1 if axis in shared else x.static_size(axis) for axis in range(1, x.rank)]

    def lower(self, g: Builder, x: Value) -> Any:
        shape = self._alpha_shape(x.type)
        alpha = g.param("alpha", shape, self.alpha_initializer, self.alpha_regularizer, self.alpha_constraint)
        return g.PRelu(x, alpha)


@layer
class ELU(Layer):
    """Exponential linear unit: the input where it is positive, elsewhere an exponential above -alpha."""

    formula = "y = where(x > 0, x, alpha * (exp(x) - 1))"
    supports_masking = True

    alpha: float = attr(1.0, doc="The function approaches -alpha for large negative inputs.")

    def infer(self, x: TensorType) -> TensorType:
        return activated_type(x, Linear())

    def lower(self, g: Builder, x: Value) -> Any:
        return g.Elu(x, alpha=self.alpha)


MASKED_LOGIT = -1e9
"""The logit that replaces masked inputs of Softmax, as in Keras."""


@layer
class Softmax_(Layer):
    """Shares of classes along one or more axes: positive numbers with the sum 1.

    An optional second input is a mask that broadcasts to the first. Where it is false, or a number up to 0.5, the
    result is 0 and the remaining elements sum to 1. The result has no mask.
    """

    formula = """
        e = exp(where(mask > 0.5, x, -inf))
        y = divide_no_nan(e, sum(e, axis, keepdims=True))
    """
    arity = (1, 2)
    supports_masking = True
    mask_argument = True

    axis: Axes = attr(-1, doc="Axis or list of axes along which the result sums to one.")

    def infer(self, x: TensorType, *mask: TensorType) -> TensorType:
        axes_of(x, self.axis)
        for mask_type in mask:
            fits = broadcast(mask_type.shape, x.shape) == x.shape and mask_type.dtype != "string"
            require(fits, f"needs a mask that broadcasts to its input {x}, got {mask_type}")
        return activated_type(x, Linear())

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        # Keras' layer expects a mask over the features, too, which no layer produces.
        help = 'take {"type": "Activation", "activation": "softmax"}, which leaves masks alone'
        require(masks[0] is None, f"needs a mask of the shape of its input {inputs[0]}, got {masks[0]}", help)
        return None

    def lower(self, g: Builder, x: Value, *mask: Value) -> Any:
        axes = axes_of(x.type, self.axis)
        kept = [m if m.dtype == "bool" else g.Greater(g.cast(m, g.float_dtype), 0.5) for m in mask]
        for keep in kept:
            x = g.Where(keep, x, g.const(MASKED_LOGIT, x.dtype))
        y = g.Softmax(x, axis=axes[0]) if len(axes) == 1 else g.Exp(g.Sub(x, g.ReduceLogSumExp(x, axes, keepdims=1)))
        for keep in kept:
            y = g.Where(keep, y, g.const(0.0, y.dtype))
        return y
