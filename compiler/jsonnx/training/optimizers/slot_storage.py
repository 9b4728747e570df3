"""Optimizer slots in 16 bits between steps: how a step reads and writes them.

A running mean with a decay of 0.999 changes by a thousandth in a step, which is less than half of the distance between
two bfloat16 numbers: rounded to the nearest one, it would never shrink. So a step multiplies slots by a factor near 1
before it rounds them. From step to step, the factors run evenly through one distance between numbers or more to both
sides, so that over several steps the rounded numbers move by what the exact ones would. The factor depends on the
number of the step alone.

Sums of squares are stored as their roots, which have half the exponents: squares of small gradients are zero in
float16.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ...ir import Builder, Value

SlotType = Literal["float32", "float16", "bfloat16"]

MIN_ROUNDED_ELEMENTS = 1 << 13
"""Minimum size of a slot, in elements, that is stored in 16 bits. Smaller ones are float32."""

MAX_ROUNDING_ERRORS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""By type: the largest relative error of rounding to the nearest number."""
MAX_FLOAT16 = 65504.0

DITHER_PERIOD = 1 << 16
"""Number of steps after which the factors repeat."""
DITHER_STRIDE = 40503
"""The golden ratio's share of the period: multiples of it, modulo the period, are spread evenly however many."""


@dataclass(frozen=True)
class SlotStorage:
    """How one slot is stored."""

    dtype: SlotType | None = None
    """The 16-bit type; None for the type of the weight."""
    is_root: bool = False
    """Whether it is the root of what the optimizer computes with."""

    @classmethod
    def of(cls, dtype: SlotType, holds_squares: bool, shape: tuple[int, ...]) -> SlotStorage:
        """The storage of a slot of this shape whose optimizer wants the type."""
        if dtype == "float32" or prod(shape) < MIN_ROUNDED_ELEMENTS:
            return cls()
        return cls(dtype, holds_squares)

    def initial(self, value: float) -> float:
        """What is stored for an initial value."""
        return sqrt(value) if self.is_root else value

    def load(self, g: Builder, stored: Value) -> Value:
        """The slot as the optimizer computes with it."""
        value = stored if self.dtype is None else g.cast(stored, "float32")
        return g.Mul(value, value) if self.is_root else value

    def stored_number(self, g: Builder, value: Value) -> Value:
        """What is stored for a slot, in float32."""
        return g.Sqrt(value) if self.is_root else value

    def store(self, g: Builder, value: Value, step: Value) -> Value:
        """The slot after a step; `step` is an int64 that counts updates."""
        if self.dtype is None:
            return value
        dithered = g.Mul(self.stored_number(g, value), dither_factor(g, step, MAX_ROUNDING_ERRORS[self.dtype]))
        if self.dtype == "float16":
            dithered = g.Clip(dithered, 0.0 if self.is_root else -MAX_FLOAT16, MAX_FLOAT16)
        return g.cast(dithered, self.dtype)


def dither_factor(g: Builder, step: Value, max_error: float) -> Value:
    """A factor from `1 - 2 * max_error` to `1 + 2 * max_error`, evenly distributed over the steps.

    With half this range, numbers in the middle between two powers of 2 would move a third too fast.
    """
    position = g.cast(g.Mod(g.Mul(step, DITHER_STRIDE), DITHER_PERIOD), "float32")
    return g.Add(g.Mul(position, 4.0 * max_error / DITHER_PERIOD), 1.0 - 2.0 * max_error)


def choose(g: Builder, condition: Value, new: Value, old: Value) -> Value:
    """`new` where the condition holds, else `old`; onnxruntime has no Where of bfloat16."""
    if new.dtype != "bfloat16":
        return g.refine(g.Where(condition, new, old), old.shape)
    chosen = g.Where(condition, g.cast(new, "float32"), g.cast(old, "float32"))
    return g.refine(g.cast(chosen, new.dtype), old.shape)
