"""The population stability index (PSI): how far two distributions over the same bins lie apart.

PSI = sum over all bins of (q - p) * ln(q / p), for shares p of the training data and q of other data.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

import numpy as np

MODERATE_PSI, LARGE_PSI = 0.1, 0.25
"""The minima of moderate and of large drift, as in the usual reading of the index."""
MIN_ROWS = 50
"""Minimum number of rows for which drift is judged."""
PRIOR_COUNT = 0.5
"""What is added to the count of each bin, so that an empty bin does not make the index infinite."""
MIN_SHARE = 0.01
"""Minimum share of a bin's rows in both distributions together: smaller bins are merged into one."""
NOISE_QUANTILE_Z = 3.09
"""The standard normal quantile of 0.999: one in a thousand columns without drift exceeds the noise limit."""

Meaning = Literal["none", "chance", "moderate", "large", "few rows"]
"""What an index means. `chance`: it is not small, but two samples of one distribution may differ as much; `few rows`:
fewer than MIN_ROWS."""


def population_stability_index(expected: np.ndarray, actual: np.ndarray) -> float:
    """The index of two arrays of counts by bin; each has rows. Bins that are small in both are merged."""
    expected, actual = _merged(expected, actual)
    p, q = _shares(expected), _shares(actual)
    return float(((q - p) * np.log(q / p)).sum())


def noise_limit(expected: np.ndarray, actual: np.ndarray) -> float:
    """The index that two samples of one distribution exceed with a probability of 0.1 %, by counts.

    The index of two such samples of n and m rows is distributed as (1/n + 1/m) times chi-squared with as many degrees
    of freedom as there are bins, less one; the quantile is Wilson and Hilferty's.
    """
    expected, actual = _merged(expected, actual)
    degrees = max(1, len(expected) - 1)
    part = 2 / (9 * degrees)
    quantile = degrees * (1 - part + NOISE_QUANTILE_Z * sqrt(part)) ** 3
    return float(quantile * (1 / expected.sum() + 1 / actual.sum()))


def meaning_of(index: float, limit: float, rows: int) -> Meaning:
    """What an index over a number of rows means."""
    if rows < MIN_ROWS:
        return "few rows"
    if index < MODERATE_PSI:
        return "none"
    if index <= limit:
        return "chance"
    return "moderate" if index < LARGE_PSI else "large"


def _merged(expected: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The counts without bins that are empty in both, and with all small bins as the last one."""
    p, q = expected / expected.sum(), actual / actual.sum()
    is_small = np.maximum(p, q) < MIN_SHARE
    merged = [np.append(counts[~is_small], counts[is_small].sum()) for counts in (expected, actual)]
    if not merged[0][-1] and not merged[1][-1]:
        merged = [counts[:-1] for counts in merged]
    return merged[0], merged[1]


def _shares(counts: np.ndarray) -> np.ndarray:
    raised = counts + PRIOR_COUNT
    return np.asarray(raised / raised.sum())
