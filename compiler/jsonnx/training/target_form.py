"""What the loss of an output compares in place of target and output."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Literal, NamedTuple

TransformName = Literal["log", "log1p", "yeo_johnson"]
LOWER_BOUNDS: Mapping[str, float] = {"log": 0.0, "log1p": -1.0}
"""The numbers that the targets of a transform must exceed."""
MAX_VALUE = 1e15
"""The greatest absolute value of transformed targets, and of the predictions of their models: the squares of such
errors add up to a finite float32."""
MAX_LOG = log(MAX_VALUE)


class TargetForm(NamedTuple):
    """A transform, and whether transformed values are standardized."""

    transform: TransformName | None
    is_normalized: bool

    @property
    def statistics(self) -> tuple[str, ...]:
        """The names of what is learned from the training data."""
        powers = ("lambda",) if self.transform == "yeo_johnson" else ()
        return (*powers, *(("mean", "variance") if self.is_normalized else ()))
