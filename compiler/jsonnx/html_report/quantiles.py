"""Metrics of predicted quantiles: how many targets lie below each, and in the interval between the outermost ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .regression import scatter_sample

MAX_INTERVALS = 120
"""Samples whose intervals are drawn."""


class QuantilePredictions(NamedTuple):
    levels: Sequence[float]
    """The quantiles, such as 0.1, in ascending order."""
    values: np.ndarray
    """[rows, quantiles]"""


def quantile_metrics(true: np.ndarray, predicted: QuantilePredictions) -> dict[str, Any]:
    """The metrics of quantiles for targets [rows], and the intervals of some samples by their middle quantile."""
    levels, values = np.asarray(predicted.levels), predicted.values.astype(np.float64)
    error = true[:, None] - values
    low, high = values[:, 0], values[:, -1]
    middle = values[:, np.abs(levels - 0.5).argmin()]
    order = np.argsort(middle, kind="stable")[scatter_sample(len(true), MAX_INTERVALS)]
    return {
        "levels": levels,
        "observed": (error <= 0).mean(0),
        "pinball": np.maximum(levels * error, (levels - 1) * error).mean(0),
        "interval": {
            "nominal": float(levels[-1] - levels[0]),
            "coverage": float(((low <= true) & (true <= high)).mean()),
            "mean width": float((high - low).mean()),
        },
        "samples": {"low": low[order], "middle": middle[order], "high": high[order], "true": true[order]},
    }
