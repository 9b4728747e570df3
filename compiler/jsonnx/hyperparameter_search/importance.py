"""How much of the differences between trials each parameter explains."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from ..core.figures import is_number
from .trials import FINISHED, Trial

MIN_TRIALS = 4
"""Finished trials below which nothing is said."""
MAX_GROUPS = 5
"""Groups into which the numbers of a range are divided."""


def importances(trials: Sequence[Trial], names: Sequence[str]) -> dict[str, float]:
    """The effect size of each parameter, from 0 to 1; empty if too few trials have finished.

    It is the eta squared of the Kruskal-Wallis test: the share of the variance of the metric's ranks that lies between
    groups of trials, corrected for what chance alone would give. The groups are the trials with one choice, or with
    numbers of one part of a range, so that an optimum within a range counts, too. Parameters that a trial does not have
    form a group of their own.
    """
    finished = [trial for trial in trials if trial.state == FINISHED and trial.value is not None]
    if len(finished) < MIN_TRIALS:
        return {}
    ranks = average_ranks([trial.value or 0.0 for trial in finished])
    return {name: _effect_size(_groups([trial.values for trial in finished], name), ranks) for name in names}


def average_ranks(values: Sequence[float]) -> list[float]:
    """The ranks from 1; equal values have the mean of their ranks."""
    order = sorted(values)
    first = {value: rank for rank, value in reversed([*enumerate(order, 1)])}
    count = Counter(values)
    return [first[value] + (count[value] - 1) / 2 for value in values]


def _groups(assignments: Sequence[Mapping[str, object]], name: str) -> list[str]:
    """The group of each trial."""
    values = [assignment.get(name) if name in assignment else _Unset for assignment in assignments]
    numbers = [value for value in values if is_number(value)]
    texts = ["unset" if value is _Unset else json.dumps(value, sort_keys=True) for value in values]
    if len({*texts}) <= MAX_GROUPS or len(numbers) < len([text for text in texts if text != "unset"]):
        return texts
    ranks = iter(average_ranks([float(value) for value in numbers]))  # type: ignore[arg-type]
    width = len(numbers) / max(2, min(MAX_GROUPS, len(numbers) // 3))
    return [str(int((next(ranks) - 0.75) / width)) if is_number(value) else "unset" for value in values]


class _Unset:
    """Stands for the value of a parameter that a trial does not have."""


def _effect_size(groups: Sequence[str], ranks: Sequence[float]) -> float:
    """The eta squared of the Kruskal-Wallis statistic H, which is corrected for ties; 0 if it is negative."""
    count, names = len(ranks), {*groups}
    if len(names) < 2 or len(names) >= count:
        return 0.0
    mean_rank = (count + 1) / 2
    total = sum((rank - mean_rank) ** 2 for rank in ranks)
    if total == 0:
        return 0.0
    between = 0.0
    for name in sorted(names):
        members = [rank for group, rank in zip(groups, ranks, strict=True) if group == name]
        between += len(members) * (sum(members) / len(members) - mean_rank) ** 2
    statistic = (count - 1) * between / total
    return min(1.0, max(0.0, (statistic - len(names) + 1) / (count - len(names))))
