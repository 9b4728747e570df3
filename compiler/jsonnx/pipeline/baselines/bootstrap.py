"""Intervals of metrics by the bootstrap: samples are drawn again, with replacement, in groups."""

from __future__ import annotations

import numpy as np

DRAW_COUNT = 1000
MAX_GROUPS = 2000
"""Maximum number of groups of samples, each of which is drawn as a whole."""
MIN_GROUPS = 10
"""Minimum number of groups for an interval."""
CONFIDENCE = 0.95
SEED = 0

Interval = tuple[float, float]


def group_size(count: int) -> int:
    """The samples of a group."""
    return -(-count // MAX_GROUPS)


def draws_of(groups: int) -> np.ndarray:
    """The number of times that each group is drawn [draws, groups], the same for equal counts."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(groups, np.full(groups, 1.0 / groups), DRAW_COUNT)


def interval(values: np.ndarray | None) -> Interval | None:
    """The central interval of a metric's values over the draws; None if some are no numbers."""
    if values is None or not np.isfinite(values).all():
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
