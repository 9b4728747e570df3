"""Optimizers, exactly as Keras 3 computes them.

Each weight gets its own copy of the operators, so they are as few as possible. For a running mean `m = beta * m + (1 -
beta) * x` the slot holds `m / (1 - beta)`, which needs one operator less; the factor `1 - beta` is part of scalars that
all weights share.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING, Any

from ..core.components import Component, Registry, attr
from ..core.types import require
from .initializers import Ones
from .numerics import square_sum
from .skipped_steps import AdamSkippedSteps, DecayingSlots, SkippedSteps

if TYPE_CHECKING:
    from ..ir import Builder, Parameter, Value

OPTIMIZERS = Registry(
    "optimizer",
    "The rule that updates weights by their gradients; `rmsprop` if a spec names none.",
    snake_case_names=False,
)

LEARNING_RATE_DOC = "Step size, the same in all steps."
EPSILON_DOC = "Added to a divisor, to avoid division by zero."
ROOT_EPSILON_DOC = "Added under the square root, to avoid division by zero."
WEIGHT_DECAY_DOC = "Fraction of the weight that a step subtracts, times the learning rate."
EMA_UNSUPPORTED = "Moving averages of the weights are not implemented."
LOSS_SCALE_UNSUPPORTED = "A constant factor is not implemented; `training.loss_scale` scales the loss dynamically."
ACCUMULATION_UNSUPPORTED = "Gradients are not accumulated; use a larger batch."

Slots = Mapping[str, Any]
"""Values by name: the slots of a weight, or the results of `prepare`, which all weights share."""

Update = tuple["Value", dict[str, "Value"]]
"""A weight after a step, and its changed slots by name."""


class Optimizer(Component):
    """`slots` returns the slots of a weight and their initial values; `update` emits the step of one weight.

    All optimizers first clip the gradients, then let the weight decay (by `weight * weight_decay * rate`), then update
    it.
    """

    registry = OPTIMIZERS
    learning_rate: float = attr(0.001, doc=LEARNING_RATE_DOC, above=0, maximum=1e6)
    weight_decay: float | None = attr(None, doc=WEIGHT_DECAY_DOC, minimum=0)
    clipnorm: float | None = attr(None, doc="Maximum norm of the gradient of one weight.", above=0)
    clipvalue: float | None = attr(None, doc="Maximum absolute value of a gradient's elements.", above=0)
    global_clipnorm: float | None = attr(None, doc="Maximum norm of all gradients together.", above=0)
    use_ema: bool = attr(False, doc="Whether to keep a moving average of the weights.", unsupported=EMA_UNSUPPORTED)
    ema_momentum: float = attr(0.99, doc="Fraction of the average that a step keeps.", unsupported=EMA_UNSUPPORTED)
    ema_overwrite_frequency: int | None = attr(
        None, doc="Number of steps after which the average replaces the weights.", unsupported=EMA_UNSUPPORTED
    )
    loss_scale_factor: float | None = attr(
        None, doc="Factor of the loss, by which the gradients are divided again.", unsupported=LOSS_SCALE_UNSUPPORTED
    )
    gradient_accumulation_steps: int | None = attr(
        None, doc="Number of steps whose gradients are summed for one update.", unsupported=ACCUMULATION_UNSUPPORTED
    )

    def check(self) -> None:
        """Raises ShapeError if attributes exclude each other."""
        clipping = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        require(len(clipping) < 2, f"can clip in one way only, got {' and '.join(clipping)}", code="invalid-value")

    def slots(self) -> dict[str, float]:
        """The names of the slots of a weight, tensors of its shape, and their initial values."""
        return {}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The values that the updates of all weights share. `step` is an int64 that counts from 1."""
        return {}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        """The weight and its slots after the step."""
        raise NotImplementedError

    def decay_and_update(
        self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots
    ) -> Update:
        """The weight and its slots after weight decay and the step."""
        if self.weight_decay:
            weight = g.Sub(weight, g.Mul(weight, g.Mul(rate, self.weight_decay)))
        return self.update(g, weight, gradient, slots, rate, shared)

    def skipped_steps(self) -> SkippedSteps | None:
        """The effect of steps without a gradient on a weight, in closed form; None if there is no closed form."""
        return None

    def clip(self, g: Builder, gradients: dict[Parameter, Value]) -> dict[Parameter, Value]:
        """The gradients, clipped to the bounds."""
        if self.clipnorm is not None:
            return {w: g.Mul(d, clip_factor(g, square_sum(g, d), self.clipnorm)) for w, d in gradients.items()}
        if self.global_clipnorm is not None and gradients:
            factor = clip_factor(g, g.Sum(*(square_sum(g, d) for d in gradients.values())), self.global_clipnorm)
            return {w: g.Mul(d, factor) for w, d in gradients.items()}
        if self.clipvalue is not None:
            return {w: g.Clip(d, -self.clipvalue, self.clipvalue) for w, d in gradients.items()}
        return gradients


def clip_factor(g: Builder, squared: Value, bound: float) -> Value:
    """The factor that reduces a norm, given its square, to a bound: `bound / max(norm, bound)`."""
    return g.Div(bound, g.Max(g.Sqrt(squared), bound))


def decay_and_add(g: Builder, old: Value, factor: float, new: Value) -> Value:
    """`factor * old + new`."""
    return g.Add(g.Mul(old, factor), new)


def bias_correction(g: Builder, beta: float, step: Value) -> Value:
    """`1 - beta ** step`, the sum of the weights of a running mean.

    The exponent is an integer, since GPUs compute powers of floats with a relative error of 1e-7, and the subtraction
    makes that an error of 1e-4 in the first steps.
    """
    return g.Sub(1.0, g.Pow(g.const(beta), step))


@OPTIMIZERS.register("sgd")
class SGD(Optimizer):
    """Gradient descent, optionally with momentum."""

    learning_rate: float = attr(0.01, doc=LEARNING_RATE_DOC, above=0, maximum=1e6)
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

    rho: float = attr(0.9, doc="Decay of the running means.", minimum=0, below=1)
    momentum: float = attr(0.0, doc="Fraction of the previous step that is added.", minimum=0)
    epsilon: float = attr(1e-7, doc=ROOT_EPSILON_DOC, minimum=0)
    centered: bool = attr(False, doc="Whether to divide by the standard deviation instead of the root mean square.")

    def slots(self) -> dict[str, float]:
        names = ["velocity", *(["momentum"] if self.momentum else []), *(["average_gradient"] if self.centered else [])]
        return dict.fromkeys(names, 0.0)

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


class Moments(Optimizer):
    """Base of the optimizers with a running mean of gradients and one of their squares or magnitudes."""

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


@OPTIMIZERS.register("adamw")
class AdamW(AdamBase):
    """Adam with weight decay (Loshchilov and Hutter, 2019)."""

    weight_decay: float = attr(0.004, doc=WEIGHT_DECAY_DOC, minimum=0)


@OPTIMIZERS.register("nadam")
class Nadam(Moments):
    """Adam with Nesterov momentum (Dozat, 2016)."""

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

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        return {"rate": g.Div(g.Mul(rate, 1.0 - self.beta_1), bias_correction(g, self.beta_1, step))}

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        mean = decay_and_add(g, slots["momentum"], self.beta_1, gradient)
        norm = g.Max(g.Mul(slots["norm"], self.beta_2), g.Abs(gradient))
        step = g.Div(g.Mul(mean, shared["rate"]), g.Add(norm, self.epsilon))
        return g.Sub(weight, step), {"momentum": mean, "norm": norm}


@OPTIMIZERS.register("adagrad")
class Adagrad(Optimizer):
    """Steps are divided by the root of the sum of all squared gradients (Duchi et al., 2011)."""

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


@OPTIMIZERS.register()
class Lamb(Moments):
    """Adam with steps proportional to the norm of the weight (You et al., 2020)."""

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
