"""Optimizers, exactly as Keras 3 computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..bricks import Brick, Family, attr

if TYPE_CHECKING:
    from ..graph import Builder, Parameter, Value

OPTIMIZERS = Family("optimizer", "How a gradient changes a weight.")


class Optimizer(Brick):
    """`slots` names a weight's slots and their initial values; `update` emits one weight's step.

    Shared by all: `weight_decay` shrinks weights before the step, and the gradients are clipped first.
    """

    family = OPTIMIZERS
    learning_rate: float = attr(0.001, doc="Step size.", above=0, maximum=1e6)
    weight_decay: float | None = attr(None, doc="Share of the weight taken off at every step, times the rate.", minimum=0)
    clipnorm: float | None = attr(None, doc="Greatest norm of one weight's gradient.", above=0)
    clipvalue: float | None = attr(None, doc="Greatest absolute value in a gradient.", above=0)
    global_clipnorm: float | None = attr(None, doc="Greatest norm of all gradients together.", above=0)

    def slots(self) -> dict[str, float]:
        """Slots of one weight, in its shape, by name, with the value they start from."""
        return {}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Mapping[str, Value]:
        """What all weights' updates share, computed once."""
        return {}

    def update(
        self, g: Builder, weight: Value, gradient: Value, slots: Mapping[str, Value], rate: Value, shared: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """The weight and its slots after the step."""
        raise NotImplementedError

    def clip(self, g: Builder, gradients: dict[Parameter, Value]) -> dict[Parameter, Value]:
        """The gradients within the bounds."""
        if self.clipvalue is not None:
            return {w: g.Clip(d, -self.clipvalue, self.clipvalue) for w, d in gradients.items()}
        if self.clipnorm is not None:
            return {w: g.Mul(d, bounded(g, square_norm(g, d), self.clipnorm)) for w, d in gradients.items()}
        if self.global_clipnorm is not None and gradients:
            total = g.Sum(*(square_norm(g, d) for d in gradients.values()))
            factor = bounded(g, total, self.global_clipnorm)
            return {w: g.Mul(d, factor) for w, d in gradients.items()}
        return gradients


def square_norm(g: Builder, x: Value) -> Value:
    return g.ReduceSum(g.Mul(x, x), keepdims=0)


def bounded(g: Builder, squared: Value, bound: float) -> Value:
    """The factor that brings a norm, given squared, down to the bound: `bound / max(norm, bound)`."""
    return g.Div(bound, g.Max(g.Sqrt(squared), bound))


@OPTIMIZERS.register("sgd", "SGD")
class SGD(Optimizer):
    """Gradient descent, with momentum if asked."""

    learning_rate: float = attr(0.01, doc="Step size.", above=0, maximum=1e6)
    momentum: float = attr(0.0, doc="Share of the last step that is kept.", minimum=0, maximum=1)
    nesterov: bool = attr(False, doc="Whether to look ahead along the momentum.")

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def update(
        self, g: Builder, weight: Value, gradient: Value, slots: Mapping[str, Value], rate: Value, shared: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        step = g.Mul(gradient, rate)
        if not self.momentum:
            return g.Sub(weight, step), {}
        velocity = g.Sub(g.Mul(slots["momentum"], self.momentum), step)
        if self.nesterov:
            return g.Add(weight, g.Sub(g.Mul(velocity, self.momentum), step)), {"momentum": velocity}
        return g.Add(weight, velocity), {"momentum": velocity}


@OPTIMIZERS.register("adam")
class Adam(Optimizer):
    """Steps scaled by running means of the gradient and its square (Kingma and Ba, 2015)."""

    beta_1: float = attr(0.9, doc="Decay of the mean of gradients.", minimum=0, below=1)
    beta_2: float = attr(0.999, doc="Decay of the mean of squares.", minimum=0, below=1)
    epsilon: float = attr(1e-7, doc="Added to the root, against division by zero.", above=0)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Mapping[str, Value]:
        """The rate with both means' bias corrected."""
        unbiased = g.Sqrt(g.Sub(1.0, g.Pow(g.const(self.beta_2), step)))
        return {"rate": g.Mul(rate, g.Div(unbiased, g.Sub(1.0, g.Pow(g.const(self.beta_1), step))))}

    def update(
        self, g: Builder, weight: Value, gradient: Value, slots: Mapping[str, Value], rate: Value, shared: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        m, v = slots["momentum"], slots["velocity"]
        m = g.Add(m, g.Mul(g.Sub(gradient, m), 1.0 - self.beta_1))
        v = g.Add(v, g.Mul(g.Sub(g.Mul(gradient, gradient), v), 1.0 - self.beta_2))
        step = g.Div(g.Mul(m, shared["rate"]), g.Add(g.Sqrt(v), self.epsilon))
        return g.Sub(weight, step), {"momentum": m, "velocity": v}
