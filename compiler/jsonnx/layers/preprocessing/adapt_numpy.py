"""The statistics that layers adapt to, computed with NumPy as in Keras. Imported only when a layer adapts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np


def frequent_tokens(
    batches: Iterable[np.ndarray], excluded: Collection[Any], max_tokens: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent tokens (ties in descending order) and their inverse document frequencies.

    The inverse document frequency is `log(1 + samples / (1 + samples that contain the token))`.
    """
    counts: Counter[Any] = Counter()
    document_counts: Counter[Any] = Counter()
    samples = 0
    for batch in batches:
        samples += len(batch)
        for document in batch.reshape(len(batch), -1).tolist():
            counts.update(document)
            document_counts.update(set(document))
    for token in excluded:
        counts.pop(token, None)
    tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)[:max_tokens]
    weights = np.log(1 + samples / (1 + np.array([document_counts[token] for token in tokens], np.float64)))
    return np.array(tokens, object), weights.astype(np.float32)


def statistic_of_present(batches: Iterable[np.ndarray], strategy: str) -> np.ndarray:
    """The `mean`, the `median` or the `most_frequent` value of each feature along the last axis, of values that
    are not NaN. For samples without axes, it is one number. A feature without values gets NaN.

    Only the mean is computed batch by batch; the others need all values in memory.
    """
    if strategy == "mean":
        return _mean_of_present(batches)
    data = np.concatenate(list(batches))
    columns = data.reshape(-1, data.shape[-1] if data.ndim > 1 else 1).T
    statistics = [_statistic(column[~np.isnan(column)], strategy) for column in columns]
    return np.array(statistics, np.float32).reshape(data.shape[1:][-1:])


def _mean_of_present(batches: Iterable[np.ndarray]) -> np.ndarray:
    total, count = np.float64(0.0), np.int64(0)
    for batch in batches:
        others = tuple(range(max(1, batch.ndim - 1)))
        is_present = ~np.isnan(batch)
        total = total + batch.sum(others, np.float64, where=is_present)
        count = count + is_present.sum(others)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count, np.float32)


def _statistic(values: np.ndarray, strategy: str) -> float:
    if not values.size:
        return np.nan
    if strategy == "most_frequent":
        distinct, counts = np.unique(values, return_counts=True)
        return float(distinct[counts.argmax()])
    return float(np.median(values))


UNREACHABLE_BOUNDARY = np.finfo(np.float32).max
"""A boundary above all values, which fills up the boundaries if there are too few values."""


def quantile_boundaries(batches: Iterable[np.ndarray], bins: int, epsilon: float) -> np.ndarray:
    """Boundaries between ranges that contain about equally many values.

    The values are first thinned out to `1 / epsilon` of them; quantiles are interpolated between those.
    """
    values = np.sort(np.concatenate([batch.reshape(-1) for batch in batches]).astype(np.float32))
    step = max(values.size * epsilon, 1)
    sampled = values[int(step - 1) :: int(step)]
    summary = _compress_summary(np.stack([sampled, np.full_like(sampled, step)]), epsilon)
    boundaries = _compress_summary(summary, 1.0 / bins)[0, :-1][: bins - 1]
    return np.pad(boundaries, (0, bins - 1 - len(boundaries)), constant_values=UNREACHABLE_BOUNDARY).astype(np.float32)


def _compress_summary(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Interpolates a summary (values, and the number of values each represents) to `1 / epsilon` values, if longer."""
    if summary.shape[1] * epsilon < 1:
        return summary
    quantiles = epsilon + np.arange(0.0, 1.0, epsilon)
    total = summary[1].cumsum()
    values = np.interp(quantiles, total / total[-1], summary[0])
    totals = np.interp(quantiles, total / total[-1], total)
    return np.stack([values, np.diff(totals, prepend=0)]).astype(np.float32)
