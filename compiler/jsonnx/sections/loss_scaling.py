"""Dynamic loss scaling, as Keras' LossScaleOptimizer computes it.

Small gradients vanish in float16. So the backward pass starts from a scale instead of 1, and gradients are divided by
it in float32. A step whose gradients are not all finite changes nothing but the scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING

from ..core.components import attr
from ..training.weights.initializers import Constant
from .section_base import Section

if TYPE_CHECKING:
    from ..ir import Builder, State, Value

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000
MAX_GRADIENT_SUM = 3e38
"""A sum of absolute values above it is infinite, or nearly; the sum with a NaN is not below it."""


class LossScaleSection(Section):
    """Dynamic loss scaling."""

    initial_scale: float = attr(INITIAL_SCALE, doc="Scale of the loss in the first step.", above=0, maximum=2.0**40)
    dynamic_growth_steps: int = attr(
        GROWTH_STEPS,
        doc="Number of consecutive steps with finite gradients after which the scale doubles.",
        minimum=1,
        maximum=1 << 20,
    )

    def states(self, g: Builder) -> tuple[State, State]:
        """The scale, and the number of consecutive steps with finite gradients. It is a float32, since WebGPU has no
        int64."""
        scale = g.state("loss_scale", (), Constant(value=self.initial_scale))
        return scale, g.state("finite_steps", (), Constant(value=0))

    def assign(self, g: Builder, is_finite: Value) -> None:
        """Assigns the next values: the scale halves after a step that was skipped, and doubles after the growth
        steps."""
        scale, finite_steps = self.states(g)
        grows = g.Greater(finite_steps, self.dynamic_growth_steps - 1.5)
        grown, counted = g.Where(grows, g.Mul(scale, 2.0), scale), g.Where(grows, 0.0, g.Add(finite_steps, 1.0))
        g.assign(scale, g.Where(is_finite, grown, g.Mul(scale, 0.5)))
        g.assign(finite_steps, g.Where(is_finite, counted, 0.0))


def all_finite(g: Builder, gradients: Iterable[Value]) -> Value:
    """Whether all elements of the gradients are finite. Sums are added by Add, since WebGPU has no kernel for Sum."""
    sums = (g.ReduceSum(g.Abs(gradient), keepdims=0) for gradient in gradients)
    is_finite: Value = g.Less(reduce(g.Add, sums), MAX_GRADIENT_SUM)
    return is_finite
