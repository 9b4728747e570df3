"""Schedule-free AdamW: averages its iterates, instead of a schedule of the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.components import attr
from .optimizer import (
    EPSILON_DOC,
    LEARNING_RATE_DOC,
    OPTIMIZERS,
    Optimizer,
    Slots,
    Update,
    bias_correction,
    decay_and_add,
)
from .schedules import LearningRate

if TYPE_CHECKING:
    from ...ir import Builder, Value


@OPTIMIZERS.register()
class ScheduleFreeAdamW(Optimizer):
    """Adam whose weights lie between its iterate and the mean of all iterates, which replaces a schedule (Defazio et
    al., 2024)."""

    formula = """
        if t == 1:
            z, v = w, 0
        w = w - learning_rate * (weight_decay or 0) * w
        x = (w - (1 - beta_1) * z) / beta_1  # the mean of the iterates z
        rate = learning_rate * min([t / warmup_steps, 1]) if warmup_steps else learning_rate
        v = beta_2 * v + (1 - beta_2) * g ** 2
        z = z - rate * g / (sqrt(v / (1 - beta_2 ** t)) + epsilon)
        x = (1 - 1 / t) * x + z / t
        w = (1 - beta_1) * z + beta_1 * x
    """
    usual_learning_rates = (1e-6, 5e-2)
    square_slots = frozenset({"velocity"})
    learning_rate: LearningRate = attr(0.0025, doc=LEARNING_RATE_DOC, above=0, maximum=1e6)
    beta_1: float = attr(0.9, doc="Fraction of the mean of all iterates in the weights.", above=0, below=1)
    beta_2: float = attr(0.999, doc="Decay of the running mean of squared gradients.", minimum=0, below=1)
    epsilon: float = attr(1e-8, doc=EPSILON_DOC, minimum=0)
    warmup_steps: int = attr(0, doc="Number of steps in which the learning rate rises to its full value.", minimum=0)

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def can_round_slot(self, name: str) -> bool:
        return name != "momentum"

    def prepare(self, g: Builder, rate: Value, step: Value) -> Slots:
        """The learning rate; `start`, 1 in the first step, else 0; the factors of both parts of the weight; and the
        factor of the slot of squares."""
        now = g.cast(step, rate.dtype)
        rate = g.Mul(rate, g.Min(g.Div(now, float(self.warmup_steps)), 1.0)) if self.warmup_steps else rate
        fraction = g.Reciprocal(now)
        return {
            "rate": rate,
            "start": g.cast(g.Equal(step, 1), rate.dtype),
            "kept": g.Sub(1.0, fraction),
            "iterate": g.Add(g.Mul(fraction, self.beta_1), 1.0 - self.beta_1),
            "squares": g.Div(1.0 - self.beta_2, bias_correction(g, self.beta_2, step)),
        }

    def decay_and_update(
        self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots
    ) -> Update:
        """As in Keras, the iterate, 0 until the first step, starts at the weight before its decay."""
        slots = {**slots, "momentum": g.Add(slots["momentum"], g.Mul(weight, shared["start"]))}
        return super().decay_and_update(g, weight, gradient, slots, rate, shared)

    def update(self, g: Builder, weight: Value, gradient: Value, slots: Slots, rate: Value, shared: Slots) -> Update:
        """With the iterate z and the mean x of all iterates, the weight y is `(1 - beta_1) * z + beta_1 * x`, from
        which the step recovers `beta_1 * x`."""
        squares = decay_and_add(g, slots["velocity"], self.beta_2, g.Mul(gradient, gradient))
        divisor = g.Add(g.Sqrt(g.Mul(squares, shared["squares"])), self.epsilon)
        iterate = g.Sub(slots["momentum"], g.Div(g.Mul(gradient, shared["rate"]), divisor))
        scaled_mean = g.Sub(weight, g.Mul(slots["momentum"], 1.0 - self.beta_1))
        weight = g.Add(g.Mul(iterate, shared["iterate"]), g.Mul(scaled_mean, shared["kept"]))
        return weight, {"momentum": iterate, "velocity": squares}
