"""Activation functions under Keras' names, and the layer that applies one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..core.components import Component, Registry, attr
from ..core.types import TensorType, require
from .axes import axis_of, broadcast_along
from .base import Layer, layer

if TYPE_CHECKING:
    from ..ir import Builder, Value

ACTIVATIONS = Registry(
    "activation", "A function applied to each element, or along one axis.", keras_format="keras.activations.{name}"
)


class ActivationFunction(Component):
    """Base class of activation functions; the layer `Activation` applies one.

    `infer` returns the type of the result. Only functions that change the shape or need an axis override it.
    """

    registry = ACTIVATIONS
    bounds: ClassVar[tuple[float | None, float | None]] = (None, None)
    """The greatest lower and the least upper bound of its values with default arguments; None for none."""
    is_positive: ClassVar[bool] = False
    """Whether all values are above 0."""
    weights_classes: ClassVar[bool] = False
    """Whether the values along an axis are the shares of classes."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def apply(self, g: Builder, x: Value) -> Value:
        raise NotImplementedError


def activation_class(name: str | None) -> type[ActivationFunction] | None:
    """The activation function of a name; None if there is none."""
    found = ACTIVATIONS.by_name.get(name or "")
    return found if found is not None and issubclass(found, ActivationFunction) else None


def activate(g: Builder, x: Value, activation: ActivationFunction | None) -> Value:
    """Applies an activation function; None is the identity."""
    return x if activation is None else activation.apply(g, x)


def activated_type(x: TensorType, activation: ActivationFunction | None) -> TensorType:
    """The type of `activate(x)`. Raises ShapeError if x is not floating-point or has the wrong shape."""
    if activation is None:
        return x
    require(x.dtype.startswith("float"), f"applies {activation.type_name!r} to real numbers only, got {x}")
    return activation.infer(x)


# -- piecewise linear ------------------------------------------------------------------------------------------------


@ACTIVATIONS.register("linear")
class Linear(ActivationFunction):
    """Returns the input unchanged."""

    formula = "y = x"

    def apply(self, g: Builder, x: Value) -> Value:
        return x


@ACTIVATIONS.register("relu")
class Relu(ActivationFunction):
    """The positive part of the input. With arguments, the slope below a threshold, the threshold and the upper
    bound."""

    formula = """
        y = where(x > threshold, x, negative_slope * (x - threshold))
        y = y if max_value is None else minimum(y, max_value)
    """
    bounds = (0, None)
    negative_slope: float = attr(0.0, doc="Slope for inputs below the threshold.", minimum=0)
    max_value: float | None = attr(None, doc="Upper bound of the result.", minimum=0)
    threshold: float = attr(
        0.0, doc="Inputs at or below this value give `negative_slope * (x - threshold)`.", minimum=0
    )

    def apply(self, g: Builder, x: Value) -> Value:
        if self.negative_slope and not self.threshold and self.max_value is None:
            return g.LeakyRelu(x, alpha=self.negative_slope)
        if self.threshold:
            y = g.ThresholdedRelu(x, alpha=self.threshold)
            y = y if self.max_value is None else g.Clip(y, None, self.max_value)
        else:
            y = g.Relu(x) if self.max_value is None else g.Clip(x, 0.0, self.max_value)
        if not self.negative_slope:
            return y
        below = g.Sub(self.threshold, x) if self.threshold else g.Neg(x)
        return g.Sub(y, g.Mul(g.Relu(below), self.negative_slope))


@ACTIVATIONS.register("relu6")
class Relu6(ActivationFunction):
    """The positive part of the input, at most 6."""

    formula = "y = clip(x, 0, 6)"
    bounds = (0, 6)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Clip(x, 0.0, 6.0)


@ACTIVATIONS.register("leaky_relu")
class LeakyRelu(ActivationFunction):
    """The input where it is positive, a fraction of it elsewhere."""

    formula = "y = where(x >= 0, x, negative_slope * x)"
    negative_slope: float = attr(0.2, doc="Slope for negative inputs.")

    def apply(self, g: Builder, x: Value) -> Value:
        return g.LeakyRelu(x, alpha=self.negative_slope)


@ACTIVATIONS.register("hard_sigmoid")
class HardSigmoid(ActivationFunction):
    """Piecewise linear approximation of the sigmoid."""

    formula = "y = clip(slope * x + 0.5, 0, 1)"
    bounds = (0, 1)
    slope: float = attr(1 / 6, doc="Slope of the linear middle part; 0.2 before Keras 3.", above=0)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.HardSigmoid(x, alpha=self.slope, beta=0.5)


@ACTIVATIONS.register("sparse_sigmoid")
class SparseSigmoid(ActivationFunction):
    """Linear from -1 to 1, and 0 or 1 beyond."""

    formula = "y = clip((x + 1) / 2, 0, 1)"
    bounds = (0, 1)

    def apply(self, g: Builder, x: Value) -> Value:
        # Max and Min halve the gradient where the pieces meet, as in JAX.
        return g.Mul(g.Min(g.Max(g.Add(x, 1.0), 0.0), 2.0), 0.5)


@ACTIVATIONS.register("hard_tanh")
class HardTanh(ActivationFunction):
    """The input between -1 and 1, and these bounds beyond."""

    formula = "y = clip(x, -1, 1)"
    bounds = (-1, 1)

    def apply(self, g: Builder, x: Value) -> Value:
        # The gradient at -1 and 1 is 1, as in JAX.
        return g.Where(g.LessOrEqual(g.Abs(x), 1.0), x, g.Sign(x))


@ACTIVATIONS.register("hard_shrink")
class HardShrink(ActivationFunction):
    """Replaces inputs near 0 by 0."""

    formula = "y = where(abs(x) > threshold, x, 0)"
    threshold: float = attr(0.5, doc="Largest absolute value that becomes 0.", minimum=0)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Shrink(x, lambd=self.threshold, bias=0.0)


@ACTIVATIONS.register("soft_shrink")
class SoftShrink(ActivationFunction):
    """Moves inputs towards 0 by a threshold, at most to 0."""

    formula = "y = sign(x) * maximum(abs(x) - threshold, 0)"
    threshold: float = attr(0.5, doc="Largest absolute value that becomes 0.", minimum=0)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Shrink(x, lambd=self.threshold, bias=self.threshold)


@ACTIVATIONS.register("threshold")
class Threshold(ActivationFunction):
    """Replaces inputs up to a threshold by a value."""

    formula = "y = where(x > threshold, x, default_value)"
    threshold: float = attr(doc="Values up to and including this one are replaced.")
    default_value: float = attr(doc="Replacement value.")

    def apply(self, g: Builder, x: Value) -> Value:
        if self.default_value == 0:
            return g.ThresholdedRelu(x, alpha=self.threshold)
        return g.Where(g.Greater(x, self.threshold), x, g.const(self.default_value, x.dtype))


# -- smooth ----------------------------------------------------------------------------------------------------------


@ACTIVATIONS.register("sigmoid")
class Sigmoid(ActivationFunction):
    """Logistic function, from 0 to 1."""

    formula = "y = 1 / (1 + exp(-x))"
    bounds = (0, 1)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Sigmoid(x)


@ACTIVATIONS.register("log_sigmoid")
class LogSigmoid(ActivationFunction):
    """Logarithm of the sigmoid."""

    formula = "y = log(1 / (1 + exp(-x)))"
    bounds = (None, 0)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Neg(g.Softplus(g.Neg(x)))


@ACTIVATIONS.register("tanh")
class Tanh(ActivationFunction):
    """Hyperbolic tangent."""

    formula = "y = tanh(x)"
    bounds = (-1, 1)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Tanh(x)


@ACTIVATIONS.register("tanh_shrink")
class TanhShrink(ActivationFunction):
    """The input minus its hyperbolic tangent."""

    formula = "y = x - tanh(x)"

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Sub(x, g.Tanh(x))


@ACTIVATIONS.register("exponential")
class Exponential(ActivationFunction):
    """Exponential function."""

    formula = "y = exp(x)"
    bounds = (0, None)
    is_positive = True

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Exp(x)


@ACTIVATIONS.register("elu")
class Elu(ActivationFunction):
    """Exponential linear unit: the input where it is positive, elsewhere an exponential above -alpha."""

    formula = "y = where(x > 0, x, alpha * (exp(x) - 1))"
    bounds = (-1, None)
    alpha: float = attr(1.0, doc="The function approaches -alpha for large negative inputs.")

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Elu(x, alpha=self.alpha)


@ACTIVATIONS.register("selu")
class Selu(ActivationFunction):
    """Scaled ELU, which preserves zero mean and unit variance in layers initialized by `lecun_normal`."""

    formula = "y = 1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * (exp(x) - 1))"
    bounds = (-1.7581, None)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Selu(x)


@ACTIVATIONS.register("celu")
class Celu(ActivationFunction):
    """Continuously differentiable ELU."""

    formula = "y = where(x > 0, x, alpha * (exp(x / alpha) - 1))"
    bounds = (-1, None)
    alpha: float = attr(1.0, doc="The function approaches -alpha for large negative inputs.", above=0)

    def apply(self, g: Builder, x: Value) -> Value:
        # ONNX' Celu supports float32 only; Elu computes the same function.
        return g.Elu(x) if self.alpha == 1 else g.Mul(g.Elu(g.Div(x, self.alpha)), self.alpha)


@ACTIVATIONS.register("gelu")
class Gelu(ActivationFunction):
    """Gaussian error linear unit: the input times the probability that a standard normal number is less than it."""

    formula = """
        if approximate:
            y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))
        else:
            y = x / 2 * (1 + erf(x / sqrt(2)))
    """
    bounds = (-0.1701, None)
    approximate: bool = attr(False, doc="Whether to approximate the normal distribution function by a tanh.")

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Gelu(x, approximate="tanh" if self.approximate else "none")


@ACTIVATIONS.register("silu", "swish")
class Silu(ActivationFunction):
    """The input times its sigmoid."""

    formula = "y = x * sigmoid(x)"
    bounds = (-0.2785, None)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Mul(x, g.Sigmoid(x))


@ACTIVATIONS.register("hard_silu", "hard_swish")
class HardSilu(ActivationFunction):
    """The input times a piecewise linear approximation of its sigmoid."""

    formula = "y = x * clip(x / 6 + 0.5, 0, 1)"
    bounds = (-0.375, None)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.HardSwish(x)


@ACTIVATIONS.register("mish")
class Mish(ActivationFunction):
    """The input times the hyperbolic tangent of its softplus."""

    formula = "y = x * tanh(log(1 + exp(x)))"
    bounds = (-0.3089, None)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Mish(x)


@ACTIVATIONS.register("softplus")
class Softplus(ActivationFunction):
    """Smooth approximation of relu."""

    formula = "y = log(1 + exp(x))"
    bounds = (0, None)
    is_positive = True

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Softplus(x)


@ACTIVATIONS.register("sparse_plus")
class SparsePlus(ActivationFunction):
    """Smooth approximation of relu that equals it below -1 and above 1."""

    formula = "y = where(x <= -1, 0, where(x >= 1, x, (x + 1) ** 2 / 4))"
    bounds = (0, None)

    def apply(self, g: Builder, x: Value) -> Value:
        # With s = sparse_sigmoid(x) and r = relu(x + 1), s * (r - s) equals all three pieces and is smooth.
        s = g.HardSigmoid(x, alpha=0.5, beta=0.5)
        return g.Mul(s, g.Sub(g.Relu(g.Add(x, 1.0)), s))


@ACTIVATIONS.register("squareplus")
class Squareplus(ActivationFunction):
    """Smooth approximation of relu by a square root."""

    formula = "y = (x + sqrt(x ** 2 + b)) / 2"
    bounds = (0, None)
    is_positive = True
    b: float = attr(4.0, doc="Smoothness; 0 gives relu.", minimum=0)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Mul(g.Add(x, g.Sqrt(g.Add(g.Mul(x, x), self.b))), 0.5)


@ACTIVATIONS.register("softsign")
class Softsign(ActivationFunction):
    """The input divided by one more than its absolute value."""

    formula = "y = x / (1 + abs(x))"
    bounds = (-1, 1)

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Softsign(x)


# -- along an axis ---------------------------------------------------------------------------------------------------


@ACTIVATIONS.register("softmax")
class Softmax(ActivationFunction):
    """Shares of classes along an axis: positive numbers with the sum 1."""

    formula = "y = exp(x) / sum(exp(x), axis, keepdims=True)"
    bounds = (0, 1)
    weights_classes = True
    axis: int = attr(-1, doc="Axis along which the result sums to one.")

    def infer(self, x: TensorType) -> TensorType:
        axis_of(x, self.axis)
        return x

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Softmax(x, axis=self.axis)


@ACTIVATIONS.register("log_softmax")
class LogSoftmax(ActivationFunction):
    """Logarithm of the softmax along an axis."""

    formula = "y = x - log(sum(exp(x), axis, keepdims=True))"
    bounds = (None, 0)
    axis: int = attr(-1, doc="Axis along which the exponential of the result sums to one.")

    def infer(self, x: TensorType) -> TensorType:
        axis_of(x, self.axis)
        return x

    def apply(self, g: Builder, x: Value) -> Value:
        return g.LogSoftmax(x, axis=self.axis)


@ACTIVATIONS.register("sparsemax")
class Sparsemax(ActivationFunction):
    """Shares of classes along an axis, many of them 0 (Martins and Astudillo, 2016).

    Follows Keras 3.15, whose threshold has the sum of all the partial sums of the 1, 2, ..., k largest elements. The
    paper uses only the last of these partial sums, which makes the result sum to 1; in Keras' version it does so only
    if k is 1.
    """

    formula = """
        x = moveaxis(x, axis, -1)
        largest, counts = -sort(-x), arange(1, x.shape[-1] + 1)
        sums = cumsum(largest, axis=-1)
        is_above = largest - (sums - 1) / counts > 0
        count = sum(is_above, axis=-1, keepdims=True)
        threshold = (sum(sums * is_above, axis=-1, keepdims=True) - 1) / count
        y = moveaxis(maximum(x - threshold, 0), -1, axis)
    """
    bounds = (0, None)
    weights_classes = True
    axis: int = attr(-1, doc="Axis along which the threshold is computed.")

    def infer(self, x: TensorType) -> TensorType:
        x.static_size(axis_of(x, self.axis))
        return x

    def apply(self, g: Builder, x: Value) -> Value:
        axis = self.axis % x.rank
        size = x.shape[axis]
        counts = g.positions(size, x.dtype, first=1)
        ranks = broadcast_along(g, counts, [axis], x.rank)
        descending, _ = g.TopK(x, [size], axis=axis, outputs=2)
        sums = g.CumSum(descending, g.const(axis, "int64"))
        in_support = g.cast(g.Greater(g.Sub(descending, g.Div(g.Sub(sums, 1.0), ranks)), 0.0), x.dtype)
        count = g.ReduceSum(in_support, [axis], keepdims=1)
        threshold = g.Div(g.Sub(g.ReduceSum(g.Mul(sums, in_support), [axis], keepdims=1), 1.0), count)
        return g.Relu(g.Sub(x, threshold))


@ACTIVATIONS.register("glu")
class Glu(ActivationFunction):
    """Gated linear unit: one half of the input along an axis times the sigmoid of the other."""

    formula = """
        a, b = split(x, 2, axis)
        y = a * sigmoid(b)
    """
    axis: int = attr(-1, doc="Axis to split into halves.")

    def infer(self, x: TensorType) -> TensorType:
        axis = axis_of(x, self.axis)
        size = x.static_size(axis)
        require(size % 2 == 0, f"splits axis {self.axis} into halves by glu, but its size is odd: {size} of {x}")
        return x.with_shape((*x.shape[:axis], size // 2, *x.shape[axis + 1 :]))

    def apply(self, g: Builder, x: Value) -> Value:
        a, b = g.Split(x, axis=self.axis, num_outputs=2, outputs=2)
        return g.Mul(a, g.Sigmoid(b))


# -- the layer that applies any of them ------------------------------------------------------------------------------


@layer
class Activation(Layer):
    """Applies an activation function."""

    formula = "y = activation(x)"
    supports_masking = True

    activation: ActivationFunction = attr(doc="Activation function to apply.")

    def is_passthrough(self, training: bool) -> bool:
        return isinstance(self.activation, Linear)

    def infer(self, x: TensorType) -> TensorType:
        return activated_type(x, self.activation)

    def lower(self, g: Builder, x: Value) -> Any:
        return activate(g, x, self.activation)
