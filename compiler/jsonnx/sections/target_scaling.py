"""Normalized targets: an output in the unit of its target, whose loss compares standardized values.

Mean and variance of the target are states, which are learned from the training data: `OUTPUT/target/mean` and
`OUTPUT/target/variance`, for each feature along the last axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from ..core.reserved_names import target_name
from ..core.types import TensorType
from ..training.numerics import EPSILON
from ..training.weights.initializers import Ones, Zeros

if TYPE_CHECKING:
    import numpy as np

    from ..core.diagnostics import JsonPath
    from ..ir import Builder, Value


def has_scalable_type(output: TensorType) -> bool:
    """Whether an output has floating-point numbers, with a known number of features."""
    return output.dtype.startswith("float") and all(isinstance(size, int) for size in output.shape[1:][-1:])


class TargetScaling(NamedTuple):
    """The mean and the standard deviation of the target of an output."""

    output: str
    path: JsonPath
    mean: Value
    deviation: Value

    @staticmethod
    def of(g: Builder, output: str, type: TensorType, path: JsonPath) -> TargetScaling:
        """Emits the states of an output, outside of any layer."""
        shape = type.shape[1:][-1:]
        with g.scope(target_name(output), path):
            mean, variance = g.state("mean", shape, Zeros()), g.state("variance", shape, Ones())
            return TargetScaling(output, path, mean, g.Max(g.Sqrt(variance), EPSILON))

    def normalized(self, g: Builder, x: Value) -> Value:
        """Standardized values of a target or an output."""
        with g.scope(target_name(self.output), self.path):
            return g.Div(g.Sub(x, self.mean), self.deviation)

    def denormalized(self, g: Builder, x: Value) -> Value:
        """Values in the unit of the target."""
        with g.scope(target_name(self.output), self.path):
            return g.refine(g.Add(g.Mul(x, self.deviation), self.mean), x.shape)


def target_statistics_of(output: str, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The learned mean and variance of the target of an output."""
    return {name: weights[f"{target_name(output)}/{name}"] for name in ("mean", "variance")}


def target_statistics(batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean and variance of each feature of a target."""
    from ..core.array_statistics import mean_and_variance

    batches = iter(batches)
    first = next(batches)
    mean, variance = mean_and_variance(chain([first], batches), range(1, first.ndim)[-1:])
    return {"mean": mean, "variance": variance}
