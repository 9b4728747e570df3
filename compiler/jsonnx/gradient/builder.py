"""The builder that emits backward passes."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Self

from ..ir import Builder, Value
from .tuning import GENERAL_FORMULAS, GradientTuning


class GradientBuilder(Builder):
    """A builder that also has the thresholds between formulas, and the usual number of samples in a step."""

    def __init__(
        self, *, tuning: GradientTuning = GENERAL_FORMULAS, expected_batch: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.tuning, self.expected_batch = tuning, expected_batch
        self.active_values: Container[Value | None] = ()
        """The values of the differentiated graph whose cotangents are needed."""
        self._extra_unrolled_steps = 0

    def subgraph_builder(self) -> Self:
        g = super().subgraph_builder()
        g.tuning, g.expected_batch = self.tuning, self.expected_batch
        return g

    def reserve_unrolled_steps(self, steps: int) -> bool:
        """Reserves a part of `max_total_unrolled_steps`. Returns whether that many steps were left."""
        if self._extra_unrolled_steps + steps > self.tuning.max_total_unrolled_steps:
            return False
        self._extra_unrolled_steps += steps
        return True
