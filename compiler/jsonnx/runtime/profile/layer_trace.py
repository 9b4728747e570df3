"""Statistics of what the layers of a network compute for one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np


@dataclass(frozen=True)
class ValueStatistics:
    """Statistics of an array over its finite numbers; they are None if there are none, as for texts."""

    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    deviation: float | None = None
    """The standard deviation."""
    zero_share: float | None = None
    """The share of zeros among all elements."""
    nan_count: int = 0
    infinity_count: int = 0

    @property
    def is_finite(self) -> bool:
        return not self.nan_count and not self.infinity_count

    @classmethod
    def of(cls, array: np.ndarray) -> ValueStatistics:
        if array.dtype.kind not in "fiub":
            return cls(array.shape, "string", 0)
        dtype, is_real = str(array.dtype), array.dtype.kind == "f"
        nan_count = int(np.isnan(array).sum()) if is_real else 0
        infinity_count = int(np.isinf(array).sum()) if is_real else 0
        finite = array[np.isfinite(array)] if nan_count or infinity_count else array
        if not finite.size:
            return cls(array.shape, dtype, array.nbytes, nan_count=nan_count, infinity_count=infinity_count)
        return cls(
            array.shape,
            dtype,
            array.nbytes,
            float(finite.min()),
            float(finite.mean(dtype=np.float64)),
            float(finite.max()),
            float(finite.std(dtype=np.float64)),
            1.0 - int(np.count_nonzero(array)) / array.size,
            nan_count,
            infinity_count,
        )


@dataclass(frozen=True)
class WeightNorms:
    """Euclidean norms of a weight and of its gradient; None for a weight without a gradient."""

    weight: float
    gradient: float | None

    @classmethod
    def of(cls, weight: np.ndarray, gradient: np.ndarray | None) -> WeightNorms:
        return cls(_norm(weight), None if gradient is None else _norm(gradient))


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype(np.float64).ravel()))


@dataclass(frozen=True)
class TracedLayer:
    """An input or a call of a layer."""

    name: str
    type: str
    path: str
    """The JSON path in the spec without blocks; empty for an input."""
    results: Mapping[str, ValueStatistics]
    """The statistics of its results, by the name of the value."""
    weights: Mapping[str, WeightNorms] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    """The number of ONNX nodes of each operator in the forward pass."""
    seconds: float | None = None
    """The time of its nodes in the forward and the backward pass of the batch; None for an input."""

    @property
    def is_finite(self) -> bool:
        return all(result.is_finite for result in self.results.values())

    @property
    def gradient_norm(self) -> float | None:
        """The norm of the gradients of all its weights; None if none has a gradient."""
        norms = [norms.gradient for norms in self.weights.values() if norms.gradient is not None]
        return float(np.linalg.norm(norms)) if norms else None


@dataclass(frozen=True)
class NetworkTrace:
    """A training step's forward and backward pass for one batch, before any update."""

    sample_count: int
    loss: float
    layers: tuple[TracedLayer, ...]
    """Inputs, then layers in the order of the network."""

    @property
    def first_not_finite(self) -> TracedLayer | None:
        """The first input or layer with a result that has NaN or an infinity."""
        return next((layer for layer in self.layers if not layer.is_finite), None)

    @property
    def gradients_not_finite(self) -> list[str]:
        """The weights whose gradient has NaN or an infinity."""
        weights = {name: norms.gradient for layer in self.layers for name, norms in layer.weights.items()}
        return [name for name, gradient in weights.items() if gradient is not None and not isfinite(gradient)]
