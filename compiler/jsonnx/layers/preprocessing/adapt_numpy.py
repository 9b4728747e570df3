"""What layers learn from data, computed as Keras does. Imports NumPy, so that only those who learn import this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np


def frequent_tokens(
    batches: Sequence[np.ndarray], excluded: Collection[Any], max_tokens: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent tokens, of equally frequent ones the greater first, and the inverse document frequency of each:
    `log(1 + samples / (1 + samples that have it))`."""
    counts: Counter[Any] = Counter()
    having: Counter[Any] = Counter()
    samples = 0
    for batch in batches:
        samples += len(batch)
        for row in batch.reshape(len(batch), -1).tolist():
            counts.update(row)
            having.update(set(row))
    for token in excluded:
        counts.pop(token, None)
    tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)[:max_tokens]
    weights = np.log(1 + samples / (1 + np.array([having[token] for token in tokens], np.float64)))
    return np.array(tokens, object), weights.astype(np.float32)


def mean_and_variance(batches: Sequence[np.ndarray], axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over all axes but these."""
    data = np.concatenate(batches)
    others = tuple(axis for axis in range(data.ndim) if axis not in axes)
    return np.mean(data, others), np.var(data, others)


UNREACHABLE_BOUNDARY = np.finfo(np.float32).max
"""A boundary that no value reaches: what is left over where there are too few values."""


def quantile_boundaries(batches: Sequence[np.ndarray], bins: int, epsilon: float) -> np.ndarray:
    """Boundaries between ranges that have about as many values each.

    Values are first thinned out to `1 / epsilon` of them, then the quantiles are interpolated between those.
    """
    values = np.sort(np.concatenate([batch.reshape(-1) for batch in batches]).astype(np.float32))
    step = max(values.size * epsilon, 1)
    kept = values[int(step - 1) :: int(step)]
    summary = _compress_summary(np.stack([kept, np.full_like(kept, step)]), epsilon)
    found = _compress_summary(summary, 1.0 / bins)[0, :-1][: bins - 1]
    return np.pad(found, (0, bins - 1 - len(found)), constant_values=UNREACHABLE_BOUNDARY).astype(np.float32)


def _compress_summary(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Values and how many each stands for, as `1 / epsilon` of them; the same where there are fewer."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    total = summary[1].cumsum()
    values = np.interp(shares, total / total[-1], summary[0])
    totals = np.interp(shares, total / total[-1], total)
    return np.stack([values, np.diff(totals, prepend=0)]).astype(np.float32)
