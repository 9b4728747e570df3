"""Statistics of arrays, computed with NumPy batch by batch. Imported only when something is computed from data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np


def mean_and_variance(batches: Iterable[np.ndarray], axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over all axes except `axes`, in float64.

    The metrics of the batches are merged one by one (Chan, Golub and LeVeque), so that only one batch is in memory.
    """
    count, mean, squares = 0, np.float64(0.0), np.float64(0.0)
    for batch in batches:
        others = tuple(axis for axis in range(batch.ndim) if axis not in axes)
        values = batch.astype(np.float64)
        own_count, own_mean = values.size // prod(values.shape[axis] for axis in axes), values.mean(others)
        total, distance = count + own_count, own_mean - mean
        squares = squares + values.var(others) * own_count + distance**2 * (count * own_count / total)
        count, mean = total, mean + distance * (own_count / total)
    return np.asarray(mean), np.asarray(squares / count)
