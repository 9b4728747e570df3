"""The effect of many optimizer steps without a gradient on a weight and its slots, in closed form.

A step of an embedding has a gradient for the few rows that were read. Momentum and other running means still change all
other rows. If the effect of any number of such steps has a closed form, a row need not be updated before it is read
again (lazy updates).

All factors are looked up by a row's age, the number of steps since its last update: tables have a column for each age
from 0 to `MAX_AGE`. Sums over the learning rates of these steps are updated at each step (`advance_sums`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value

MAX_AGE = 1024
"""The largest age in steps. At each step, the rows of this age are updated: a thousandth of the table."""
MAX_RELATIVE_ERROR = 2e-6
"""The largest error of a weight's movement, relative to it, if the closed form is an approximation."""

Slots = Mapping[str, Any]


class SkippedSteps:
    """The effect of steps without a gradient; here none, on the weight and on its slots."""

    sum_count: int = 0
    """The number of sums that are kept for each age; their initial value is zero."""
    depends_on_age: bool = False
    """Whether the effect depends on the number of steps."""

    def advance_sums(self, g: Builder, sums: Value, rate: Value, shared: Slots) -> Value:
        """The sums [sum_count, ages] after one more step, in which all rows become a step older."""
        raise NotImplementedError

    def factors_by_age(self, g: Builder, sums: Value | None) -> list[Value]:
        """The factors that `catch_up` needs, by age: each [1, ages]."""
        return []

    def catch_up(self, g: Builder, weight: Value, slots: Slots, factors: list[Value]) -> tuple[Value, Slots]:
        """The current rows [rows, width] of the weight and of its slots, from the rows at their last update and the
        factors [rows, 1] for their ages."""
        return weight, slots


def powers_by_age(base: float) -> np.ndarray:
    """`base ** age` for each age, [1, ages]."""
    import numpy as np

    return np.power(base, np.arange(MAX_AGE + 1))[None]


@dataclass(frozen=True)
class DecayingSlots(SkippedSteps):
    """Each step multiplies the slots by factors, then adds `step_scale` times one of the slots to the weight.

    After n steps a slot v is `decay ** n * v`, and the weight has moved by `step_scale * (decay + ... + decay ** n) *
    v`.
    """

    decay_by_slot: Mapping[str, float]
    moving_slot: str = ""
    step_scale: float = 1.0
    depends_on_age = True

    def factors_by_age(self, g: Builder, sums: Value | None) -> list[Value]:
        factors = [powers_by_age(decay) for decay in self.decay_by_slot.values()]
        if self.moving_slot:
            decay_sums = powers_by_age(self.decay_by_slot[self.moving_slot]).cumsum(axis=1) - 1.0
            factors.append(self.step_scale * decay_sums)
        return [g.const(factor) for factor in factors]

    def catch_up(self, g: Builder, weight: Value, slots: Slots, factors: list[Value]) -> tuple[Value, Slots]:
        if self.moving_slot:
            weight = g.Add(weight, g.Mul(slots[self.moving_slot], factors[-1]))
        decayed = {name: g.Mul(slots[name], factor) for name, factor in zip(self.decay_by_slot, factors, strict=False)}
        return weight, {**slots, **decayed}


@dataclass(frozen=True)
class AdamSkippedSteps(SkippedSteps):
    """Adam moves a weight by its running means, both of which decay.

    With the slots M and V at the last update, step j after it moves the weight by `rate_j * r**j * M / (sqrt(V) + e *
    (1 + d_j))`, where `r = beta_1 / sqrt(beta_2)` and `1 + d_j = beta_2 ** (-j / 2)`: relative to the decaying root,
    epsilon grows, but slowly, while r**j vanishes quickly. The sum over the steps is therefore approximated by one
    division. Let m and s be the mean and the variance of the terms `e * (1 + d_j)`, weighted with `rate_j * r**j`. The
    harmonic mean of the divisors is then `sqrt(V) + m - s / (sqrt(V) + m)`, up to a term with the third moment.
    """

    beta_1: float
    beta_2: float
    epsilon: float
    """The term added to the root of the slot."""
    weight_decay: float
    depends_on_age = True

    @cached_property
    def is_exact(self) -> bool:
        """Whether the term with the third moment is at most `MAX_RELATIVE_ERROR`."""
        if not self.epsilon or not 0.0 < self.beta_1**2 < self.beta_2:
            return False
        weights, growth = self._step_ratios(), self._epsilon_growth()
        weights = weights / weights.sum()
        mean = (weights * growth).sum()
        third_moment = (weights * abs(growth - mean) ** 3).sum()
        return bool(third_moment <= MAX_RELATIVE_ERROR * (1.0 + mean) ** 3)

    @property
    def sum_count(self) -> int:  # type: ignore[override]
        return 4 if self.weight_decay else 3

    def _step_ratios(self) -> np.ndarray:
        """r**j for each age j; 0 for the age 0, for which no step was skipped."""
        ratios = powers_by_age(self.beta_1 / self.beta_2**0.5)
        ratios[:, 0] = 0.0
        return ratios

    def _epsilon_growth(self) -> np.ndarray:
        """d_j for each age j."""
        return powers_by_age(self.beta_2**-0.5) - 1.0

    def advance_sums(self, g: Builder, sums: Value, rate: Value, shared: Slots) -> Value:
        """The sums of `w_j = rate_j * r**j`, of `w_j * d_j` and of `w_j * d_j**2`, and with weight decay the decayed
        fraction."""
        import numpy as np

        ratio, growth = self._step_ratios(), self._epsilon_growth()
        terms = np.concatenate([ratio, ratio * growth, ratio * growth**2])
        older = g.Concat(g.const([[0.0]] * self.sum_count), g.Slice(sums, [0], [MAX_AGE], [1]), axis=1)
        if not self.weight_decay:
            return g.Add(older, g.Mul(g.const(terms), shared["rate"]))
        decay = g.Mul(rate, self.weight_decay)
        added = g.Concat(g.Mul(g.const(terms), shared["rate"]), g.Mul(g.const(ratio > 0.0), decay), axis=0)
        return g.Add(g.Sub(older, g.Mul(older, decay)), added)

    def factors_by_age(self, g: Builder, sums: Value | None) -> list[Value]:
        parts = g.Split(sums, g.const([1] * self.sum_count, "int64"), axis=0, outputs=self.sum_count)
        total, first, second, *decayed_fractions = parts
        divisor = g.Max(total, 1e-30)
        mean = g.Div(first, divisor)
        variance = g.Mul(g.Sub(g.Div(second, divisor), g.Mul(mean, mean)), self.epsilon**2)
        slot_factors = g.const(powers_by_age(self.beta_1)), g.const(powers_by_age(self.beta_2))
        return [total, g.Mul(g.Add(mean, 1.0), self.epsilon), variance, *slot_factors, *decayed_fractions]

    def catch_up(self, g: Builder, weight: Value, slots: Slots, factors: list[Value]) -> tuple[Value, Slots]:
        total, epsilon, variance, momentum_factor, velocity_factor, *decayed_fractions = factors
        divisor = g.Add(g.Sqrt(slots["velocity"]), epsilon)
        step = g.Div(slots["momentum"], g.Sub(divisor, g.Div(variance, divisor)))
        for fraction in decayed_fractions:
            weight = g.Sub(weight, g.Mul(weight, fraction))
        weight = g.Sub(weight, g.Mul(step, total))
        return weight, {
            "momentum": g.Mul(slots["momentum"], momentum_factor),
            "velocity": g.Mul(slots["velocity"], velocity_factor),
        }
