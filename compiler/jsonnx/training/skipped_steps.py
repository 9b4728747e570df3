"""What many steps without a gradient do to a weight and its slots, at once.

An embedding's step has a gradient for the few rows that were read. The others move on by their means alone, and where
that can be told for any number of steps together, a row need not be touched before it is read again.

Everything is looked up by a row's age, the steps since it was last renewed: tables have a column for every age from 0
to `MAX_AGE`. What depends on the rates of these steps is summed up while they pass (`Idle.after`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ..ir import Builder, Value

MAX_AGE = 1024
"""The greatest age. Sums over so many steps are of a few numbers still, and to look after a large table's oldest rows
at every step costs a thousandth of it."""
MAX_RELATIVE_ERROR = 2e-6
"""The greatest error in what a weight moves, relative to it, where the table says it only nearly."""

Slots = Mapping[str, Any]


class SkippedSteps:
    """What a weight does without a gradient. This one stays as it is, and so do its slots."""

    sum_count: int = 0
    """How many numbers of each age are summed up from step to step, all zeros at first."""
    depends_on_age: bool = False
    """Whether it matters how old a row is."""

    def advance_sums(self, g: Builder, sums: Value, rate: Value, shared: Slots) -> Value:
        """The sums [n, ages] after one more step, at which all rows are a step older."""
        raise NotImplementedError

    def factors_by_age(self, g: Builder, sums: Value | None) -> list[Value]:
        """What `catch_up` wants to know of each age, each [1, ages]."""
        return []

    def catch_up(self, g: Builder, weight: Value, slots: Slots, factors: list[Value]) -> tuple[Value, Slots]:
        """Rows of the weight and its slots [rows, width] as they are now; the factors [rows, 1] are those of their
        ages."""
        return weight, slots


def powers_by_age(base: float) -> np.ndarray:
    """The base to the power of every age: [1, ages]."""
    import numpy as np

    return np.power(base, np.arange(MAX_AGE + 1))[None]


@dataclass(frozen=True)
class DecayingSlots(SkippedSteps):
    """Slots shrink by a factor a step. The weight goes on by a multiple of one of them, which is what it shrinks to
    times the `step_scale`."""

    decay_by_slot: Mapping[str, float]
    moving_slot: str = ""
    step_scale: float = 1.0
    depends_on_age = True

    def factors_by_age(self, g: Builder, sums: Value | None) -> list[Value]:
        found = [powers_by_age(factor) for factor in self.decay_by_slot.values()]
        if self.moving_slot:
            found.append(self.step_scale * (powers_by_age(self.decay_by_slot[self.moving_slot]).cumsum(axis=1) - 1.0))
        return [g.const(factor) for factor in found]

    def catch_up(self, g: Builder, weight: Value, slots: Slots, factors: list[Value]) -> tuple[Value, Slots]:
        if self.moving_slot:
            weight = g.Add(weight, g.Mul(slots[self.moving_slot], factors[-1]))
        shrunk = {name: g.Mul(slots[name], factor) for name, factor in zip(self.decay_by_slot, factors, strict=False)}
        return weight, {**slots, **shrunk}


@dataclass(frozen=True)
class AdamSkippedSteps(SkippedSteps):
    """Adam's weights go on by their means, both of which shrink.

    With the slots M and V as they were, j steps later a weight moves by
    `rate_j * r**j * M / (sqrt(V) + e * (1 + d_j))`, where `r = beta_1 / sqrt(beta_2)` and
    `1 + d_j = beta_2 ** (-j / 2)`: epsilon grows beside a root that shrinks, but slowly, and r**j is soon nothing.
    So all these divisors are taken for their mean m, with the weights of the sum, and their variance s about it,
    `sqrt(V) + m - s / (sqrt(V) + m)`: of 1 / (x + d) that is right but for the third moment.
    """

    beta_1: float
    beta_2: float
    epsilon: float
    """As it stands beside the slot's root."""
    weight_decay: float
    depends_on_age = True

    @cached_property
    def is_exact(self) -> bool:
        """Whether the third moment is so small as not to matter."""
        if not self.epsilon or not 0.0 < self.beta_1**2 < self.beta_2:
            return False
        weights, growth = self._step_ratios(), self._epsilon_growth()
        share = weights / weights.sum()
        mean = (share * growth).sum()
        third = (share * abs(growth - mean) ** 3).sum()
        return bool(third <= MAX_RELATIVE_ERROR * (1.0 + mean) ** 3)

    @property
    def sum_count(self) -> int:  # type: ignore[override]
        return 4 if self.weight_decay else 3

    def _step_ratios(self) -> np.ndarray:
        found = powers_by_age(self.beta_1 / self.beta_2**0.5)
        found[:, 0] = 0.0  # of this age no step has gone without the row
        return found

    def _epsilon_growth(self) -> np.ndarray:
        return powers_by_age(self.beta_2**-0.5) - 1.0

    def advance_sums(self, g: Builder, sums: Value, rate: Value, shared: Slots) -> Value:
        """Of the rates times r**j, and of these times d_j and its square; what of the weight has decayed."""
        import numpy as np

        ratio, growth = self._step_ratios(), self._epsilon_growth()
        moves = np.concatenate([ratio, ratio * growth, ratio * growth**2])
        older = g.Concat(g.const([[0.0]] * self.sum_count), g.Slice(sums, [0], [MAX_AGE], [1]), axis=1)
        if not self.weight_decay:
            return g.Add(older, g.Mul(g.const(moves), shared["rate"]))
        decay = g.Mul(rate, self.weight_decay)
        added = g.Concat(g.Mul(g.const(moves), shared["rate"]), g.Mul(g.const(ratio > 0.0), decay), axis=0)
        return g.Add(g.Sub(older, g.Mul(older, decay)), added)

    def factors_by_age(self, g: Builder, sums: Value | None) -> list[Value]:
        parts = g.Split(sums, g.const([1] * self.sum_count, "int64"), axis=0, outputs=self.sum_count)
        total, first, second, *decays = parts
        some = g.Max(total, 1e-30)
        mean = g.Div(first, some)
        variance = g.Mul(g.Sub(g.Div(second, some), g.Mul(mean, mean)), self.epsilon**2)
        shrinking = g.const(powers_by_age(self.beta_1)), g.const(powers_by_age(self.beta_2))
        return [total, g.Mul(g.Add(mean, 1.0), self.epsilon), variance, *shrinking, *decays]

    def catch_up(self, g: Builder, weight: Value, slots: Slots, factors: list[Value]) -> tuple[Value, Slots]:
        total, epsilon, variance, of_mean, of_squares, *decays = factors
        divisor = g.Add(g.Sqrt(slots["velocity"]), epsilon)
        moves = g.Div(slots["momentum"], g.Sub(divisor, g.Div(variance, divisor)))
        for decayed in decays:
            weight = g.Sub(weight, g.Mul(weight, decayed))
        weight = g.Sub(weight, g.Mul(moves, total))
        return weight, {
            "momentum": g.Mul(slots["momentum"], of_mean),
            "velocity": g.Mul(slots["velocity"], of_squares),
        }
