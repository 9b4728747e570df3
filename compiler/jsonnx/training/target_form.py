"""What the loss of an output compares in place of target and output."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Literal, NamedTuple

from ..core.types import TensorType

TransformName = Literal["log", "log1p", "yeo_johnson"]
LOWER_BOUNDS: Mapping[str, float] = {"log": 0.0, "log1p": -1.0}
"""The numbers that the targets of a transform must exceed."""
MAX_VALUE = 1e15
"""The greatest absolute value of transformed targets, and of the predictions of their models: the squares of such
errors add up to a finite float32."""
MAX_LOG = log(MAX_VALUE)


class TargetForm(NamedTuple):
    """A transform, whether transformed values are standardized, and whether the last axis of the output has quantiles,
    which the target lacks and the model sorts."""

    transform: TransformName | None
    is_normalized: bool
    has_quantiles: bool = False

    @property
    def changes_targets(self) -> bool:
        """Whether the loss compares other values than the targets."""
        return self.transform is not None or self.is_normalized

    @property
    def is_affine(self) -> bool:
        """Whether the model's values are an affine function of the network's own ones."""
        return self.transform is None and not self.has_quantiles

    @property
    def statistics(self) -> tuple[str, ...]:
        """The names of what is learned from the training data."""
        powers = ("lambda",) if self.transform == "yeo_johnson" else ()
        return (*powers, *(("mean", "variance") if self.is_normalized else ()))

    def statistics_shape(self, output: TensorType) -> tuple[int, ...]:
        """The shape of what is learned: a number for each feature, along the last axis of the target of an output."""
        shape = output.shape[1:-1] if self.has_quantiles else output.shape[1:]
        return tuple(size for size in shape[-1:] if isinstance(size, int))
