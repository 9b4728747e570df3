"""Activation functions, by Keras' names, and the layers that apply one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bricks import Brick, Family, attr
from ..types import TensorType
from .base import Layer, layer

if TYPE_CHECKING:
    from ..graph import Builder, Value

ACTIVATIONS = Family("activation", "A function applied to every element, or along one axis.")


class Activation_(Brick):
    """Base of the functions; the layer that applies one is `Activation`."""

    family = ACTIVATIONS

    def apply(self, g: Builder, x: Value) -> Value:
        raise NotImplementedError


@ACTIVATIONS.register("linear")
class Linear(Activation_):
    """The input itself."""

    def apply(self, g: Builder, x: Value) -> Value:
        return x


@ACTIVATIONS.register("relu")
class Relu(Activation_):
    """`max(x, 0)`, or with its arguments: `max_value` caps it, `negative_slope` leaks below `threshold`."""

    negative_slope: float = attr(0.0, doc="Slope below the threshold.", minimum=0)
    max_value: float | None = attr(None, doc="Upper bound of the result.", minimum=0)
    threshold: float = attr(0.0, doc="Where the function begins.", minimum=0)

    def apply(self, g: Builder, x: Value) -> Value:
        if self.threshold:
            above = g.cast(g.Greater(x, self.threshold), x.dtype)
            y = g.Mul(x, above)
            if self.negative_slope:
                below = g.Mul(g.Sub(x, self.threshold), self.negative_slope)
                y = g.Add(y, g.Mul(below, g.Sub(1.0, above)))
        else:
            y = g.LeakyRelu(x, alpha=self.negative_slope) if self.negative_slope else g.Relu(x)
        return y if self.max_value is None else g.Min(y, self.max_value)


@ACTIVATIONS.register("sigmoid")
class Sigmoid(Activation_):
    """`1 / (1 + exp(-x))`."""

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Sigmoid(x)


@ACTIVATIONS.register("tanh")
class Tanh(Activation_):
    """Hyperbolic tangent."""

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Tanh(x)


@ACTIVATIONS.register("softmax")
class Softmax(Activation_):
    """`exp(x) / sum(exp(x))` along an axis."""

    axis: int = attr(-1, doc="Axis along which the result sums to one.")

    def apply(self, g: Builder, x: Value) -> Value:
        return g.Softmax(x, axis=self.axis)


def activate(g: Builder, x: Value, activation: Activation_ | None) -> Value:
    """The activation of a value; None is none."""
    return x if activation is None else activation.apply(g, x)


@layer
class Activation(Layer):
    """Applies an activation function: `activation(x)`."""

    activation: Activation_ = attr(doc="Function to apply.")

    def infer(self, x: TensorType) -> TensorType:
        return x

    def lower(self, g: Builder, x: Value) -> Any:
        return activate(g, x, self.activation)
