"""Adam and its variants: a running mean of gradients, divided by the root of one of their squares."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from ...core.components import attr
from ..numerics import square_sum
from ..weights.initializers import Ones
from .optimizer import (
    EPSILON_DOC,
    OPTIMIZERS,
    WEIGHT_DECAY_DOC,
    Optimizer,
    Slots,
    Update,
    bias_correction,
    decay_and_add,
)
from .skipped_steps import AdamSkippedSteps, SkippedSteps

if TYPE_CHECKING:
    from ...ir import Builder, Value


class Moments(Optimizer):
    """Base of the optimizers with a running mean of gradients and one of their squares or magnitudes."""

    square_slots = frozenset({"velocity", "velocity_hat"})

    beta_1: float = attr(0.9, doc="Decay of the running mean of gradients.", minimum=0, below=1)
    beta_2: float = attr(0.999, doc="Decay of the running mean of squared gradients.", minimum=0, below=1)
    epsilon: float = attr(1e-7, doc=EPSILON_DOC, minimum=0)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def moments(self, g: Builder, gradient: Value, slots: Slots) -> dict[str, Value]:
        """Both slots after the step: running means, each divided by 1 - beta."""
        return {
            "momentum": decay_and_add(g, slots["momentum"], self.beta_1, gradient),
            "velocity": decay_and_add(g, slots["velocity"], self.beta_2, g.Mul(gradient, gradient)),
        }


class AdamBase(Moments):
    """Base of Adam and AdamW, which differ in the default of `weight_decay`."""

    rescales_penalties = True
    amsgrad: bool = attr(
        False, doc="Whether to use the maximum of all running means of squares so far (Reddi et al., 2018)."
    )

    def slots(self) -> dict[str, float]:
        return super().slots() | ({"velocity_hat": 0.0} if self.amsgrad else {})

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The learning rate times the bias corrections of both means and the factors `1 - beta` of their slots."""
        scale = (1.0 - self.beta_1) / sqrt(1.0 - self.beta_2)
        corrected = g.Div(g.Sqrt(bias_correction(g, self.beta_2, step)), bias_correction(g, self.beta_1, step))
        return {"rate": g.Mul(g.Mul(rate, corrected), scale)}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        changed = self.moments(g, gradient, slots)
        squares = changed["velocity"]
        if self.amsgrad:
            squares = changed["velocity_hat"] = g.Max(slots["velocity_hat"], squares)
        divisor = g.Add(g.Sqrt(squares), self.epsilon / sqrt(1.0 - self.beta_2))
        return g.Sub(weight, g.Mul(g.Div(changed["momentum"], divisor), shared["rate"])), changed

    def skipped_steps(self) -> SkippedSteps | None:
        epsilon = self.epsilon / sqrt(1.0 - self.beta_2)
        skipped = AdamSkippedSteps(self.beta_1, self.beta_2, epsilon, self.weight_decay or 0.0)
        return skipped if skipped.is_exact and not self.amsgrad else None


@OPTIMIZERS.register("adam")
class Adam(AdamBase):
    """Running mean of gradients, divided by the root of the running mean of their squares (Kingma and Ba, 2015)."""

    formula = """
        if t == 1:
            m, v, v_max = 0, 0, 0
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        v_max = maximum(v_max, v) if amsgrad else v
        rate = learning_rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t)
        w -= rate * m / (sqrt(v_max) + epsilon)
    """


@OPTIMIZERS.register("adamw")
class AdamW(AdamBase):
    """Adam with weight decay (Loshchilov and Hutter, 2019)."""

    formula = """
        if t == 1:
            m, v, v_max = 0, 0, 0
        w -= learning_rate * weight_decay * w
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        v_max = maximum(v_max, v) if amsgrad else v
        rate = learning_rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t)
        w -= rate * m / (sqrt(v_max) + epsilon)
    """
    weight_decay: float = attr(0.004, doc=WEIGHT_DECAY_DOC, minimum=0)


@OPTIMIZERS.register("nadam")
class Nadam(Moments):
    """Adam with Nesterov momentum (Dozat, 2016)."""

    formula = """
        if t == 1:
            m, v, product = 0, 0, 1
        mu = beta_1 * (1 - 0.96 ** t / 2)
        next_mu = beta_1 * (1 - 0.96 ** (t + 1) / 2)
        product *= mu
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        m_hat = next_mu * m / (1 - product * next_mu) + (1 - mu) * g / (1 - product)
        v_hat = v / (1 - beta_2 ** t)
        w -= learning_rate * m_hat / (sqrt(v_hat) + epsilon)
    """
    rescales_penalties = True

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The factors of the mean and of the gradient, times the learning rate, and epsilon; all times the root of the
        bias correction of the squares."""
        product = g.state("u_product", (), Ones())
        momentum = self.momentum_schedule(g, step)
        next_momentum = self.momentum_schedule(g, g.Add(step, 1))
        next_product = g.Mul(product, momentum)
        g.assign(product, next_product)
        of_mean = g.Div(next_momentum, g.Sub(1.0, g.Mul(next_product, next_momentum)))
        of_gradient = g.Div(g.Sub(1.0, momentum), g.Sub(1.0, next_product))
        root = g.Sqrt(g.Div(bias_correction(g, self.beta_2, step), 1.0 - self.beta_2))
        return {
            "mean": g.Mul(g.Mul(g.Mul(rate, of_mean), root), 1.0 - self.beta_1),
            "gradient": g.Mul(g.Mul(rate, of_gradient), root),
            "epsilon": g.Mul(root, self.epsilon),
        }

    def momentum_schedule(self, g: Builder, step: Value) -> Value:
        """The momentum of a step: `beta_1 * (1 - 0.96 ** step / 2)`."""
        return g.Mul(g.Sub(1.0, g.Mul(g.Pow(g.const(0.96), step), 0.5)), self.beta_1)

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        changed = self.moments(g, gradient, slots)
        step = g.Add(g.Mul(changed["momentum"], shared["mean"]), g.Mul(gradient, shared["gradient"]))
        return g.Sub(weight, g.Div(step, g.Add(g.Sqrt(changed["velocity"]), shared["epsilon"]))), changed


@OPTIMIZERS.register("adamax")
class Adamax(Moments):
    """Adam with a decaying maximum of absolute gradients in place of the mean of squares (Kingma and Ba, 2015)."""

    formula = """
        if t == 1:
            m, u = 0, 0
        m = beta_1 * m + (1 - beta_1) * g
        u = maximum(beta_2 * u, abs(g))
        w -= learning_rate / (1 - beta_1 ** t) * m / (u + epsilon)
    """
    usual_learning_rates = (1e-6, 2e-2)
    rescales_penalties = True

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        return {"rate": g.Div(g.Mul(rate, 1.0 - self.beta_1), bias_correction(g, self.beta_1, step))}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        mean = decay_and_add(g, slots["momentum"], self.beta_1, gradient)
        norm = g.Max(g.Mul(slots["norm"], self.beta_2), g.Abs(gradient))
        step = g.Div(g.Mul(mean, shared["rate"]), g.Add(norm, self.epsilon))
        return g.Sub(weight, step), {"momentum": mean, "norm": norm}


@OPTIMIZERS.register()
class Lamb(Moments):
    """Adam with steps proportional to the norm of the weight (You et al., 2020)."""

    formula = """
        if t == 1:
            m, v = 0, 0
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        step = m / (1 - beta_1 ** t) / (sqrt(v / (1 - beta_2 ** t)) + epsilon)
        w_norm, step_norm = sqrt(sum(w ** 2)), sqrt(sum(step ** 2))
        ratio = w_norm / step_norm if w_norm > 0 and step_norm > 0 else 1
        w -= learning_rate * ratio * step
    """
    usual_learning_rates = (1e-6, 5e-2)

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The factor of the mean, and epsilon; both times the root of the bias correction of the squares."""
        root = g.Sqrt(g.Div(bias_correction(g, self.beta_2, step), 1.0 - self.beta_2))
        mean = g.Div(1.0 - self.beta_1, bias_correction(g, self.beta_1, step))
        return {"mean": g.Mul(mean, root), "epsilon": g.Mul(root, self.epsilon)}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        changed = self.moments(g, gradient, slots)
        divisor = g.Add(g.Sqrt(changed["velocity"]), shared["epsilon"])
        step = g.Div(g.Mul(changed["momentum"], shared["mean"]), divisor)
        weight_squares, step_squares = square_sum(g, weight), square_sum(g, step)
        are_nonzero = g.Greater(g.Min(weight_squares, step_squares), 0.0)
        ratio = g.Where(are_nonzero, g.Sqrt(g.Div(weight_squares, step_squares)), g.const(1.0, weight.dtype))
        return g.Sub(weight, g.Mul(step, g.Mul(ratio, rate))), changed
