"""Optimizers that scale gradients, with or without momentum: SGD, RMSprop, Adagrad, Adadelta, Lion and Ftrl."""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING

from ...core.components import attr
from .optimizer import LEARNING_RATE_DOC, OPTIMIZERS, ROOT_EPSILON_DOC, Optimizer, Slots, Update, decay_and_add
from .schedules import LearningRate
from .skipped_steps import DecayingSlots, SkippedSteps

if TYPE_CHECKING:
    from ...ir import Builder, Value


@OPTIMIZERS.register("sgd")
class SGD(Optimizer):
    """Gradient descent, optionally with momentum."""

    formula = """
        if t == 1:
            v = 0
        v = momentum * v - learning_rate * g
        w += momentum * v - learning_rate * g if nesterov else v
    """
    usual_learning_rates = (1e-5, 1.0)
    usual_momentum = (0.3, 0.995)
    learning_rate: LearningRate = attr(0.01, doc=LEARNING_RATE_DOC, above=0, maximum=1e6)
    momentum: float = attr(0.0, doc="Fraction of the previous step that is added.", minimum=0, maximum=1)
    nesterov: bool = attr(False, doc="Whether to use Nesterov momentum.")

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        step = g.Mul(gradient, rate)
        if not self.momentum:
            return g.Sub(weight, step), {}
        velocity = g.Sub(g.Mul(slots["momentum"], self.momentum), step)
        ahead = g.Sub(g.Mul(velocity, self.momentum), step) if self.nesterov else velocity
        return g.Add(weight, ahead), {"momentum": velocity}

    def skipped_steps(self) -> SkippedSteps | None:
        if self.weight_decay:
            return None
        step_scale = self.momentum if self.nesterov else 1.0
        return DecayingSlots({"momentum": self.momentum}, "momentum", step_scale) if self.momentum else SkippedSteps()


@OPTIMIZERS.register("rmsprop")
class RMSprop(Optimizer):
    """Steps are divided by the root of a running mean of squared gradients (Tieleman and Hinton, 2012)."""

    formula = """
        if t == 1:
            m, v, a = 0, 0, 0
        v = rho * v + (1 - rho) * g ** 2
        a = rho * a + (1 - rho) * g
        variance = v - a ** 2 if centered else v
        m = momentum * m + learning_rate * g / sqrt(variance + epsilon)
        w -= m
    """
    usual_momentum = (0.3, 0.995)
    square_slots = frozenset({"velocity"})
    rho: float = attr(0.9, doc="Decay of the running means.", minimum=0, below=1)
    momentum: float = attr(0.0, doc="Fraction of the previous step that is added.", minimum=0)
    epsilon: float = attr(1e-7, doc=ROOT_EPSILON_DOC, minimum=0)
    centered: bool = attr(False, doc="Whether to divide by the standard deviation instead of the root mean square.")

    def slots(self) -> dict[str, float]:
        names = ["velocity", *(["momentum"] if self.momentum else []), *(["average_gradient"] if self.centered else [])]
        return dict.fromkeys(names, 0.0)

    def can_round_slot(self, name: str) -> bool:
        return not self.centered or name == "momentum"

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        return {"rate": g.Div(rate, sqrt(1.0 - self.rho))}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        changed = {"velocity": decay_and_add(g, slots["velocity"], self.rho, g.Mul(gradient, gradient))}
        divisor = changed["velocity"]
        if self.centered:
            mean = changed["average_gradient"] = decay_and_add(g, slots["average_gradient"], self.rho, gradient)
            divisor = g.Sub(divisor, g.Mul(g.Mul(mean, mean), 1.0 - self.rho))
        root = g.Sqrt(g.Add(divisor, self.epsilon / (1.0 - self.rho)))
        step = g.Div(g.Mul(gradient, shared["rate"]), root)
        if self.momentum:
            step = changed["momentum"] = decay_and_add(g, slots["momentum"], self.momentum, step)
        return g.Sub(weight, step), changed

    def skipped_steps(self) -> SkippedSteps | None:
        if self.weight_decay or not self.epsilon or self.momentum > 1.0:
            return None
        decay_by_slot = {name: self.momentum if name == "momentum" else self.rho for name in self.slots()}
        return DecayingSlots(decay_by_slot, "momentum" if self.momentum else "", -1.0)


@OPTIMIZERS.register("adagrad")
class Adagrad(Optimizer):
    """Steps are divided by the root of the sum of all squared gradients (Duchi et al., 2011)."""

    formula = """
        if t == 1:
            a = initial_accumulator_value
        a += g ** 2
        w -= learning_rate * g / sqrt(a + epsilon)
    """
    usual_learning_rates = (1e-4, 1.0)
    square_slots = frozenset({"accumulator"})
    initial_accumulator_value: float = attr(0.1, doc="Initial value of the sum.", minimum=0)
    epsilon: float = attr(1e-7, doc=ROOT_EPSILON_DOC, minimum=0)

    def slots(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        total = g.Add(slots["accumulator"], g.Mul(gradient, gradient))
        step = g.Div(g.Mul(gradient, rate), g.Sqrt(g.Add(total, self.epsilon)))
        return g.Sub(weight, step), {"accumulator": total}

    def skipped_steps(self) -> SkippedSteps | None:
        return SkippedSteps() if self.epsilon and not self.weight_decay else None


@OPTIMIZERS.register("adadelta")
class Adadelta(Optimizer):
    """Steps are scaled by the ratio of running means of squared steps and of squared gradients (Zeiler, 2012)."""

    formula = """
        if t == 1:
            a, d = 0, 0
        a = rho * a + (1 - rho) * g ** 2
        step = sqrt(d + epsilon) / sqrt(a + epsilon) * g
        d = rho * d + (1 - rho) * step ** 2
        w -= learning_rate * step
    """
    usual_learning_rates = (1e-3, 2.0)
    square_slots = frozenset({"accumulated_grad", "accumulated_delta_var"})
    rho: float = attr(0.95, doc="Decay of the running means.", minimum=0, below=1)
    epsilon: float = attr(1e-7, doc="Added under the square roots, to avoid division by zero.", minimum=0)

    def slots(self) -> dict[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        epsilon = self.epsilon / (1.0 - self.rho)
        squares = decay_and_add(g, slots["accumulated_grad"], self.rho, g.Mul(gradient, gradient))
        ratio = g.Div(g.Add(slots["accumulated_delta_var"], epsilon), g.Add(squares, epsilon))
        step = g.Mul(g.Sqrt(ratio), gradient)
        steps = decay_and_add(g, slots["accumulated_delta_var"], self.rho, g.Mul(step, step))
        return g.Sub(weight, g.Mul(step, rate)), {"accumulated_grad": squares, "accumulated_delta_var": steps}


@OPTIMIZERS.register("lion")
class Lion(Optimizer):
    """Steps of constant size: the sign of a weighted mean of momentum and gradient (Chen et al., 2023)."""

    formula = """
        if t == 1:
            m = 0
        w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g
    """
    usual_learning_rates = (1e-7, 3e-3)
    max_usual_weight_decay = inf
    beta_1: float = attr(0.9, doc="Fraction of the momentum in the direction of the step.", above=0, below=1)
    beta_2: float = attr(0.99, doc="Decay of the momentum.", minimum=0, below=1)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        ratio = self.beta_1 / (1.0 - self.beta_1) * (1.0 - self.beta_2)
        direction = g.Sign(decay_and_add(g, slots["momentum"], ratio, gradient))
        momentum = decay_and_add(g, slots["momentum"], self.beta_2, gradient)
        return g.Sub(weight, g.Mul(direction, rate)), {"momentum": momentum}


@OPTIMIZERS.register("ftrl")
class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al., 2013)."""

    formula = """
        if t == 1:
            a, z = initial_accumulator_value, 0
        a_new = a + g ** 2
        sigma = (a_new ** -learning_rate_power - a ** -learning_rate_power) / learning_rate
        z += g + 2 * l2_shrinkage_regularization_strength * w - sigma * w
        a = a_new
        penalty = 2 * l2_regularization_strength + beta / learning_rate
        shrunk = clip(z, -l1_regularization_strength, l1_regularization_strength) - z
        w = shrunk / (a ** -learning_rate_power / learning_rate + penalty)
    """
    usual_learning_rates = (1e-4, 1.0)
    learning_rate_power: float = attr(
        -0.5, doc="Exponent of the sum of squares in the learning rate; 0 keeps it constant.", maximum=0
    )
    initial_accumulator_value: float = attr(0.1, doc="Initial value of the sum of squared gradients.", minimum=0)
    l1_regularization_strength: float = attr(0.0, doc="Strength of the L1 penalty.", minimum=0)
    l2_regularization_strength: float = attr(0.0, doc="Strength of the L2 penalty.", minimum=0)
    l2_shrinkage_regularization_strength: float = attr(
        0.0, doc="Strength of an L2 penalty that affects only the gradient.", minimum=0
    )
    beta: float = attr(0.0, doc="Added to the L2 penalty, divided by twice the learning rate.")
    slot_dtype = "float32"  # weights are computed from the slots

    def slots(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The term of the L2 penalty in the divisor."""
        return {"penalty": g.Add(g.Div(self.beta, rate), 2.0 * self.l2_regularization_strength)}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        total = g.Add(slots["accumulator"], g.Mul(gradient, gradient))
        before, after = (g.Div(g.Pow(x, -self.learning_rate_power), rate) for x in (slots["accumulator"], total))
        if self.l2_shrinkage_regularization_strength:
            gradient = g.Add(gradient, g.Mul(weight, 2.0 * self.l2_shrinkage_regularization_strength))
        linear = g.Add(slots["linear"], g.Sub(gradient, g.Mul(g.Sub(after, before), weight)))
        strength = self.l1_regularization_strength
        numerator = g.Sub(g.Clip(linear, -strength, strength), linear) if strength else g.Neg(linear)
        return g.Div(numerator, g.Add(after, shared["penalty"])), {"accumulator": total, "linear": linear}
