"""The Yeo-Johnson transform (2000), whose exponent lambda makes values as normal as possible, by maximum likelihood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt

import numpy as np

MAX_ROWS = 1 << 18
"""Maximum number of rows that the exponent is learned from; of more, evenly spaced ones are taken."""
MIN_LAMBDA, MAX_LAMBDA = 0.0, 2.0
"""Bounds of the exponent lambda. Outside, transformed values have a finite bound, above or below, which a network may
exceed: the inverse grows without limit towards it, and has no value beyond."""
MAX_EXPONENT = 60.0
"""Maximum power of e in a transform: float32 overflows above."""
TOLERANCE = 1e-9


def transformed(values: np.ndarray, transform: str | None) -> np.ndarray:
    """Values after a transform without an exponent, in float64."""
    values = values.astype(np.float64)
    return np.log(values) if transform == "log" else np.log1p(values) if transform == "log1p" else values


def yeo_johnson(values: np.ndarray, power: float) -> np.ndarray:
    """Transformed values."""
    own_power = np.where(values < 0, 2.0 - power, power)
    magnitude = np.log1p(np.abs(values))
    divisor = np.where(own_power == 0, 1.0, own_power)
    return np.sign(values) * np.where(own_power == 0, magnitude, np.expm1(own_power * magnitude) / divisor)


def learn_yeo_johnson(batches: Iterable[np.ndarray], axes: Sequence[int]) -> dict[str, np.ndarray]:
    """The exponents of features along axes (one or none), and mean and variance of the transformed values."""
    rows = _some_rows(batch.reshape(-1, batch.shape[-1] if axes else 1) for batch in batches)
    columns = [rows[:, index].astype(np.float64) for index in range(rows.shape[1])]
    powers = np.array([best_power(column) for column in columns], np.float32)
    values = [yeo_johnson(column, float(power)) for column, power in zip(columns, powers, strict=True)]
    means, variances = (np.array([function(value) for value in values]) for function in (np.mean, np.var))
    shape = (len(columns),) if axes else ()
    return {name: a.reshape(shape) for name, a in (("lambda", powers), ("mean", means), ("variance", variances))}


def _some_rows(batches: Iterable[np.ndarray]) -> np.ndarray:
    """The rows of all batches, or of more than `MAX_ROWS` some at equal distances."""
    kept: list[np.ndarray] = []
    step, seen = 1, 0
    for batch in batches:
        kept.append(batch[-seen % step :: step])
        seen += len(batch)
        while sum(map(len, kept)) > MAX_ROWS:
            kept, step = [np.concatenate(kept)[::2]], 2 * step
    return np.concatenate(kept)


def best_power(values: np.ndarray) -> float:
    """The exponent from 0 to 2 with the greatest likelihood, by golden-section search; 1 for equal values."""
    if values.min() == values.max():
        return 1.0
    logarithms = np.log1p(np.abs(values)) * np.sign(values)
    slope = logarithms.sum()

    def likelihood(power: float) -> float:
        variance = yeo_johnson(values, power).var()
        return float(-0.5 * len(values) * np.log(max(variance, np.finfo(np.float64).tiny)) + (power - 1.0) * slope)

    low, high = _bounds(float(max(values.max(), 0.0)), float(max(-values.min(), 0.0)))
    ratio = (sqrt(5.0) - 1.0) / 2.0
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    scores = [likelihood(power) for power in inner]
    while high - low > TOLERANCE:
        if scores[0] > scores[1]:
            high, inner, scores = inner[1], [inner[1] - ratio * (inner[1] - low), inner[0]], [0.0, scores[0]]
            scores[0] = likelihood(inner[0])
        else:
            low, inner, scores = inner[0], [inner[1], inner[0] + ratio * (high - inner[0])], [scores[1], 0.0]
            scores[1] = likelihood(inner[1])
    return (low + high) / 2.0


def _bounds(positive: float, negative: float) -> tuple[float, float]:
    """The exponents from 0 to 2 with which float32 computes the transform of values from `-negative` to `positive`."""
    low, high = MIN_LAMBDA, MAX_LAMBDA
    if positive:
        high = min(high, MAX_EXPONENT / float(np.log1p(positive)))
    if negative:
        low = max(low, 2.0 - MAX_EXPONENT / float(np.log1p(negative)))
    return low, high
